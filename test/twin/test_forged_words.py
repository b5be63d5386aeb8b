"""Words that nobody can mean: of the far future, in others' names, about what never was."""

from __future__ import annotations

from pathlib import Path

import pytest

from test.twin.target import EPOCH, HIGHEST, LINK, Target
from test.twin.town import Town
from uav_twin_migration.twin.hosting.admission import HostSettings
from uav_twin_migration.twin.hosting.host import TwinHost
from uav_twin_migration.twin.hosting.hosted_twins import MOST_STRANGERS
from uav_twin_migration.twin.hosting.outputs import Reply
from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.twin import UavTwins
from uav_twin_migration.twin.protocol.epochs import LAST_TERM, first_epoch, horizon, make_epoch, next_term
from uav_twin_migration.twin.protocol.messages import (
    Accept,
    Ack,
    Activated,
    Cancel,
    Checkpoint,
    Commit,
    Fenced,
    HostRequest,
    LeaseRenewal,
    Offer,
    Purpose,
    Reason,
    Refuse,
    Stamp,
    Unprepared,
    Verified,
)
from uav_twin_migration.twin.protocol.replica_state import Record

# -- numbers from the far future ---------------------------------------------------------------------------------------


FAR_FUTURE = [HIGHEST, make_epoch(LAST_TERM - 1), make_epoch(LAST_TERM - 2), make_epoch(1 << 36)]


@pytest.mark.parametrize("epoch", FAR_FUTURE)
def test_no_word_of_its_uav_ends_a_twin_by_a_fence_of_the_far_future(tmp_path: Path, epoch: int) -> None:
    host = TwinHost(Store(tmp_path / "rsu.db", "rsu"), UavTwins(), 0.0, wall_clock=1.8e9)
    first = first_epoch(1.8e9)
    host.request(HostRequest("u1", "rsu", first, 1000), 0.0)
    host.recognise(LeaseRenewal("u1", "rsu", first, epoch), 0.0)
    host.recognise(LeaseRenewal("u1", "other", epoch, epoch), 0.0)
    host.request(HostRequest("u1", "rsu", epoch, 1000), 0.0)
    host.commit(0.0)
    assert host.counts["bad_epoch"] == 3
    assert host.hosted == ["u1"]
    host.request(HostRequest("u1", "rsu", first + make_epoch(1), 1000), 1.0)
    replies = [one.reply for one in host.commit(1.0) if isinstance(one, Reply)]
    assert [one.reason for one in replies] == [None]


def test_a_fence_at_the_horizon_is_overcome_a_second_later(tmp_path: Path) -> None:
    host = TwinHost(Store(tmp_path / "rsu.db", "rsu"), UavTwins(), 0.0, wall_clock=1.8e9)
    host.recognise(LeaseRenewal("u1", "", 0, horizon(1.8e9)), 0.0)
    beyond = next_term(horizon(1.8e9))
    host.request(HostRequest("u1", "rsu", beyond, 1000), 0.0)
    assert host.counts["bad_epoch"] == 1
    host.request(HostRequest("u1", "rsu", beyond, 1000), 1.0)
    host.commit(1.0)
    assert host.hosted == ["u1"]


def test_room_that_was_promised_to_new_twins_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    megabyte = 1024 * 1024
    host = TwinHost(Store(tmp_path / "rsu.db", "rsu"), UavTwins(), 0.0, HostSettings(reserve=64 * megabyte))
    monkeypatch.setattr(host.store, "free", lambda: 400 * megabyte)
    for number in range(30):  # in one message, before anything of them is written
        host.request(HostRequest(f"u{number}", "rsu", EPOCH, 20 * megabyte), 0.0)
    replies = [one.reply for one in host.commit(0.0) if isinstance(one, Reply)]
    assert [one.reason for one in replies].count(None) == (400 - 64) // 20
    assert {one.reason for one in replies} == {None, Reason.FULL}


@pytest.mark.parametrize("epoch", FAR_FUTURE)
def test_an_rsu_with_keys_that_tells_of_an_epoch_of_the_far_future_is_not_believed(target: Target, epoch: int) -> None:
    assert target.say(Fenced("u1", epoch)) == []
    assert target.host.counts["bad_epoch"] == 1
    assert target.record == Record()


# -- forged words ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epoch", [EPOCH + 1, EPOCH + 2, make_epoch(1 << 30), HIGHEST])
def test_a_commit_by_who_never_held_the_twin_is_ignored(target: Target, epoch: int) -> None:
    commit = Commit("u1", epoch, 10, 3.0, Stamp(1, 0.5))
    assert target.say(commit, peer="unknown_rsu") == []
    assert target.host.counts["unconfirmed_commit"] == 1
    assert target.record == Record()
    assert isinstance(target.offer()[0], Accept)  # it would still take the twin from its host


def test_a_host_that_commits_what_it_never_sent_is_told_so(target: Target) -> None:
    answer = target.say(Commit("u1", EPOCH + 1, 10, 3.0, None))
    assert answer == [Unprepared("u1", EPOCH + 1)]
    assert target.host.hosted == []


def test_forged_words_do_not_move_a_hosted_twin(tmp_path: Path) -> None:
    town = Town(tmp_path)
    town.run_until(town.is_served)
    host = town.rsus[town.host_discovery.host].host
    assert host is not None
    before = host.state.twin("u1").replica_state.record
    forged = [
        message
        for epoch in (before.epoch, before.epoch + 1, HIGHEST)
        for message in (
            Commit("u1", epoch, 10, 100.0, Stamp(1, 0.0)),
            Activated("u1", epoch),
            Unprepared("u1", epoch),
            Fenced("u1", epoch),
            Accept("u1", epoch, epoch),
            Ack("u1", epoch, epoch),
            Verified("u1", epoch, epoch, Stamp(1, 0.0)),
            Checkpoint("u1", epoch, epoch, bytes(32)),
            Offer("u1", epoch, epoch, Purpose.MIGRATION),
            Offer("u1", epoch, epoch, Purpose.REPLICATION),
            Cancel("u1", epoch),
            Refuse("u1", epoch, Reason.FULL, epoch),
        )
    ]
    for message in forged:
        host.receive(LINK, "Z", message, town.now)
        host.commit(town.now)
    assert host.state.twin("u1").replica_state.record == before
    assert sum(host.counts.values()) >= 20
    assert town.is_served()
    town.migrate(next(name for name in town.rsus if name != town.host_discovery.host))
    town.run(3.0)
    assert [report.reason for report in town.reports] == [None]


def test_a_target_that_says_it_has_what_was_never_sent_gets_nothing(tmp_path: Path) -> None:
    town = Town(tmp_path)
    town.run_until(town.is_served)
    host = town.rsus[town.host_discovery.host].host
    assert host is not None
    town.rsus["Z"] = town.rsus[next(name for name in town.rsus if name != town.host_discovery.host)]
    town.migrate("Z", rate=0.0)
    migration = host.state.twin("u1").replica_state.migration
    assert migration is not None
    for message in (
        Verified("u1", migration.session, 0, Stamp(1, 0.0)),
        Verified("u1", migration.session, host.state.twin("u1").replica_state.record.version, Stamp(1, 0.0)),
        Activated("u1", town.host_discovery.epoch + 1),
        Accept("u1", migration.session, HIGHEST),
    ):
        host.receive(1, "Z", message, town.now)
        host.commit(town.now)
    assert host.hosted == ["u1"]
    assert host.state.twin("u1").replica_state.serves(town.now)


def test_requests_that_cannot_be_meant_are_counted(target: Target) -> None:
    for request in (
        HostRequest("u9", "another", EPOCH),
        HostRequest("u9", "target", -1),
        HostRequest("u9", "target", 1 << 63),
        HostRequest("u9", "target", EPOCH, -5),
    ):
        target.host.request(request, 1.0)
    assert (target.host.counts["bad_request"], target.host.counts["bad_epoch"]) == (2, 2)
    target.host.recognise(LeaseRenewal("u9", "target", 1 << 63, 0), 1.0)
    assert target.host.counts["bad_epoch"] == 3
    assert target.host.commit(1.0) == []


def test_many_unauthenticated_peers_are_forgotten(tmp_path: Path) -> None:
    target = Target(tmp_path)
    for number in range(MOST_STRANGERS + 500):
        target.host.recognise(LeaseRenewal(f"w{number}", "enemy", EPOCH, EPOCH), 1.0)
        if number % 1000 == 0:
            target.host.commit(1.0)
    target.host.commit(1.0)
    assert len(target.host.state.twins) <= MOST_STRANGERS
