"""How often a host writes: what many twins change goes to the disk in few commits, and in time."""

from __future__ import annotations

from pathlib import Path

import pytest

from uav_twin_migration.twin.hosting.admission import HostSettings
from uav_twin_migration.twin.hosting.estimate import Telemetry
from uav_twin_migration.twin.hosting.host import TwinHost
from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.store_reader import StoreReplacedError
from uav_twin_migration.twin.hosting.twin import UavTwins
from uav_twin_migration.twin.protocol.epochs import make_epoch
from uav_twin_migration.twin.protocol.messages import HostRequest, LeaseRenewal, Stamp

UAVS = [f"u{number}" for number in range(20)]
EPOCH = make_epoch(1)
PERIOD = 0.5  # s


class CountingStore(Store):
    """Notes the bytes of each write."""

    written: list[int]

    def write(self, copy, chunks) -> None:  # type: ignore[no-untyped-def]
        self.written = [*getattr(self, "written", []), sum(len(chunk.content) for chunk in chunks)]
        super().write(copy, chunks)


@pytest.fixture
def store(tmp_path: Path) -> CountingStore:
    return CountingStore(tmp_path / "twins.db", "rsu1")


def request_all(host: TwinHost, size: int) -> None:
    for uav in UAVS:
        host.request(HostRequest(uav, "rsu1", EPOCH, size), 0.0)
    host.commit(0.0)


def settle(host: TwinHost, now: float) -> int:
    """Tick until there is nothing to do at once. Returns how many ticks that took."""
    for count in range(10_000):
        wake_at = host.tick(now)
        host.commit(now)
        if wake_at > now:
            return count
    raise AssertionError("it never comes to rest")


def heartbeat(host: TwinHost, uav: str, number: int, now: float) -> None:
    host.recognise(LeaseRenewal(uav, "rsu1", EPOCH, EPOCH, Stamp(host.store.incarnation, now)), now)
    assert host.observe(uav, Telemetry(number, now, (now, 0.0, 100.0), (1.0, 0.0, 0.0)), now, now)
    host.commit(now)


def test_what_all_twins_change_in_a_period_is_one_commit(store: CountingStore) -> None:
    host = TwinHost(store, UavTwins(), 0.0, HostSettings(flush_period=PERIOD))
    request_all(host, 10_000)
    settle(host, 0.0)
    before, now, wake_at = store.commits, 0.0, 0.0
    for number in range(1, 401):  # each twin hears twice a second, at another time than the others
        now = number * PERIOD / len(UAVS)
        heartbeat(host, UAVS[number % len(UAVS)], number, now)
        if now >= wake_at:
            wake_at = host.tick(now)
            host.commit(now)
    assert store.commits - before == pytest.approx(now / PERIOD, abs=2)
    host.tick(now + PERIOD)
    host.commit(now + PERIOD)
    store.close()
    again = TwinHost(Store(store.path, "rsu1"), UavTwins(), now)
    for visible in again.state.visible.values():
        assert visible.twin is not None
        assert len(visible.twin.history()) == 20  # type: ignore[attr-defined]
    again.store.close()


def test_many_new_twins_are_written_a_little_at_a_time(store: CountingStore) -> None:
    host = TwinHost(store, UavTwins(), 0.0)
    size = 300_000
    request_all(host, size)
    ticks = settle(host, 0.0)
    assert ticks >= len(UAVS) * size / (HostSettings.fill + size)
    assert max(store.written) < HostSettings.fill + size
    assert len(host.hosted) == len(UAVS)
    assert all(own is not None and own.whole for _, own, _ in store.load().values())
    store.close()


def test_the_page_cache_is_small(store: CountingStore) -> None:
    pages = store._value("PRAGMA cache_size")
    assert 0 < pages * store._value("PRAGMA page_size") <= 2**21
    store.close()


def test_a_long_flush_period_delays_no_look_at_the_file(store: CountingStore) -> None:
    host = TwinHost(store, UavTwins(), 0.0, HostSettings(flush_period=60.0))
    assert host.tick(0.0) <= 1.0
    store.path.unlink()
    with pytest.raises(StoreReplacedError):
        host.tick(1.0)
