"""RSUs with real stores in virtual time: disks that are full, damaged, taken away; twins nobody claims."""

from __future__ import annotations

import errno
import os
from functools import partial
from pathlib import Path

import pytest

from test.twin.files import copied, is_empty, spoil
from test.twin.town import Town, live, others, settled
from uav_twin_migration.twin.hosting.admission import HostSettings
from uav_twin_migration.twin.hosting.host import TwinHost
from uav_twin_migration.twin.hosting.outputs import Expired
from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.store_reader import StoreError, StoreReplacedError
from uav_twin_migration.twin.hosting.twin import PAYLOAD_AT
from uav_twin_migration.twin.protocol.epochs import make_epoch, term_of
from uav_twin_migration.twin.protocol.messages import HostRequest, Reason
from uav_twin_migration.twin.protocol.replica_state import Status

# -- the disk ----------------------------------------------------------------------------------------------------------


def test_a_disk_that_refuses_now_and_then_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    town = settled(Town(tmp_path, seed=3))
    failures = 0
    commit = Store.commit

    def unreliable(store: Store) -> None:
        nonlocal failures
        if store.dirty and town.chance.random() < 0.1:
            failures += 1
            raise StoreError(store.path, "the disk is full", "free some space", Reason.FULL)
        commit(store)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "commit", unreliable)
        for _ in range(20):
            town.migrate(town.chance.choice(others(town)))
            live(town, 1.0)
    assert failures > 10
    town.run_until(lambda: town.is_served() and len(town.hosts()) == 1, limit=90.0)
    live(town, 2.0)
    town.check_acknowledged()


def test_a_full_disk_refuses_new_twins_tells_so_and_serves_on(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    host, (target, _) = town.host_discovery.host, others(town)
    there = town.rsus[target].host
    assert there is not None

    def full(file: int, contents: object) -> list[int]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(there.store._blocks, "write", full)
    town.migrate(target)
    town.run_until(lambda: there.trouble is not None)
    assert "the disk is full" in str(there.trouble)
    live(town, 5.0)
    assert town.reports[0].reason in (Reason.FULL, Reason.STORE)
    assert town.hosts() == [host]
    assert town.is_served()
    monkeypatch.undo()
    live(town, 15.0)
    town.migrate(target)
    live(town, 5.0)
    assert town.hosts() == [target]
    town.check_acknowledged()


def test_a_twin_whose_payload_was_damaged_while_its_rsu_was_down_is_not_served(town: Town) -> None:
    host = town.host_discovery.host
    town.rsus[host].crash()
    with Store(town.rsus[host].path, host) as store:
        spoil(store, PAYLOAD_AT)
    town.rsus[host].start()
    here = town.rsus[host].host
    assert here is not None
    assert "chunk 1024 is not what was stored" in str(here.trouble)
    assert here.host_heartbeats(town.now) == []
    town.run(20.0)
    assert town.is_served()
    assert town.host_discovery.host != host


def test_damage_on_the_disk_is_found_while_the_twin_is_served(town: Town) -> None:
    host = town.host_discovery.host
    here = town.rsus[host].host
    assert here is not None
    spoil(here.store, PAYLOAD_AT)
    town.run(5.0)
    assert "chunk 1024 is not what was stored" in str(here.trouble)
    assert here.host_heartbeats(town.now) == []
    town.run(20.0)
    assert town.is_served()
    assert town.host_discovery.host != host


def test_a_damaged_twin_is_told_not_served_and_kept_while_the_uav_moves_on(town: Town) -> None:
    host = town.host_discovery.host
    town.rsus[host].crash()
    with Store(town.rsus[host].path, host) as store:
        spoil(store, 0)
    town.rsus[host].start()
    here = town.rsus[host].host
    assert here is not None
    assert "twin of u1 is damaged" in str(here.trouble)
    assert here.host_heartbeats(town.now) == []
    town.run(20.0)
    assert town.is_served()
    assert town.host_discovery.host != host
    assert town.hosted_twin(host).replica_state.record.status is Status.FENCED
    assert town.hosted_twin(host).own is not None


# -- the store is taken away, or an older one is put back --------------------------------------------------------------


def test_a_host_whose_store_is_deleted_serves_nothing_and_another_takes_the_twin(town: Town) -> None:
    old, epoch = town.host_discovery.host, town.host_discovery.epoch
    host = town.rsus[old].host
    assert host is not None
    assert host.served(town.now, town.now)
    town.rsus[old].path.unlink()
    town.run(0.5)
    assert isinstance(host.trouble, StoreReplacedError)
    assert not host.served(town.now, town.now)
    assert not host.host_heartbeats(town.now)
    town.run_until(lambda: town.host_discovery.host not in ("", old))
    assert term_of(town.host_discovery.epoch) > term_of(epoch)
    town.run_until(town.is_served)


def test_a_store_that_was_restored_from_a_copy_is_a_takeover(town: Town, tmp_path: Path) -> None:
    name, epoch = town.host_discovery.host, town.host_discovery.epoch
    rsu = town.rsus[name]
    rsu.crash()
    copy = copied(rsu.path, tmp_path / "backup")
    rsu.start()
    town.run_until(town.is_served)
    live(town, 3.0)
    rsu.crash()
    copied(copy, rsu.path.parent)
    rsu.start()
    town.run(0.3)
    assert not town.is_served()
    assert town.host_discovery.fall is not None
    assert town.host_discovery.fall.told < town.host_discovery.fall.known
    town.run_until(town.is_served)
    assert term_of(town.host_discovery.epoch) == term_of(epoch) + 1
    assert town.hosts() == [name]
    town.acked.clear()  # some of it is gone with the store
    live(town, 1.0)
    town.check_acknowledged()


# -- what is never heard of again --------------------------------------------------------------------------------------


def rows(town: Town, name: str) -> int:
    host = town.rsus[name].host
    assert host is not None
    return int(host.store._value("SELECT count(*) FROM twins"))


def test_a_twin_that_was_asked_for_and_never_claimed_goes_without_a_trace(town: Town) -> None:
    name = others(town)[0]
    host = town.rsus[name].host
    assert host is not None
    for number in range(5):
        request = HostRequest(f"invented_{number}", name, make_epoch(3), 100_000)
        town.tell(name, partial(TwinHost.request, request=request, now=town.now))
    town.run(1.0)
    assert len(host.hosted) == rows(town, name) == 5
    town.run(host.state.settings.keep_unserved + 1.0)
    assert (host.hosted, rows(town, name), host.counts["never_claimed"]) == ([], 0, 5)
    assert is_empty(host.store)
    assert town.is_served()


def test_so_many_twins_that_nobody_claims_are_taken_and_no_more(town: Town) -> None:
    name = others(town)[0]
    host = town.rsus[name].host
    assert host is not None
    most = host.state.settings.most_unclaimed
    for number in range(most + 10):
        request = HostRequest(f"invented_{number}", name, make_epoch(3), 1000)
        town.tell(name, partial(TwinHost.request, request=request, now=town.now))
    town.run(0.1)
    assert len(host.hosted) == most
    town.migrate(name)
    live(town, 3.0)
    assert town.host_discovery.host == name  # who is served elsewhere comes in all the same
    town.run(host.state.settings.keep_unserved + 1.0)
    assert host.hosted == ["u1"]


def test_a_twin_whose_uav_is_silent_is_kept_for_long_and_its_going_is_told(tmp_path: Path) -> None:
    town = settled(Town(tmp_path, settings=HostSettings(flush_period=0.2, keep_unheard=200.0)))
    name, epoch = town.host_discovery.host, town.host_discovery.epoch
    host, told = town.rsus[name].host, list[Expired]()
    assert host is not None
    now = town.now
    for _ in range(180):
        now += 1.0
        host.tick(now)
        told += [one for one in host.commit(now) if isinstance(one, Expired)]
    assert (host.hosted, told) == (["u1"], [])
    for _ in range(30):
        now += 1.0
        host.tick(now)
        told += [one for one in host.commit(now) if isinstance(one, Expired)]
    assert host.hosted == []
    assert [(one.uav, one.status, one.served) for one in told] == [("u1", "hosting", True)]
    assert host.state.twins["u1"].replica_state.record.newest_epoch == epoch
