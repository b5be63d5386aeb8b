"""An RSU's twins as a running thing: the host (host.py), its store and its carrier, in threads of their own.

One thread feeds the host. It takes all that has come in since the last time, lets the host have it, commits once, and
only then lets anything out: so that many migrations share one write to the disk, and nothing is said that is not on it.
Another thread is the carrier's; a third brings the store's write-ahead log into the file while the store goes on.

All public methods are for any thread, and return at once. What is called back is called in the host's thread.
"""

from __future__ import annotations

import contextlib
import math
import os
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from uav_twin_migration.clocks import boot_time
from uav_twin_migration.security.certificates import Identity
from uav_twin_migration.transport.addresses import Address
from uav_twin_migration.transport.carrier import Carrier
from uav_twin_migration.transport.link import Arrived, Limits, LinkEvent
from uav_twin_migration.twin.hosting.admission import HostSettings
from uav_twin_migration.twin.hosting.application import Application, Twin
from uav_twin_migration.twin.hosting.carrying_out import Callbacks, carry_out
from uav_twin_migration.twin.hosting.estimate import Telemetry
from uav_twin_migration.twin.hosting.host import TwinHost
from uav_twin_migration.twin.hosting.outputs import Output, Progress, Served
from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.store_database import KEPT_LOG, checkpoint_beside
from uav_twin_migration.twin.hosting.store_reader import StoreError
from uav_twin_migration.twin.protocol.messages import (
    CancelRequest,
    HostHeartbeat,
    HostRequest,
    LeaseRenewal,
    MigrateRequest,
    PeerMessage,
)
from uav_twin_migration.twin.protocol.replica_state import Phase
from uav_twin_migration.twin.protocol.wire import Chunks, encoded

BATCH = 8 * 1024 * 1024  # bytes of chunks at most in one commit
GATHER = 0.02  # s between two commits while nothing but chunks comes in
CALM_GATHER = 0.05  # s that UAVs' heartbeats may wait for others: a fiftieth of a lease
MUCH, LONG_GATHER = 512 * 1024, 0.04  # bytes that came in so soon, and s: fewer commits cost less
LONG_LOG = KEPT_LOG  # bytes of the write-ahead log from which it is brought into the file
TOO_LONG_LOG = 256 * 1024 * 1024  # bytes from which the store waits for that
ROOM_FOR = 10.0  # s for which the size of the store is not looked up again: it has a file for each few megabytes
TURN = 0.5  # s in which a thread with nothing to do goes round, so that a watchdog sees it

Event = Callable[[TwinHost, float], object]


class _Item(NamedTuple):
    event: Event
    size: int = 0  # bytes of chunks; such events can wait for more of their kind
    link: int = 0
    calm: bool = False  # nothing to look after sooner because of it


NUDGE = _Item(lambda host, now: None)  # there is something that can wait a little


class TwinService:
    """An RSU's twins, running."""

    def __init__(
        self,
        rsu: str,
        store: Path | str,
        application: Application,
        identity: Identity | None,
        address: Address,
        resolve: Callable[[str], Address | None],
        settings: HostSettings | None = None,
        limits: Limits | None = None,
        callbacks: Callbacks | None = None,
    ) -> None:
        """Open the store and the port. Raises StoreError or CarrierError.

        identity: the RSU's keys; None for plain TCP on the loopback interface.
        address: where to listen; port 0 for any free one (`self.address` tells).
        resolve: where another RSU listens; None where that is not known.
        """
        self.callbacks = callbacks or Callbacks()
        self._queue: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._heard: deque[_Item] = deque()  # of hosted twins' UAVs: taken by the batch, for each waking costs more
        self._nudged = False  # whether the thread knows that there is something
        self._room: tuple[float, dict[str, int]] = (-math.inf, {})  # when it was looked up, s
        self.carrier = Carrier(rsu, identity, address, self._deliver, resolve, limits)
        try:
            self._store = Store(store, rsu)  # last: each opening of it is an incarnation, and written
        except BaseException:
            self.carrier.stop()
            raise
        self.carrier.ended = lambda error: self.callbacks.ended("the carrier", error)
        self._turned_at = self._log_turned_at = time.monotonic()  # s, when the two threads last went round
        self._host = TwinHost(
            self._store, application, boot_time(), settings, self.carrier.queued, wall_clock=time.time()
        )
        self._trouble: StoreError | None = None
        self._progress: list[Progress] = []
        self._hosted: list[str] = self._host.hosted
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"twins of {rsu}", daemon=True)
        self._log_is_long = threading.Event()
        self._log_keeper = threading.Thread(target=self._keep_log, name=f"log of {rsu}", daemon=True)

    @property
    def address(self) -> Address:
        """Where other RSUs reach this one."""
        return self.carrier.address

    def start(self) -> None:
        """Begin to serve."""
        self.carrier.start()
        self._log_keeper.start()
        self._thread.start()

    def stop(self) -> None:
        """Stop serving; what was accepted is on the disk when this returns. Does not drain."""
        self._stopping = True
        self._log_is_long.set()
        self._post(lambda host, now: None)
        for thread in (self._thread, self._log_keeper):
            if thread.is_alive():
                thread.join()
        self.carrier.stop()
        self._store.close()

    # -- events ------------------------------------------------------------------------------------------------------

    def recognise(self, lease_renewal: LeaseRenewal) -> None:
        """A UAV told whom it takes for its twin's host: to be fed with all such messages, of all UAVs."""
        self._post(lambda host, now: host.recognise(lease_renewal, now))

    def request(self, request: HostRequest) -> None:
        """A UAV asks to host its twin; `Callbacks.reply` answers."""
        self._post(lambda host, now: host.request(request, now))

    def migrate(self, request: MigrateRequest, rate: float) -> None:
        """A UAV asks to move its twin, with `rate` bytes/s; `Callbacks.report` tells how it ended, in any case."""
        self._post(lambda host, now: host.migrate(request, rate, now))

    def grant(self, uav: str, rate: float) -> None:
        """The bandwidth bought for a migration is now `rate` bytes/s; 0 for none."""
        self._post(lambda host, now: host.grant(uav, rate, now))

    def cancel(self, request: CancelRequest) -> None:
        """Stop moving a twin, if it has not moved yet; `Callbacks.report` tells."""
        self._post(lambda host, now: host.cancel(request, now))

    def observe(self, uav: str, telemetry: Telemetry, world_time: float) -> None:
        """Telemetry for a twin; counts while it is served here. world_time: s, the clock of the time stamps."""
        self._post(lambda host, now: host.observe(uav, telemetry, now, world_time))

    def hear(
        self, lease_renewal: LeaseRenewal, telemetry: Telemetry | None, world_time: float, rate: float | None
    ) -> None:
        """What a UAV with a twin here says again and again: `recognise`, `observe` and `grant` in one."""

        def event(host: TwinHost, now: float) -> None:
            host.recognise(lease_renewal, now)
            if telemetry is not None:
                host.observe(lease_renewal.uav, telemetry, now, world_time)
            if rate is not None:
                host.grant(lease_renewal.uav, rate, now)

        self._heard.append(_Item(event, calm=True))
        if not self._nudged:
            self._nudged = True
            self._queue.put(NUDGE)

    def update(self, uav: str, change: Callable[[Twin], None], done: Callable[[bool], None]) -> None:
        """Change a twin in the host's thread; `done(True)` once that is on the disk, `done(False)` if it cannot be."""
        self._post(lambda host, now: host.update(uav, change, done, now))

    def drain(self, targets: Sequence[str], rate: float) -> None:
        """Take no more twins, and move those here to `targets`, at `rate` bytes/s together; see `hosted`."""
        self._post(lambda host, now: host.drain(targets, rate, now))

    def stop_draining(self) -> None:
        """Take twins again."""
        self._post(lambda host, now: host.stop_draining())

    # -- questions ---------------------------------------------------------------------------------------------------

    def host_heartbeats(self) -> list[HostHeartbeat]:
        """What to tell UAVs now: nothing unless the host's thread runs, so that they look for another host."""
        return self._host.host_heartbeats(boot_time()) if self._thread.is_alive() else []

    def served(self, world_time: float) -> list[Served]:
        """The twins that users may see now. world_time: s, the clock of the telemetry's time stamps."""
        return self._host.served(boot_time(), world_time)

    def replica_ages(self) -> dict[str, float]:
        """By how much the replicas of hosted twins are behind, s by UAV; infinite before one is confirmed."""
        return self._host.replica_ages(boot_time())

    def as_of(self, uav: str) -> float | None:
        """When the newest telemetry in a hosted twin was measured, s by the UAV's clock; None before any."""
        return self._host.as_of(uav)

    def progress(self) -> list[Progress]:
        """The migrations under way."""
        return self._progress

    @property
    def incarnation(self) -> int:
        """Of this process, as the store counts them."""
        return self._store.incarnation

    def stuck(self, within: float) -> str:
        """The thread that has not gone round for `within` seconds, or has ended; empty where all is well."""
        oldest = time.monotonic() - within
        if self._turned_at < oldest or not self._thread.is_alive():
            return "the twins' thread"
        if self._log_turned_at < oldest or not self._log_keeper.is_alive():
            return "the store's log"
        return "the carrier" if self.carrier.turned_at < oldest else ""

    @property
    def hosted(self) -> list[str]:
        """The UAVs whose twins are here and have not been taken over by another RSU."""
        return self._hosted

    def room(self) -> dict[str, int]:
        """Bytes of the store, and what is free on its disk."""
        looked_at, found = self._room
        if time.monotonic() > looked_at + ROOM_FOR:
            found = {"store_bytes": self._store.size()}
            with contextlib.suppress(OSError):
                system = os.statvfs(self._store.path.parent)
                found["disk_free_bytes"] = system.f_bavail * system.f_frsize
            self._room = time.monotonic(), found
        return found

    @property
    def taken_in(self) -> int:
        """Bytes of chunks from other RSUs that have been put on the disk."""
        return self._host.state.taken_in

    @property
    def counts(self) -> Counter[str]:
        """What was refused or ignored, by why."""
        return Counter(dict(self._host.counts)) + Counter(dict(self.carrier.counts))

    # -- the thread --------------------------------------------------------------------------------------------------

    def _post(self, event: Event) -> None:
        self._queue.put(_Item(event))

    def _deliver(self, event: LinkEvent) -> None:
        """From the carrier's thread."""
        if not isinstance(event, Arrived):
            link = event.link
            self._post(lambda host, now: host.link_down(link, now))
            return
        link, peer, frame, size = event
        item = _Item(lambda host, now: host.receive(link, peer, frame, now), size, link)
        if isinstance(frame, Chunks):
            self._queue.put(item)
        else:
            self._queue.put(item._replace(size=-size))

    def _run(self) -> None:
        try:
            self._serve()
        except Exception as error:
            what = f"serving twins has ended: {error!r}"
            self.callbacks.trouble(StoreError(self._store.path, what, "restart this RSU, and report what it printed"))
            self.callbacks.ended("the twins' thread", error)
            raise

    def _serve(self) -> None:
        host, wake_at, last = self._host, 0.0, 0.0
        while not self._stopping:
            self._turned_at = time.monotonic()
            items = self._gather(wake_at, last)
            now = last = boot_time()
            carry_out(self._take_in(items, now), self.carrier, self._send, self.callbacks)
            for item in items:
                if item.link:
                    self.carrier.consumed(item.link, abs(item.size))
            now = boot_time()
            if items and now < wake_at and all(item.calm for item in items):
                continue
            try:
                wake_at = host.tick(now)
                carry_out(host.commit(now), self.carrier, self._send, self.callbacks)
            except StoreError as error:
                carry_out(host.roll_back(error), self.carrier, self._send, self.callbacks)
            except Exception as error:
                carry_out(host.set_aside(error), self.carrier, self._send, self.callbacks)
            self._tell()

    def _take_in(self, items: Sequence[_Item], now: float) -> list[Output]:
        """Let the host have what came in, all or nothing."""
        try:
            for item in items:
                item.event(self._host, now)
            return self._host.commit(now)
        except StoreError as error:
            return self._host.roll_back(error)
        except Exception as error:  # the last catch: what came in is as if it had been lost on the way
            return self._host.drop(error)

    def _gather(self, wake_at: float, last: float) -> list[_Item]:
        """What came in. While it is chunks or heartbeats alone, wait a little for more: the disk has less to do."""
        items: list[_Item] = []
        size, until = 0, wake_at
        while size < BATCH:
            patience = until - boot_time()
            try:
                item = self._queue.get(timeout=patience) if patience > 0 else self._queue.get_nowait()
            except queue.Empty:
                break
            if item is NUDGE:
                until = min(until, boot_time() + CALM_GATHER)
                continue
            items.append(item)
            size += max(item.size, 0)
            gather = GATHER if size < MUCH else LONG_GATHER
            until = last + gather if item.size > 0 and patience > 0 else -math.inf
        self._nudged = False  # before they are taken: who comes meanwhile says so again
        return [*(self._heard.popleft() for _ in range(len(self._heard))), *items]

    def _send(self, link: int, frame: Chunks | PeerMessage, paced: bool) -> None:
        self.carrier.send(link, encoded(frame), paced)

    def _tell(self) -> None:
        host = self._host
        self._progress, self._hosted = host.progress(), host.hosted
        if host.trouble is not self._trouble:
            self._trouble = host.trouble
            self.callbacks.trouble(host.trouble)
        size = self._store.log_size()
        if size > LONG_LOG:
            self._log_is_long.set()
        if size > TOO_LONG_LOG and not any(one.phase is Phase.FROZEN for one in self._progress):
            self._store.checkpoint()

    def _keep_log(self) -> None:
        try:
            while not self._stopping:
                self._log_turned_at = time.monotonic()
                if self._log_is_long.wait(TURN):
                    self._log_is_long.clear()
                    checkpoint_beside(self._store.path)
                    time.sleep(0.2)
        except Exception as error:
            self.callbacks.ended("the store's log", error)
            raise
