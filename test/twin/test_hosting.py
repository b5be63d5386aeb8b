"""RSUs with real stores in virtual time: migrations, re-hosting, draining, faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from test.twin.files import is_empty
from test.twin.town import Town, live, others, settled
from uav_twin_migration.twin.hosting.admission import HostSettings
from uav_twin_migration.twin.protocol.epochs import term_of
from uav_twin_migration.twin.protocol.messages import MigrateRequest, Reason
from uav_twin_migration.twin.protocol.replica_state import Status

# -- as it should be ---------------------------------------------------------------------------------------------------


def test_a_uav_without_a_host_gets_one(town: Town) -> None:
    assert town.hosts() == [town.host_discovery.host]
    assert len(town.acked) > 10
    town.check_acknowledged()


def test_a_twin_moves_with_all_that_was_acknowledged(town: Town) -> None:
    old, epoch, (target, _) = town.host_discovery.host, town.host_discovery.epoch, others(town)
    town.migrate(target)
    live(town, 3.0)
    assert town.hosts() == [town.host_discovery.host] == [target]
    assert town.host_discovery.epoch == epoch + 1
    assert town.hosted_twin(old).replica_state.record.status is Status.ABSENT
    assert town.hosted_twin(old).own is None
    (report,) = town.reports
    assert (report.reason, report.source, report.target) == (None, old, target)
    assert 0 < report.downtime < 0.1
    assert report.sent >= report.size > town.size
    town.check_acknowledged()
    town.run(5.0)
    host = town.rsus[old].host
    assert host is not None
    assert is_empty(host.store)


def test_a_twin_goes_round_many_times(town: Town) -> None:
    for turn in range(12):
        town.migrate(others(town)[turn % 2])
        live(town, 1.0)
    assert [report.reason for report in town.reports] == [None] * 12
    assert len(town.hosts()) == 1
    town.check_acknowledged()


def test_a_cancelled_migration_leaves_the_twin_where_it_was(tmp_path: Path) -> None:
    town = settled(Town(tmp_path, size=3_000_000))
    host = town.host_discovery.host
    town.migrate(others(town)[0])
    town.run(0.5)
    town.cancel()
    live(town, 2.0)
    assert [report.reason for report in town.reports] == [Reason.CANCELLED]
    assert town.hosts() == [host]
    assert town.is_served()
    assert all(town.hosted_twin(name).replica_state.record.inbound is None for name in others(town))
    town.check_acknowledged()


def test_a_migration_without_bandwidth_ends_after_a_while(town: Town) -> None:
    host = town.host_discovery.host
    town.migrate(others(town)[0], rate=0.0)
    live(town, 2.0)
    assert town.reports == []
    live(town, 2.0)
    assert [report.reason for report in town.reports] == [Reason.LEASE_LOST]
    assert town.hosts() == [host]
    assert town.is_served()


def test_a_second_request_is_refused_while_a_migration_is_under_way(town: Town) -> None:
    first, second = others(town)
    town.migrate(first, rate=0.0)
    town.migrate(first, rate=0.0)
    town.migrate(second)
    town.run(0.1)
    assert [(report.target, report.reason) for report in town.reports] == [(second, Reason.BUSY)]


@pytest.mark.parametrize("target", ["Z", "itself"])
def test_a_target_that_is_none_leaves_the_twin_where_it_was(town: Town, target: str) -> None:
    host = town.host_discovery.host
    town.migrate(host if target == "itself" else target)
    live(town, 70.0)
    expected = Reason.INVALID if target == "itself" else Reason.UNREACHABLE
    assert [report.reason for report in town.reports] == [expected]
    assert town.hosts() == [host]
    assert town.is_served()


def test_a_request_for_another_hosting_or_twin_is_refused(town: Town) -> None:
    target, _ = others(town)
    here = town.rsus[town.host_discovery.host]
    here.feed(lambda host: host.migrate(MigrateRequest("u1", town.host_discovery.epoch - 1, target), 1e6, town.now))
    here.feed(lambda host: host.migrate(MigrateRequest("nobody", 7, target), 1e6, town.now))
    assert [report.reason for report in town.reports] == [Reason.STALE, Reason.UNKNOWN]


def test_a_draining_rsu_moves_its_twins_away_and_takes_none(town: Town) -> None:
    going, target = town.host_discovery.host, others(town)[0]
    town.tell(going, lambda host: host.drain([target], 1e7, town.now))
    live(town, 3.0)
    assert town.hosts() == [town.host_discovery.host] == [target]
    town.migrate(going)
    live(town, 2.0)
    assert [report.reason for report in town.reports] == [None, Reason.DRAINING]
    town.tell(going, lambda host: host.stop_draining())
    town.migrate(going)
    live(town, 2.0)
    assert town.hosts() == [going]
    town.check_acknowledged()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (HostSettings(most_twins=0), Reason.FULL),
        (HostSettings(reserve=1 << 60), Reason.FULL),
        (HostSettings(largest_twin=100_000), Reason.TOO_LARGE),
    ],
)
def test_a_target_without_room_refuses(town: Town, settings: HostSettings, reason: Reason) -> None:
    host, (target, _) = town.host_discovery.host, others(town)
    there = town.rsus[target].host
    assert there is not None
    there.state.settings = settings
    town.migrate(target)
    live(town, 2.0)
    assert [report.reason for report in town.reports] == [reason]
    assert town.hosts() == [host]
    assert town.is_served()


# -- crashes -----------------------------------------------------------------------------------------------------------


def test_a_restarted_host_goes_on_with_the_same_epoch(town: Town) -> None:
    host, epoch = town.host_discovery.host, town.host_discovery.epoch
    town.rsus[host].crash()
    town.run(2.0)
    assert not town.is_served()
    town.rsus[host].start()
    live(town, 2.0)
    assert (town.host_discovery.host, town.host_discovery.epoch) == (host, epoch)
    assert town.is_served()
    town.check_acknowledged()


def test_a_dead_host_is_replaced_under_a_higher_term_and_fenced_when_it_returns(town: Town) -> None:
    dead, epoch = town.host_discovery.host, town.host_discovery.epoch
    town.rsus[dead].crash()
    town.run(20.0)
    assert town.is_served()
    assert town.host_discovery.host != dead
    assert term_of(town.host_discovery.epoch) > term_of(epoch)
    town.rsus[dead].start()
    live(town, 3.0)
    assert town.hosts() == [town.host_discovery.host]
    assert town.host_discovery.host != dead
    assert town.hosted_twin(dead).replica_state.record.status is Status.FENCED


def test_a_migration_goes_on_where_a_break_stopped_it(tmp_path: Path) -> None:
    town = settled(Town(tmp_path, size=8_000_000))
    target, _ = others(town)
    town.migrate(target, rate=4e6)
    town.run_until(
        lambda: (inbound := town.hosted_twin(target).inbound_chunks) is not None and inbound.total > 1_000_000
    )
    town.hang_up(target)
    town.run(0.05)
    inbound = town.hosted_twin(target).replica_state.record.inbound
    assert inbound is not None
    assert inbound.version > 0
    live(town, 5.0)
    assert town.hosts() == [target]
    (report,) = town.reports
    assert report.sent < 1.3 * report.size
    town.check_acknowledged()


@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_lost_whatever_breaks(tmp_path: Path, seed: int) -> None:
    town = Town(tmp_path, seed=seed, loss=0.03)
    town.run_until(town.is_served)
    for _ in range(150):
        town.observe()
        town.run(town.chance.uniform(0.0, 0.1))
        if town.chance.random() < 0.1:
            town.migrate(town.chance.choice(others(town)))
        if town.chance.random() < 0.04:
            rsu = town.chance.choice(list(town.rsus.values()))
            if rsu.host is not None:
                rsu.crash()
                town.run(town.chance.uniform(0.0, 3.0))
                rsu.start()
    town.loss = 0.0
    town.run_until(lambda: town.is_served() and len(town.hosts()) == 1, limit=90.0)
    live(town, 1.0)
    assert len(town.acked) > 20
    assert all(
        term_of(epoch) == term_of(town.host_discovery.epoch) for _, _, epoch in town.served
    )  # it never began anew
    town.check_acknowledged()
