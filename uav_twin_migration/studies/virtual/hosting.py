"""An RSU's twins in virtual time: what `twin/hosting/runtime.py` is with threads, sockets and a disk.

Events gather while the last commit is on its way to the disk, and chunks a little longer; then the host has them all,
commits once, and what it says goes out when the disk has it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from uav_twin_migration.scenario.chance import Draw
from uav_twin_migration.studies.virtual.carrier import Carrier
from uav_twin_migration.studies.virtual.events import Process
from uav_twin_migration.twin.hosting.admission import HostSettings
from uav_twin_migration.twin.hosting.application import Application
from uav_twin_migration.twin.hosting.carrying_out import Callbacks, carry_out
from uav_twin_migration.twin.hosting.host import TwinHost
from uav_twin_migration.twin.hosting.outputs import Output
from uav_twin_migration.twin.hosting.runtime import CALM_GATHER, GATHER, LONG_GATHER, MUCH
from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.store_reader import StoreError
from uav_twin_migration.twin.protocol.wire import Chunks

Event = Callable[[TwinHost, float], object]
T = TypeVar("T")


class _Item(NamedTuple):
    event: Event
    size: int = 0  # bytes of chunks; such events can wait for more of their kind
    calm: bool = False  # nothing to look after sooner because of it


class Hosting:
    """One incarnation of an RSU's twin service."""

    def __init__(
        self,
        process: Process,
        carrier: Carrier,
        store: Store,
        disk_delay: Draw,
        application: Application,
        settings: HostSettings,
        callbacks: Callbacks,
        wall_clock: float,
    ) -> None:
        """store: in memory or on a disk. disk_delay: s until a commit is on it. wall_clock: s since 1970, at time 0."""
        self._process, self._events, self._carrier, self._callbacks = process, process.events, carrier, callbacks
        self._store, self._disk_delay = store, disk_delay
        now = self._events.now
        self.host = TwinHost(self._store, application, now, settings, carrier.queued, wall_clock + now)
        carrier.deliver, carrier.broken = self._arrived, self._broken
        self._items: list[_Item] = []
        self._turn_at = math.inf
        self._last = self._busy_until = self._wake_at = now
        self._turn_by(now)

    @property
    def incarnation(self) -> int:
        """Of this process, as the store counts them."""
        return self._store.incarnation

    def close(self) -> None:
        """The process is gone: what was not committed is forgotten."""
        self._store.close()

    def post(self, event: Event, calm: bool = False) -> None:
        """Let the host have an event at its next turn; calm ones wait a little for others, as the service has them."""
        self._items.append(_Item(event, calm=calm))
        self._turn_by(self._events.now + (CALM_GATHER if calm else 0.0))

    def _arrived(self, link: int, peer: str, frame: Any, size: int) -> None:
        bulk = isinstance(frame, Chunks)
        event = partial(_receive, link, peer, frame)
        self._items.append(_Item(event, size if bulk else 0))
        if bulk and len(self._items) == sum(item.size > 0 for item in self._items):
            size = sum(item.size for item in self._items)
            self._turn_by(max(self._events.now, self._last + (GATHER if size < MUCH else LONG_GATHER)))
        else:
            self._turn_by(self._events.now)

    def _broken(self, link: int) -> None:
        self.post(lambda host, now: host.link_down(link, now))

    def _turn_by(self, time: float) -> None:
        """Have a turn at that time at the latest."""
        time = max(time, self._busy_until)
        if time < self._turn_at:
            self._turn_at = time
            self._process.at(time, partial(self._turn, time))

    def _turn(self, time: float) -> None:
        if time != self._turn_at:
            return  # there was an earlier one
        self._turn_at = math.inf
        now = self._last = self._events.now
        items, self._items = self._items, []
        if items:
            self._do(lambda: [item.event(self.host, now) for item in items])
        if not items or now >= self._wake_at or not all(item.calm for item in items):
            self._wake_at = self._do(lambda: self.host.tick(now)) or now
        self._turn_by(self._wake_at)

    def _do(self, work: Callable[[], T]) -> T | None:
        """Have the host do something and put it on the disk; when it is there, what is to be done about it is done.

        Where the disk refuses, all of that is undone: None.
        """
        before, done = self._store.commits, None
        try:
            done = work()
            outputs = self.host.commit(self._events.now)
        except StoreError as error:
            done, outputs = None, self.host.roll_back(error)
        if self._store.commits > before:
            self._busy_until = max(self._busy_until, self._events.now) + self._disk_delay()
        if outputs:
            if self._busy_until > self._events.now:
                self._process.at(self._busy_until, partial(self._carry_out, outputs))
            else:
                self._carry_out(outputs)
        return done

    def _carry_out(self, outputs: Sequence[Output]) -> None:
        carry_out(outputs, self._carrier, self._carrier.send, self._callbacks)


def _receive(link: int, peer: str, frame: Any, host: TwinHost, now: float) -> None:
    host.receive(link, peer, frame, now)
