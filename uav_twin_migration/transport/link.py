"""One connection of a carrier's, in its thread: what it takes to trust it, and what of it goes and comes when.

A link goes through stages: connect, begin, shake hands, serve, say goodbye. Whatever is wrong with it ends it, and it
alone, with a reason that the carrier counts.
"""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from uav_twin_migration.security.certificates import rsu_of
from uav_twin_migration.twin.protocol import wire
from uav_twin_migration.twin.protocol.pacing import UNLIMITED, TokenBucket

if TYPE_CHECKING:
    from uav_twin_migration.transport.carrier import Carrier

SLICE_TIME = 0.006  # s of the rate that are sent in one go
LEAST_SLICE, MOST_SLICE = 1400, 256 * 1024  # bytes
TURN = 512 * 1024  # bytes that one link may send or bring before the others have their turn
LEAST_UNREAD = 1024 * 1024  # bytes
FAREWELL = 2.0  # s for the other side to close as well


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


class _RefusedError(Exception):
    """The other side is not who it should be, or does not behave."""


class Link:
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
        if self.number not in self.carrier.links:
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
