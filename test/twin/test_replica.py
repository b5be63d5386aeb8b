"""Replicas: RSUs with real stores in virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from test.twin.files import delete
from test.twin.town import Town
from uav_twin_migration.twin.hosting.store_reader import Copy
from uav_twin_migration.twin.protocol.chunks import Chunk
from uav_twin_migration.twin.protocol.epochs import term_of
from uav_twin_migration.twin.protocol.flow import Flow
from uav_twin_migration.twin.protocol.messages import LeaseRenewal, Purpose
from uav_twin_migration.twin.protocol.replica_state import Status

RATE = 1e6  # bytes/s


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """A town whose UAV is hosted by A and has a replica at B."""
    town = Town(tmp_path, replica_host="B", rate=RATE)
    town.run_until(town.is_served)
    assert town.host_discovery.host == "A"
    live(town, 4.0)
    assert kept_up(town)
    return town


def live(town: Town, seconds: float) -> None:
    """Telemetry and changes all the time."""
    for _ in range(int(seconds / 0.1)):
        town.observe()
        town.run(0.1)


def kept_up(town: Town, name: str = "B") -> bool:
    return town.hosted_twin(name).replica_state.record.status is Status.REPLICA


def age(town: Town) -> float:
    host = town.rsus[town.host_discovery.host].host
    assert host is not None
    return host.replica_ages(town.now)["u1"]


def lose(town: Town, name: str) -> None:
    """The RSU is gone, and its disk."""
    town.rsus[name].crash()
    delete(town.directory / f"{name}.db")


def flow(town: Town) -> Flow:
    found = town.hosted_twin("A").outbound[Purpose.REPLICATION].flow
    assert found is not None
    return found


def sent(town: Town) -> int:
    return flow(town).bytes_sent


def test_a_replica_follows_by_changes_alone(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    host, before, left = town.rsus["A"].host, sent(town), flow(town).remaining
    assert host is not None
    assert before > town.size
    changed, change = list[int](), host.store.change

    def counted(copy: Copy, chunks: Sequence[Chunk]) -> None:
        changed.extend(len(one.content) for one in chunks)
        change(copy, chunks)

    monkeypatch.setattr(host.store, "change", counted)
    for _ in range(100):
        live(town, 0.1)
        assert age(town) < 2.0
    assert 0 < sent(town) - before <= left + sum(changed)
    town.check_acknowledged()


def test_a_replica_begins_when_the_twin_is_whole(tmp_path: Path) -> None:
    """Before, nobody can be told how large it will be, and a replica's host takes no more than it was told of."""
    size = 20_000_000
    town = Town(tmp_path, replica_host="B", rate=10 * RATE, size=size)
    town.run_until(lambda: "A" in town.hosts())
    epoch = town.hosted_twin("A").replica_state.record.epoch
    filling = 0
    while town.hosted_twin("A").filling is not None:
        for name in "BA":  # the UAV is quick
            town.tell(name, lambda host: host.recognise(LeaseRenewal("u1", "A", epoch, epoch, None, "B"), town.now))
        assert town.hosted_twin("A").replica_state.replication is None
        town.run(0.002)
        filling += 1
    assert filling > 1
    town.run_until(lambda: kept_up(town))
    host = town.rsus["B"].host
    assert host is not None
    assert host.counts["chunks_too_large"] == 0
    assert sent(town) < 1.2 * size  # it went over once


def test_a_replica_costs_bandwidth_that_was_bought(town: Town) -> None:
    town.rate = 0.0
    town.tell("A", lambda host: host.grant("u1", 0.0, town.now))
    live(town, 1.0)
    before = sent(town)
    live(town, 5.0)
    assert sent(town) == before
    assert age(town) > 4.0
    town.rate = RATE
    live(town, 3.0)
    assert age(town) < 2.0


def test_the_replica_takes_over_when_the_host_is_lost(town: Town) -> None:
    live(town, 3.0)
    behind, acknowledged = age(town), list(town.acked)
    lost_at = town.now
    lose(town, "A")
    town.run_until(lambda: town.host_discovery.host == "B" and town.is_served())
    sequences = {one.sequence for one in town.history("B")}
    missing = [sequence for sequence in acknowledged if sequence not in sequences]
    assert missing == acknowledged[len(acknowledged) - len(missing) :]  # the newest
    assert len(missing) * 0.1 <= behind + 0.1
    assert town.now - lost_at < 15.0
    host = town.rsus["B"].host
    assert host is not None
    own = town.hosted_twin("B").own
    assert own is not None
    assert list(host.store.damaged(own)) == []


def test_a_host_that_returns_after_a_takeover_is_fenced(town: Town) -> None:
    epoch = town.host_discovery.epoch
    town.rsus["A"].crash()
    town.run_until(lambda: town.host_discovery.host == "B" and town.is_served())
    town.rsus["A"].start()
    live(town, 5.0)
    assert town.hosts() == ["B"]
    assert term_of(town.host_discovery.epoch) > term_of(epoch)
    assert town.hosted_twin("A").replica_state.record.status in (Status.FENCED, Status.REPLICA)


def taken_over(town: Town) -> None:
    """B takes over from A, which comes back, is named for the replica, and gets one; other chunks change meanwhile."""
    town.rsus["A"].crash()
    town.run_until(lambda: town.host_discovery.host == "B" and town.is_served())
    live(town, 2.0)
    town.rsus["A"].start()
    fenced = town.hosted_twin("A")
    assert fenced.own is not None
    town.host_discovery = town.host_discovery.__class__(**{**town.host_discovery.__dict__, "replica_host": "A"})


def test_after_a_takeover_the_next_replica_takes_changes_alone(tmp_path: Path) -> None:
    town = Town(tmp_path, replica_host="B", rate=RATE, size=3_000_000)
    town.run_until(town.is_served)
    live(town, 6.0)
    assert kept_up(town)
    taken_over(town)
    live(town, 6.0)
    assert kept_up(town, "A")
    flow = town.hosted_twin("B").outbound[Purpose.REPLICATION].flow
    assert flow is not None
    assert flow.known
    assert flow.bytes_sent < town.size / 2  # with what changed in eight seconds
    lose(town, "B")  # what A put together is a whole twin
    town.run_until(lambda: town.host_discovery.host == "A" and town.is_served())
    store, own = town.hosted_twin("A"), town.rsus["A"].host
    assert own is not None
    assert store.own is not None
    assert list(own.store.damaged(store.own)) == []


def test_after_a_takeover_what_is_damaged_is_sent(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    taken_over(town)
    host, own = town.rsus["A"].host, town.hosted_twin("A").own
    assert host is not None
    read = host.store.read
    monkeypatch.setattr(host.store, "read", lambda copy, number: b"rot" if copy == own else read(copy, number))
    live(town, 8.0)
    assert kept_up(town, "A")
    assert town.hosted_twin("A").own != own
    assert age(town) < 2.0


def test_a_twin_moves_to_its_replica_host_by_changes_and_the_two_change_places(town: Town) -> None:
    town.migrate("B", RATE)
    live(town, 3.0)
    assert town.hosts() == ["B"]
    (report,) = town.reports
    assert report.reason is None
    assert report.sent < report.size / 2
    assert town.host_discovery.replica_host == "A"
    assert kept_up(town, "A")
    live(town, 3.0)
    assert age(town) < 2.0
    town.check_acknowledged()


def test_a_twin_that_moves_elsewhere_keeps_its_replica_host(town: Town) -> None:
    before = town.hosted_twin("B").own
    town.migrate("C", RATE)
    live(town, 5.0)
    assert town.hosts() == ["C"]
    assert town.hosted_twin("A").replica_state.record.status is Status.ABSENT
    assert kept_up(town)
    assert town.hosted_twin("B").own == before  # no second copy was made
    assert age(town) < 2.0
    lose(town, "C")
    town.run_until(lambda: town.host_discovery.host == "B" and town.is_served())
    assert len(town.history("B")) > 50


def test_a_migration_and_a_replica_share_what_was_bought(tmp_path: Path) -> None:
    town = Town(tmp_path, replica_host="B", rate=RATE, size=3_000_000)
    town.run_until(town.is_served)
    live(town, 6.0)
    town.migrate("C", RATE)
    for _ in range(30):
        live(town, 0.1)
        assert age(town) < 2.5
    hosted_twin = town.hosted_twin("A")
    assert sum(outbound.rate for outbound in hosted_twin.outbound.values()) == RATE
    assert set(hosted_twin.outbound) == set(Purpose)
    live(town, 4.0)
    assert town.hosts() == ["C"]


def test_nobody_begins_anew_while_a_replica_may_come_back(town: Town) -> None:
    town.rsus["A"].crash()
    town.rsus["B"].crash()
    town.run(30.0)
    assert town.host_discovery.host == ""
    town.rsus["B"].start()
    town.run_until(lambda: town.host_discovery.host == "B" and town.is_served())
    assert len(town.history("B")) > 10


def test_a_twin_begins_anew_when_nobody_who_has_it_comes_back(town: Town) -> None:
    lose(town, "A")
    lose(town, "B")
    town.run_until(lambda: town.host_discovery.host == "C" and town.is_served(), limit=100.0)
    assert town.history("C") == []


def test_a_replica_host_that_restarts_goes_on_from_what_it_has(town: Town) -> None:
    own = town.hosted_twin("B").own
    town.rsus["B"].crash()
    live(town, 3.0)
    town.rsus["B"].start()
    live(town, 8.0)
    assert town.hosted_twin("B").own == own
    assert age(town) < 2.0


def test_a_replica_host_that_lost_its_disk_gets_a_whole_copy_again(town: Town) -> None:
    lose(town, "B")
    live(town, 1.0)
    town.rsus["B"].start()
    live(town, 10.0)
    assert kept_up(town)
    assert age(town) < 2.0


def test_a_copy_that_nobody_wants_any_more_goes(town: Town) -> None:
    town.host_discovery = town.host_discovery.__class__(**{**town.host_discovery.__dict__, "replica_host": "C"})
    live(town, 10.0)
    assert kept_up(town, "C")
    assert kept_up(town)
    live(town, 60.0)
    assert not kept_up(town)
    assert town.hosted_twin("B").own is None


@pytest.mark.parametrize("seed", range(8))
def test_a_replica_survives_losses_breaks_and_crashes(tmp_path: Path, seed: int) -> None:
    town = Town(tmp_path, replica_host="B", rate=RATE, seed=seed, loss=0.02)
    town.run_until(town.is_served)
    for _ in range(12):
        live(town, 2.0)
        rsu = town.rsus[town.chance.choice("ABC")]
        if rsu.host is not None and town.chance.random() < 0.5:
            rsu.crash()
            live(town, town.chance.uniform(0.1, 2.0))
            rsu.start()
        if town.chance.random() < 0.3:
            town.migrate(town.chance.choice("ABC"), RATE)
    town.loss = 0.0
    live(town, 30.0)
    town.check_acknowledged()
    assert age(town) < 2.0
