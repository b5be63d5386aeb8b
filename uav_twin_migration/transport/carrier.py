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
import itertools
import selectors
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable

from uav_twin_migration.security.certificates import Identity
from uav_twin_migration.transport.addresses import Address, CarrierError, ip_address, is_loopback, listen
from uav_twin_migration.transport.link import Broken, Limits, Link, LinkEvent
from uav_twin_migration.twin.protocol.pacing import UNLIMITED

MOST_LOOKUPS = 4  # names of RSUs that are looked up at once
LONGEST_SLEEP = 1.0  # s: the thread shows so often that it lives


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
        if identity is None and not is_loopback(address[0]):
            raise CarrierError(f"{address[0]}: plain TCP is for the loopback interface only; give the RSU its keys")
        self._listener = listen(address)
        self.address: Address = self._listener.getsockname()[:2]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self._listener, selectors.EVENT_READ)
        self._sleeper, self._alarm = socket.socketpair()
        self._sleeper.setblocking(False)
        self._alarm.setblocking(False)
        self.selector.register(self._sleeper, selectors.EVENT_READ)
        self.links: dict[int, Link] = {}
        self._opening: dict[int, list[Callable[[Link], None]]] = {}  # link whose address is looked up -> what waits
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
        self._command(lambda: self._with(link, Link.finish))

    def consumed(self, link: int, size: int) -> None:
        """So many bytes of what arrived over a link have been dealt with."""
        known = self.links.get(link)
        if known is not None:
            known.consumed += size
            if known.stalled:
                self._command(lambda: None)

    def queued(self, link: int) -> int:
        """Bytes that wait to be sent over a link."""
        known = self.links.get(link)
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
            self.unread = sum(link.unread for link in self.links.values())
            wake_at = min((link.attend(now) for link in list(self.links.values())), default=now + LONGEST_SLEEP)
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
        for link in list(self.links.values()):
            link.drop("stopped")
        for end in (self._listener, self._sleeper, self._alarm):
            end.close()
        self.selector.close()

    def _with(self, number: int, action: Callable[[Link], None]) -> None:
        link = self.links.get(number)
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
        if len(self.links) >= limits.links:
            return "too_many_links"
        if (
            sum(unauthenticated.values()) >= limits.unauthenticated
            or unauthenticated[address] >= limits.unauthenticated_of_one_address
        ):
            return "too_many_unauthenticated"
        return None

    def _open(self, number: int, peer: str, rate: float) -> None:
        found = self._resolve(peer)
        if found is None or (self.identity is None and not is_loopback(found[0])):
            self.forget(number, "unknown_peer")
        elif (address := ip_address(found[0])) is not None:
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
            self.links[number] = Link(self, number, connection, address, wanted, rate)
        except OSError:  # it is gone already
            connection.close()
            self.forget(number, "connection_lost")

    def forget(self, number: int, why: str) -> None:
        """A link is gone."""
        self.links.pop(number, None)
        self._given.pop(number, None)
        self.counts[why] += 1
        self.deliver(Broken(number, why))
