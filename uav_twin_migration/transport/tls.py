"""Carries frames between RSUs: mutual TLS, one port, one thread. Knows nothing of twins.

All connections are served by one thread with non-blocking sockets, so that a peer that is slow, silent or hostile costs
a file descriptor and little else. A connection must prove who it is within `Limits.handshake` seconds, finish a frame
that it began within `Limits.frame`, and say something, if only that it is still there, every `Limits.silence`.

A *link* is one connection as its user sees it: a positive number where this side opened it, a negative one where the
other did. What arrives, and that a link broke, is told by calling `deliver` in the carrier's thread. Memory is bounded:
when `Limits.unread` bytes of a link arrived and were not `consumed`, the carrier reads no more of it, and TCP makes the
other side wait.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import itertools
import selectors
import socket
import ssl
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.security.certificates import Identity, rsu_of
from uav_twin_migration.twin.protocol import wire
from uav_twin_migration.twin.protocol.pacing import UNLIMITED, TokenBucket

Address = tuple[str, int]  # host, port
MOST_LOOKUPS = 4  # names of RSUs that are looked up at once
LONGEST_SLEEP = 1.0  # s: the thread shows so often that it lives
SLICE_TIME = 0.006  # s of the rate that are sent in one go
LEAST_SLICE, MOST_SLICE = 1400, 256 * 1024  # bytes
TURN = 512 * 1024  # bytes that one link may send or bring before the others have their turn
LEAST_UNREAD = 1024 * 1024  # bytes
FAREWELL = 2.0  # s for the other side to close as well


class CarrierError(UavTwinError):
    """The carrier cannot start; says why and what to do."""


@dataclass(frozen=True)
class Limits:
    """What an unauthenticated, or a broken, peer, can cost."""

    links: int = 256
    unauthenticated: int = 128  # links that have not proven who they are
    unauthenticated_of_one_address: int = 64
    handshake: float = 5.0  # s from the first packet to the first frame
    frame: float = 30.0  # s for one frame
    silence: float = 10.0  # s without anything
    keep_alive: float = 3.0  # s after which a silent side says that it is there
    unread: int = 32 * 1024 * 1024  # bytes of a link that arrived and were not consumed
    unread_of_all: int = 64 * 1024 * 1024  # bytes of all links; beyond, each may have `LEAST_UNREAD`


class Arrived(NamedTuple):
    """A frame came over a link from an RSU."""

    link: int
    peer: str
    frame: Any
    size: int  # bytes, to be given to `consumed`


class Broken(NamedTuple):
    """A link is gone, or could not be made."""

    link: int
    why: str


LinkEvent = Arrived | Broken


class Carrier:
    """All links of one RSU."""

    def __init__(
        self,
        rsu: str,
        identity: Identity | None,
        address: Address,
        deliver: Callable[[LinkEvent], None],
        resolve: Callable[[str], Address | None],
        limits: Limits | None = None,
    ) -> None:
        """Listen at `address` (port 0: any free one).

        identity: None for plain TCP, on the loopback interface only.
        resolve: where an RSU listens; None where that is unknown.

        Raises CarrierError.
        """
        self.rsu, self.identity, self.limits = rsu, identity, limits or Limits()
        self.counts: Counter[str] = Counter()  # connections that were refused or broke, by why
        self.sent = 0  # bytes of paced frames that went out
        self.unread = 0  # bytes that arrived and were not consumed, at the last look
        self.deliver, self._resolve = deliver, resolve
        if identity is None and not _is_loopback(address[0]):
            raise CarrierError(f"{address[0]}: plain TCP is for the loopback interface only; give the RSU its keys")
        self._listener = _listen(address)
        self.address: Address = self._listener.getsockname()[:2]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self._listener, selectors.EVENT_READ)
        self._sleeper, self._alarm = socket.socketpair()
        self._sleeper.setblocking(False)
        self._alarm.setblocking(False)
        self.selector.register(self._sleeper, selectors.EVENT_READ)
        self._links: dict[int, _Link] = {}
        self._opening: dict[int, list[Callable[[_Link], None]]] = {}  # link whose address is looked up -> what waits
        self.turned_at = time.monotonic()  # s, when the thread last went round
        self.ended: Callable[[BaseException], None] = lambda error: None  # where the thread ends all the same
        self._given: dict[int, int] = {}  # link -> bytes ever given to `send`; written by its callers alone
        self.unauthenticated: Counter[str] = Counter()  # address -> links that have not proven who they are
        self._inbound = itertools.count(-1, -1)
        self._commands: deque[Callable[[], None]] = deque()
        self._asleep, self._stopping = True, False
        self._thread = threading.Thread(target=self._run, name=f"carrier of {rsu}", daemon=True)

    # -- for other threads -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Close everything; returns when that is done."""
        self._stopping = True
        self._command(lambda: None)
        if self._thread.is_alive():
            self._thread.join()
        else:
            self._close_all()

    def open(self, link: int, peer: str, rate: float) -> None:
        """Connect to an RSU; `Broken` is told where that fails. rate: bytes/s of what is sent as `paced`."""
        self._given[link] = 0
        self._command(lambda: self._open(link, peer, rate))

    def send(self, link: int, data: bytes, paced: bool = False) -> None:
        """Send a frame. Over a link that is gone, nothing happens."""
        if link in self._given:
            self._given[link] += len(data)
        self._command(lambda: self._with(link, lambda known: known.send(data, paced)))

    def pace(self, link: int, rate: float) -> None:
        """Change a link's rate, bytes/s."""
        self._command(lambda: self._with(link, lambda known: known.bucket.set_rate(rate, time.monotonic())))

    def close(self, link: int) -> None:
        """Close a link once everything given to it is sent, but for paced frames that have to wait."""
        self._command(lambda: self._with(link, _Link.finish))

    def consumed(self, link: int, size: int) -> None:
        """So many bytes of what arrived over a link have been dealt with."""
        known = self._links.get(link)
        if known is not None:
            known.consumed += size
            if known.stalled:
                self._command(lambda: None)

    def queued(self, link: int) -> int:
        """Bytes that wait to be sent over a link."""
        known = self._links.get(link)
        return self._given.get(link, 0) - (known.sent if known is not None else 0)

    def _command(self, command: Callable[[], None]) -> None:
        self._commands.append(command)
        if self._asleep:
            self._asleep = False
            with contextlib.suppress(OSError):
                self._alarm.send(b"!")

    # -- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._serve()
        except BaseException as error:
            self.ended(error)
            raise

    def _serve(self) -> None:
        while not self._stopping:
            while self._commands:
                self._obey(self._commands.popleft())
            now = self.turned_at = time.monotonic()
            self.unread = sum(link.unread for link in self._links.values())
            wake_at = min((link.attend(now) for link in list(self._links.values())), default=now + LONGEST_SLEEP)
            self._asleep = True
            if self._commands:
                wake_at = now  # they came before the sleep was announced
            happened = self.selector.select(min(max(0.0, wake_at - now), LONGEST_SLEEP))
            self._asleep = False
            for key, _ in happened:
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is self._sleeper:
                    self._sleeper.recv(4096)
                else:
                    key.data.ready = True
        self._close_all()

    def _obey(self, command: Callable[[], None]) -> None:
        """The last catch: what a command cannot do is counted, and the others' links go on."""
        try:
            command()
        except Exception:
            self.counts["unexpected"] += 1

    def _close_all(self) -> None:
        for link in list(self._links.values()):
            link.drop("stopped")
        for end in (self._listener, self._sleeper, self._alarm):
            end.close()
        self.selector.close()

    def _with(self, number: int, action: Callable[[_Link], None]) -> None:
        link = self._links.get(number)
        if link is not None:
            action(link)
        elif number in self._opening:
            self._opening[number].append(action)

    def _accept(self) -> None:
        for _ in range(32):
            try:
                connection, address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self.counts["accept_failed"] += 1
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    time.sleep(0.01)  # nothing better can be done without descriptors; the backlog waits
                return
            reason = self._crowded(address[0])
            if reason is None:
                number = next(self._inbound)
                self._given[number] = 0
                self._add(number, connection, address[0])
            else:
                self.counts[reason] += 1
                connection.close()

    def _crowded(self, address: str) -> str | None:
        limits, unauthenticated = self.limits, self.unauthenticated
        if len(self._links) >= limits.links:
            return "too_many_links"
        if (
            sum(unauthenticated.values()) >= limits.unauthenticated
            or unauthenticated[address] >= limits.unauthenticated_of_one_address
        ):
            return "too_many_unauthenticated"
        return None

    def _open(self, number: int, peer: str, rate: float) -> None:
        found = self._resolve(peer)
        if found is None or (self.identity is None and not _is_loopback(found[0])):
            self.forget(number, "unknown_peer")
        elif (address := _ip_address(found[0])) is not None:
            self._connect(number, (address, found[1]), peer, rate)
        elif len(self._opening) >= MOST_LOOKUPS:
            self.forget(number, "unresolved")
        else:
            self._opening[number] = []
            work = threading.Thread(target=self._look_up, args=(number, found, peer, rate), daemon=True)
            work.start()

    def _look_up(self, number: int, name: Address, peer: str, rate: float) -> None:
        """In a thread of its own: a name that nobody answers for takes ten seconds."""
        try:
            found = socket.getaddrinfo(*name, type=socket.SOCK_STREAM)[0][4]
            address = str(found[0]), int(found[1])
        except (OSError, ValueError, IndexError, OverflowError):  # a UnicodeError is a ValueError
            address = None
        self._command(lambda: self._looked_up(number, address, peer, rate))

    def _looked_up(self, number: int, address: Address | None, peer: str, rate: float) -> None:
        waiting = self._opening.pop(number)
        if address is None:
            self.forget(number, "unresolved")
            return
        self._connect(number, address, peer, rate)
        for action in waiting:
            self._with(number, action)

    def _connect(self, number: int, address: Address, peer: str, rate: float) -> None:
        connection = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        connection.setblocking(False)
        try:
            connection.connect(address)
        except BlockingIOError:
            pass
        except (OSError, ValueError, OverflowError):
            connection.close()
            self.forget(number, "unreachable")
            return
        self._add(number, connection, address[0], peer, rate)

    def _add(
        self, number: int, connection: socket.socket, address: str, wanted: str | None = None, rate: float = UNLIMITED
    ) -> None:
        try:
            self._links[number] = _Link(self, number, connection, address, wanted, rate)
        except OSError:  # it is gone already
            connection.close()
            self.forget(number, "connection_lost")

    def forget(self, number: int, why: str) -> None:
        """A link is gone."""
        self._links.pop(number, None)
        self._given.pop(number, None)
        self.counts[why] += 1
        self.deliver(Broken(number, why))


class _RefusedError(Exception):
    """The other side is not who it should be, or does not behave."""


class _Link:
    """One connection, in the carrier's thread."""

    def __init__(
        self,
        carrier: Carrier,
        number: int,
        connection: socket.socket,
        address: str,
        wanted: str | None = None,
        rate: float = UNLIMITED,
    ) -> None:
        """wanted: who it must be, where this side opened it."""
        now = time.monotonic()
        self.carrier, self.number, self.address, self.wanted = carrier, number, address, wanted
        self.bucket = TokenBucket(rate, now)
        self.sent = self.arrived = 0  # bytes; `sent` without what nobody gave to `send`
        self.consumed = 0  # bytes, written by `Carrier.consumed` alone
        self._skipped = 0  # bytes that were consumed here
        self._counted = 0  # bytes of frames that were complete
        self.ready = True  # whether the selector says that something can be done
        self.stalled = False  # whether too much waits to be consumed
        self._peer: str | None = None  # who it is, once that is proven
        self._stage: Callable[[float], None] = self._connect if wanted is not None else self._begin
        self._queue: deque[tuple[memoryview, bool]] = deque()
        self._slice: memoryview | None = None  # what TLS could not yet take, and wants to be given again
        self._partly = False  # whether the first frame of the queue has begun to go
        self._finishing = False
        self._reader, self._frame_began = wire.FrameReader(), now
        self._heard = self._spoke = now
        self._deadline = now + carrier.limits.handshake
        self._wake_at = now
        self._wants = 0
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection: Any = connection
        self._receive: Callable[[memoryview], int] = connection.recv_into
        self._watch(selectors.EVENT_WRITE if wanted is not None else selectors.EVENT_READ)
        carrier.unauthenticated[address] += 1

    # -- for the carrier ---------------------------------------------------------------------------------------------

    def send(self, data: bytes, paced: bool) -> None:
        """Queue a frame."""
        self._queue.append((memoryview(data), paced))
        self.ready = True

    def finish(self) -> None:
        """Close once everything is sent. Paced frames that have not begun to go no longer matter, nor does the rate."""
        begun = self._partly or self._slice is not None
        left = (one for place, one in enumerate(self._queue) if not one[1] or (place == 0 and begun))
        self._queue = deque(left)
        self.bucket.set_rate(UNLIMITED, time.monotonic())
        self._finishing = self.ready = True

    def attend(self, now: float) -> float:
        """Do what can be done. Returns when to be called again at the latest."""
        if self.stalled and not self._is_too_much():
            self.stalled, self.ready, self._heard = False, True, now
        if self.ready or now >= self._wake_at:
            self.ready = False
            self._try(now)
        return now if self.ready else self._wake_at

    def drop(self, why: str) -> None:
        """Close at once."""
        if self.number not in self.carrier._links:
            return
        if self._peer is None:
            self._authenticated()
        with contextlib.suppress(KeyError, ValueError):
            self.carrier.selector.unregister(self._connection)
        self._connection.close()
        self.carrier.forget(self.number, why)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _try(self, now: float) -> None:
        self._wake_at = self._deadline
        try:
            if now >= self._deadline:
                raise _RefusedError("too_slow")
            self._stage(now)
        except (ssl.SSLWantReadError, BlockingIOError):
            self._watch(selectors.EVENT_READ)
        except ssl.SSLWantWriteError:
            self._watch(selectors.EVENT_READ | selectors.EVENT_WRITE)
        except (_RefusedError, wire.WireError) as error:
            self.drop(str(error) if isinstance(error, _RefusedError) else "bad_frame")
        except ssl.SSLCertVerificationError:
            self.drop("bad_certificate")
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self.drop("closed")
        except ssl.SSLError:
            self.drop("bad_tls")
        except OSError:
            self.drop("connection_lost" if self._peer is not None else "unreachable")
        except Exception:  # the last catch: this link alone ends, whatever came over it
            self.drop("unexpected")

    def _watch(self, events: int) -> None:
        if events == self._wants:
            return
        if self._wants == 0:
            self.carrier.selector.register(self._connection, events, self)
        elif events == 0:
            self.carrier.selector.unregister(self._connection)
        else:
            self.carrier.selector.modify(self._connection, events, self)
        self._wants = events

    # Stages of a link's life, each with what it does when something can be done. They go on to the next by themselves.

    def _connect(self, now: float) -> None:
        error = self._connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, "connect")
        try:
            self._connection.getpeername()
        except OSError as not_yet:
            if not_yet.errno == errno.ENOTCONN:
                return
            raise
        self._begin(now)

    def _begin(self, now: float) -> None:
        """The TCP connection stands."""
        identity = self.carrier.identity
        self._queue.appendleft((memoryview(wire.encode(wire.Hello(self.carrier.rsu))), False))
        self.sent -= len(self._queue[0][0])  # which nobody gave to `send`
        if identity is None:
            self._stage = self._serve
        else:
            self._watch(0)
            context = identity.client if self.wanted is not None else identity.server
            self._connection = context.wrap_socket(
                self._connection, server_side=self.wanted is None, do_handshake_on_connect=False
            )
            self._receive = self._connection.recv_into
            self._stage = self._shake
        self._stage(now)

    def _shake(self, now: float) -> None:
        self._connection.do_handshake()
        identity = self.carrier.identity
        if identity is not None and identity.is_revoked(self._connection.getpeercert(binary_form=True)):
            raise _RefusedError("revoked")
        if self.wanted is not None and rsu_of(self._connection.getpeercert()) != self.wanted:
            raise _RefusedError("wrong_peer")
        self._stage = self._serve
        self._serve(now)

    def _serve(self, now: float) -> None:
        """Read, write, and see whether the other side is still there."""
        limits = self.carrier.limits
        blocked = self._write(now)
        if not self.stalled:
            self._read(now)
        if self._finishing and not self._queue and self._slice is None:
            self._say_goodbye(now)
            return
        if now >= self._spoke + limits.keep_alive and not self._queue and self._peer is not None:
            keep_alive = wire.encode(wire.KeepAlive())
            self.sent -= len(keep_alive)
            self.send(keep_alive, paced=False)
            blocked = self._write(now)
        self._deadline = self._patience(now)
        self._wake_at = min(self._wake_at, self._deadline, max(self._spoke + limits.keep_alive, now + 0.1))
        events = selectors.EVENT_WRITE if blocked else 0
        self._watch(events | (0 if self.stalled else selectors.EVENT_READ))

    def _patience(self, now: float) -> float:
        limits = self.carrier.limits
        if self._peer is None:
            return self._deadline
        if self.stalled:
            return now + limits.silence
        silent = self._heard + limits.silence
        return min(silent, self._frame_began + limits.frame) if self._reader.inside else silent

    def _say_goodbye(self, now: float) -> None:
        """Nothing more to say: wait for the other side to close, so that it surely got everything."""
        self._watch(0)
        self._connection.shutdown(socket.SHUT_WR)
        self._stage, self._deadline = self._linger, now + FAREWELL
        self._wake_at = self._deadline
        self._watch(selectors.EVENT_READ)

    def _linger(self, now: float) -> None:
        while self._connection.recv(65536):
            pass
        raise _RefusedError("finished")

    # -- reading -----------------------------------------------------------------------------------------------------

    def _read(self, now: float) -> None:
        reader, turn = self._reader, TURN
        with contextlib.suppress(ssl.SSLWantReadError, BlockingIOError):
            while turn > 0 and not self.stalled:
                if not reader.inside:
                    self._frame_began = now
                size = self._receive(reader.room())
                if size == 0:
                    raise _RefusedError("closed")
                turn -= size
                self.arrived += size
                self._heard = now
                frame = reader.filled(size)
                if frame is not None:
                    self._got(frame)
                    self.stalled = self._is_too_much()
        self.ready = self.ready or turn <= 0

    def _got(self, frame: wire.Frame) -> None:
        size, self._counted = self.arrived - self._counted, self.arrived
        if self._peer is None:
            self._shake_hands(frame)
            self._skipped += size
        elif isinstance(frame, (wire.KeepAlive, wire.Hello)):
            self._skipped += size
        else:
            self.carrier.deliver(Arrived(self.number, self._peer, frame, size))

    @property
    def unread(self) -> int:
        """Bytes of whole frames that arrived and were not consumed."""
        return self._counted - self._skipped - self.consumed

    def _is_too_much(self) -> bool:
        limits, own = self.carrier.limits, self.unread
        crowded = self.carrier.unread >= limits.unread_of_all and own >= LEAST_UNREAD
        return own >= limits.unread or crowded

    def _shake_hands(self, hello: object) -> None:
        """The first frame must be a handshake by whom the certificate names, and whom we wanted."""
        if not isinstance(hello, wire.Hello):
            raise _RefusedError("no_handshake")
        if hello.version != wire.VERSION:
            raise _RefusedError("other_version")
        if self.carrier.identity is not None and rsu_of(self._connection.getpeercert()) != hello.rsu:
            raise _RefusedError("wrong_name")
        if self.wanted not in (None, hello.rsu) or hello.rsu == self.carrier.rsu:
            raise _RefusedError("wrong_peer")
        self._peer = hello.rsu
        self._reader.trusted = self.ready = True
        self._authenticated()

    def _authenticated(self) -> None:
        unauthenticated = self.carrier.unauthenticated
        unauthenticated[self.address] -= 1
        if not unauthenticated[self.address]:
            del unauthenticated[self.address]

    # -- writing -----------------------------------------------------------------------------------------------------

    def _write(self, now: float) -> bool:
        """Send what may go. Whether the connection, not the rate, is what holds the rest up."""
        turn = TURN
        while turn > 0 and (self._queue or self._slice is not None):
            data, paced = self._queue[0]
            if self._slice is None:
                size = self._may_send(len(data), now) if paced else min(len(data), MOST_SLICE)
                if not size:
                    return False
                self._slice = data[:size]
            try:
                size = self._connection.send(self._slice)
            except (ssl.SSLWantWriteError, BlockingIOError):
                return True
            self._slice = None
            turn -= size
            self.sent += size
            self._spoke = now
            if paced:
                self.bucket.spend(size)
                self.carrier.sent += size
            self._partly = size < len(data)
            if not self._partly:
                self._queue.popleft()
            else:
                self._queue[0] = data[size:], paced
        self.ready = self.ready or turn <= 0
        return False

    def _may_send(self, size: int, now: float) -> int:
        """Bytes of a paced frame that may go now; where it is none, sets when to look again."""
        rate = self.bucket.rate
        if rate == UNLIMITED:
            return min(size, MOST_SLICE)
        size = min(size, max(LEAST_SLICE, min(int(rate * SLICE_TIME), MOST_SLICE)))
        if self._peer is None:
            return 0  # chunks can wait until both know who they speak to
        wait = self.bucket.wait(size, now)
        if wait > 0.0:
            self._wake_at = min(self._wake_at, now + wait)
            return 0
        return size


def _ip_address(host: str) -> str | None:
    """A host as the IP address that it is; None for a name that somebody would have to look up."""
    try:
        return str(ipaddress.ip_address("127.0.0.1" if host == "localhost" else host))
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    """Whether a host is an address of this machine's own: a name may be anybody's, whatever it begins with."""
    address = _ip_address(host)
    return address is not None and ipaddress.ip_address(address).is_loopback


def _listen(address: Address) -> socket.socket:
    host, port = address
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except (OSError, ValueError, OverflowError) as error:
        listener.close()
        hint = "another process has the port, or this machine not the address"
        why = error.strerror if isinstance(error, OSError) else error
        raise CarrierError(f"{host}:{port}: cannot listen ({why}); {hint}") from error
    listener.setblocking(False)
    return listener
