"""What is in a store, and whether it is whole: each twin's place in the protocol, every chunk against its digest."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from uav_twin_migration.twin.hosting.store_reader import Copy, Stored, StoreError, StoreReader
from uav_twin_migration.twin.hosting.twin import UavTwin, UavTwins
from uav_twin_migration.twin.protocol.replica_state import Status

MOST_NAMED = 5  # damaged chunks that are named one by one


@dataclass
class Inspected:
    """One twin in a store."""

    uav: str
    state: str  # hosting, handing_over, fenced, replica, or absent (moved away, or only inbound)
    epoch: int  # of the own copy; 0 where there is none
    newest_epoch: int  # no hosting up to this epoch begins here again
    successor: str = ""  # to whom it is being handed over
    application: str = ""
    size: int = 0  # bytes of the own copy
    chunks: int = 0
    records: int = 0  # of telemetry in the history
    first: float | None = None  # s, time stamps of the oldest record and of the newest
    last: float | None = None
    inbound_from: str = ""  # from whom a copy is being taken
    inbound_size: int = 0  # bytes of that
    prepared: bool = False  # whether that copy is whole
    problems: list[str] = field(default_factory=list)


def inspect(store: StoreReader) -> Iterator[Inspected]:
    """Each twin of a store, one after the other; reads every byte. Raises StoreError where the file is beyond that."""
    for uav, stored in store.load().items():
        yield _inspect(store, uav, stored)


def _inspect(store: StoreReader, uav: str, stored: Stored) -> Inspected:
    record = stored.record
    found = Inspected(uav, record.status.value, record.epoch, record.newest_epoch, record.target)
    if stored.own is not None:
        found.application = stored.own.application
        found.size, found.chunks = _verify(store, stored.own, "", found.problems)
        _read_history(store, stored.own, found)
    elif record.status is not Status.ABSENT:
        found.problems.append(f"it is {record.status.value}, and there is no copy of it")
    if record.inbound is not None and stored.inbound is not None:
        found.inbound_from, found.prepared = record.inbound.source, record.inbound.prepared
        found.inbound_size, _ = _verify(store, stored.inbound, "inbound copy: ", found.problems)
    return found


def _verify(store: StoreReader, copy: Copy, which: str, problems: list[str]) -> tuple[int, int]:
    """Bytes and chunks of a copy; adds what is wrong with it."""
    entries = store.entries(copy)
    damaged = list(store.damaged(copy))
    if damaged:
        named = ", ".join(map(str, damaged[:MOST_NAMED])) + (", ..." if len(damaged) > MOST_NAMED else "")
        problems.append(f"{which}{len(damaged)} of {len(entries)} chunks are not what was stored: {named}")
    return sum(entry.size for entry in entries), len(entries)


def _read_history(store: StoreReader, copy: Copy, found: Inspected) -> None:
    """What the twin remembers, where it is a twin of ours and its first snapshot was all written."""
    if copy.application != UavTwins.name or not copy.whole:
        return
    try:
        history = UavTwin.restored(found.uav, partial(store.read, copy)).history(partial(store.read, copy))
    except (ValueError, KeyError, TypeError, struct.error, StoreError) as error:
        found.problems.append(f"it cannot be made of its chunks: {error}")
        return
    found.records = len(history)
    if history:
        found.first, found.last = history[0].stamp, history[-1].stamp
