"""A UAV's choice of whom to take for its twin's host."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from uav_twin_migration.twin.protocol.epochs import (
    LAST_TERM,
    make_epoch,
    next_term,
    term_of,
)
from uav_twin_migration.twin.protocol.host_discovery import (
    HostDiscovery,
    HostDiscoveryTiming,
    Stage,
    act,
    answer,
    hear,
    lease_renewal,
    moving,
    wish,
)
from uav_twin_migration.twin.protocol.messages import (
    Holding,
    HostHeartbeat,
    HostReply,
    Reason,
    Stamp,
)

TIMING = HostDiscoveryTiming()
EPOCH = make_epoch(7)


def host_heartbeat(rsu: str, epoch: int = EPOCH, time: float = 1.0, **changes: object) -> HostHeartbeat:
    said = HostHeartbeat("u1", rsu, Holding.HOSTING, epoch, 1, Stamp(1, time))
    return replace(said, **changes)  # type: ignore[arg-type]


@pytest.fixture
def hosted() -> HostDiscovery:
    """One that has just listened, and heard north."""
    host_discovery = hear(
        HostDiscovery("u1", 0.0, newest_epoch=0, candidates=("north", "south")), host_heartbeat("north"), 1.0
    )
    host_discovery, requests = act(host_discovery, 4.0, TIMING)
    assert (host_discovery.stage, host_discovery.host, requests) == (Stage.HOSTED, "north", ())
    return host_discovery


def test_the_stamp_that_was_heard_is_echoed(hosted: HostDiscovery) -> None:
    host_discovery = hear(hosted, host_heartbeat("north", time=9.5), 10.0)
    said = lease_renewal(host_discovery)
    assert (said.host, said.epoch, said.stamp) == ("north", EPOCH, Stamp(1, 9.5))


@pytest.mark.parametrize("epoch", [EPOCH + 1, make_epoch(8), make_epoch(LAST_TERM - 1), (1 << 63) - 1, -1])
def test_who_merely_claims_a_higher_epoch_is_not_recognised(hosted: HostDiscovery, epoch: int) -> None:
    host_discovery = hear(hosted, host_heartbeat("liar", epoch), 5.0)
    assert (host_discovery.host, host_discovery.epoch) == ("north", EPOCH)
    assert lease_renewal(host_discovery).newest_epoch == EPOCH


def test_the_target_of_a_migration_is_recognised_at_once(hosted: HostDiscovery) -> None:
    host_discovery = hear(moving(hosted, "south"), host_heartbeat("south", EPOCH + 1), 5.0)
    assert (host_discovery.host, host_discovery.epoch) == ("south", EPOCH + 1)
    assert hear(host_discovery, host_heartbeat("north"), 5.1).host == "south"


def test_a_successor_that_the_host_names_is_recognised(hosted: HostDiscovery) -> None:
    host_discovery = hear(hosted, host_heartbeat("north", holding=Holding.HANDING_OVER, successor="south"), 5.0)
    assert hear(host_discovery, host_heartbeat("south", EPOCH + 1), 5.1).host == "south"


def test_a_silent_host_is_given_up_only_after_a_while_and_in_a_new_term(hosted: HostDiscovery) -> None:
    host_discovery, requests = act(hosted, 10.9, TIMING)
    assert requests == ()
    host_discovery, requests = act(host_discovery, 11.1, TIMING)
    assert [(one.rsu, one.epoch) for one in requests] == [("south", next_term(EPOCH))]
    said = lease_renewal(host_discovery)
    assert (said.host, said.newest_epoch) == ("", next_term(EPOCH))
    host_discovery = hear(host_discovery, host_heartbeat("north", time=20.0), 20.0)
    assert host_discovery.host == ""  # too late
    assert hear(host_discovery, host_heartbeat("south", next_term(EPOCH)), 20.1).host == "south"


def test_the_rsu_with_the_newest_copy_is_asked_first(hosted: HostDiscovery) -> None:
    host_discovery = hear(moving(hosted, "east"), host_heartbeat("west", EPOCH - 1, holding=Holding.FENCED), 9.0)
    host_discovery = hear(host_discovery, host_heartbeat("east", EPOCH + 1, holding=Holding.PREPARED), 9.0)
    _, requests = act(host_discovery, 11.5, TIMING)
    assert [one.rsu for one in requests] == ["east"]


def test_who_cannot_have_come_by_a_copy_is_not_asked_for_saying_that_it_has_one(hosted: HostDiscovery) -> None:
    host_discovery = hear(hosted, host_heartbeat("east", EPOCH + 1, version=99), 9.0)
    host_discovery, requests = act(host_discovery, 11.5, TIMING)
    assert [one.rsu for one in requests] == ["south"]
    asked = {host_discovery.asked}
    for turn in range(8):
        host_discovery, requests = act(host_discovery, 20.0 + 10.0 * turn, TIMING)
        asked |= {one.rsu for one in requests}
    assert "east" not in asked


def test_a_uav_that_has_just_started_believes_who_has_a_copy() -> None:
    host_discovery = HostDiscovery("u1", 0.0, newest_epoch=0, candidates=("north",))
    host_discovery = hear(host_discovery, host_heartbeat("east", EPOCH, holding=Holding.FENCED), 1.0)
    _, requests = act(host_discovery, 4.0, TIMING)
    assert [one.rsu for one in requests] == ["east"]


def test_a_host_of_before_is_asked_where_the_last_one_falls_silent(hosted: HostDiscovery) -> None:
    host_discovery = hear(moving(hosted, "east"), host_heartbeat("east", EPOCH + 1), 5.0)
    assert host_discovery.hosts == ("north", "east")
    host_discovery = hear(host_discovery, host_heartbeat("north", EPOCH, holding=Holding.FENCED), 14.0)
    _, requests = act(host_discovery, 15.5, TIMING)
    assert [one.rsu for one in requests] == ["north"]


def test_who_does_not_answer_or_refuses_is_passed_over(hosted: HostDiscovery) -> None:
    now, asked = 11.1, []
    host_discovery = hosted
    for _ in range(40):
        host_discovery, requests = act(host_discovery, now, TIMING)
        asked += [one.rsu for one in requests]
        now += 0.25
    assert set(asked) == {"north", "south"}
    refusal = HostReply("u1", host_discovery.asked, host_discovery.newest_epoch, Reason.FULL)
    other = {"north": "south", "south": "north"}[host_discovery.asked]
    host_discovery, requests = act(answer(host_discovery, refusal, now), now, TIMING)
    assert [one.rsu for one in requests] == [other]


def test_the_more_rsus_do_not_answer_the_longer_the_next_may_take(hosted: HostDiscovery) -> None:
    # they are slow, most likely: whoever is asked makes a twin in the end, which makes all of them slower
    host_discovery, now, turns = hosted, 11.0, []
    while now < 200.0:
        before = host_discovery.newest_epoch
        host_discovery, _ = act(host_discovery, now, TIMING)
        if host_discovery.newest_epoch != before:
            turns.append(now)
        now += 0.25
    waits = [late - early for early, late in pairwise(turns)]
    assert waits[:3] == [2.0, 4.0, 8.0]
    assert set(waits[3:]) == {8.0}


def test_a_refusal_that_knows_a_newer_epoch_is_heeded_within_reason(hosted: HostDiscovery) -> None:
    host_discovery, _ = act(hosted, 11.1, TIMING)
    told = HostReply("u1", host_discovery.asked, host_discovery.newest_epoch, Reason.STALE, make_epoch(50))
    host_discovery, (request,) = act(answer(host_discovery, told, 11.2), 11.2, TIMING)
    assert term_of(request.epoch) == 51
    absurd = HostReply("u1", host_discovery.asked, host_discovery.newest_epoch, Reason.STALE, (1 << 63) - 1)
    host_discovery, (request,) = act(answer(host_discovery, absurd, 11.3), 11.3, TIMING)
    assert term_of(request.epoch) == 52


def test_a_uav_that_starts_listens_first() -> None:
    host_discovery = HostDiscovery("u1", 100.0, newest_epoch=make_epoch(3), candidates=("north",))
    host_discovery, requests = act(host_discovery, 103.2, TIMING)
    assert (host_discovery.stage, requests) == (Stage.LISTENING, ())
    host_discovery, requests = act(host_discovery, 103.4, TIMING)
    assert [one.epoch for one in requests] == [make_epoch(4)]


def test_a_lease_must_be_over_before_a_host_is_given_up() -> None:
    with pytest.raises(ValueError, match="must not be below quarantine"):
        HostDiscoveryTiming(quarantine=5.0, rehost_after=4.0)


# -- replicas -------------------------------------------------------------------------------------------------------


@pytest.fixture
def replicated(hosted: HostDiscovery) -> HostDiscovery:
    """One whose host has told of a replica in the south; there is also an east."""
    host_discovery = wish(hosted, ("east", "south"), "south")
    return hear(host_discovery, host_heartbeat("north", version=9, replica="south", replica_version=8), 2.0)


def test_the_rsu_with_the_replica_is_asked_and_no_other(replicated: HostDiscovery) -> None:
    asked, now = set(), 12.0
    while now < 2.0 + TIMING.begin_anew_after:
        replicated, requests = act(replicated, now, TIMING)
        for request in requests:
            asked.add(request.rsu)
            assert (request.least_epoch, request.least_version) == (EPOCH, 8)
        now += 0.5
    assert asked == {"south", "north"}  # the old host may come back
    for _ in range(20):
        replicated, requests = act(replicated, now, TIMING)
        for request in requests:
            asked.add(request.rsu)
            assert (request.least_epoch, request.least_version) == (0, 0)
        now += 0.5
    assert "east" in asked


def test_of_two_copies_the_newer_one_is_asked_for(replicated: HostDiscovery) -> None:
    heard = hear(replicated, host_heartbeat("east", EPOCH + 1, holding=Holding.PREPARED, version=5), 11.0)
    heard = hear(heard, host_heartbeat("south", EPOCH, holding=Holding.REPLICA, version=8), 11.0)
    _, (request,) = act(heard, 12.0, TIMING)
    assert request.rsu == "south"  # within a term versions are one history, whatever the hand-over


def test_a_replica_host_that_lost_its_copy_is_not_the_last_word(replicated: HostDiscovery) -> None:
    host_discovery, (request,) = act(replicated, 12.0, TIMING)
    assert request.rsu == "south"
    host_discovery = answer(host_discovery, HostReply("u1", "south", request.epoch, Reason.UNKNOWN), 12.1)
    _, (request,) = act(host_discovery, 12.2, TIMING)
    assert request.rsu == "north"


def test_what_was_known_of_a_replica_ends_with_its_term(replicated: HostDiscovery) -> None:
    host_discovery, (request,) = act(replicated, 12.0, TIMING)
    host_discovery = hear(host_discovery, host_heartbeat("south", request.epoch, time=12.0, version=8), 12.1)
    assert (host_discovery.host, host_discovery.replica, host_discovery.replica_version) == ("south", "", 0)


def test_host_and_replica_host_change_places_at_a_hand_over(replicated: HostDiscovery) -> None:
    host_discovery = hear(moving(replicated, "south"), host_heartbeat("south", EPOCH + 1), 5.0)
    assert (host_discovery.host, host_discovery.replica_host, host_discovery.replica) == ("south", "north", "north")
    assert lease_renewal(host_discovery).replica_host == "north"


# -- a version that falls ----------------------------------------------------------------------------------------------


def test_a_host_whose_version_falls_is_taken_over_after_a_quarantine(hosted: HostDiscovery) -> None:
    host_discovery = hear(hosted, host_heartbeat("north", time=5.0, version=896), 5.0)
    restored = host_heartbeat("north", version=860, stamp=Stamp(2, 6.0))
    host_discovery = hear(host_discovery, restored, 6.0)
    assert lease_renewal(host_discovery).host == ""
    assert host_discovery.fall is not None
    assert (host_discovery.fall.rsu, host_discovery.fall.known, host_discovery.fall.told) == ("north", 896, 860)
    host_discovery = hear(host_discovery, replace(restored, stamp=Stamp(2, 7.0)), 7.0)
    host_discovery, requests = act(host_discovery, 6.0 + TIMING.quarantine - 0.1, TIMING)
    assert requests == ()
    host_discovery, (request,) = act(host_discovery, 6.0 + TIMING.quarantine + 0.1, TIMING)
    assert (request.rsu, request.epoch) == ("north", next_term(EPOCH))  # nobody has a newer copy
    host_discovery = hear(host_discovery, replace(restored, epoch=request.epoch, version=861), 10.0)
    assert (host_discovery.host, host_discovery.fall) == ("north", None)
    assert hear(host_discovery, replace(restored, epoch=request.epoch, version=862, stamp=Stamp(2, 11.0)), 11.0).host


def test_a_replica_that_is_newer_than_a_host_that_fell_takes_over(hosted: HostDiscovery) -> None:
    host_discovery = hear(
        wish(hosted, ("north", "south"), "south"), host_heartbeat("north", time=5.0, version=896), 5.0
    )
    host_discovery = hear(host_discovery, host_heartbeat("south", holding=Holding.REPLICA, version=890), 5.0)
    host_discovery = hear(host_discovery, host_heartbeat("north", time=6.0, version=860), 6.0)
    _, (request,) = act(host_discovery, 9.5, TIMING)
    assert request.rsu == "south"


def test_an_old_host_heartbeat_that_is_sent_again_changes_nothing(hosted: HostDiscovery) -> None:
    host_discovery = hear(hosted, host_heartbeat("north", time=5.0, version=7), 5.0)
    assert hear(host_discovery, host_heartbeat("north", time=3.0, version=5), 9.0).heard_at == 5.0
    assert lease_renewal(hear(host_discovery, host_heartbeat("north", time=3.0), 9.0)).stamp == Stamp(1, 5.0)
    silent, requests = act(hear(host_discovery, host_heartbeat("north", time=3.0), 14.0), 15.1, TIMING)
    assert silent.host == ""
    assert requests


def test_a_host_that_hands_over_has_not_fallen(hosted: HostDiscovery) -> None:
    host_discovery = hear(hosted, host_heartbeat("north", time=5.0, version=7), 5.0)
    gone = host_heartbeat("north", time=6.0, version=0, holding=Holding.HANDING_OVER, successor="south")
    host_discovery = hear(host_discovery, gone, 6.0)
    assert (host_discovery.host, host_discovery.fall) == ("north", None)
