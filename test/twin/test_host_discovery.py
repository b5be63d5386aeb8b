"""A UAV's choice of whom to take for its twin's host."""

from __future__ import annotations

from dataclasses import replace

import pytest

from uav_twin_migration.twin.protocol.epochs import (
    LAST_TERM,
    make_epoch,
    next_term,
    term_of,
)
from uav_twin_migration.twin.protocol.host_discovery import (
    Finder,
    FinderTiming,
    Stage,
    act,
    answer,
    hear,
    moving,
    recognition,
    wish,
)
from uav_twin_migration.twin.protocol.messages import (
    Holding,
    HostReply,
    Presence,
    Reason,
    Stamp,
)

TIMING = FinderTiming()
EPOCH = make_epoch(7)


def presence(rsu: str, epoch: int = EPOCH, time: float = 1.0, **changes: object) -> Presence:
    said = Presence("u1", rsu, Holding.HOSTING, epoch, 1, Stamp(1, time))
    return replace(said, **changes)  # type: ignore[arg-type]


@pytest.fixture
def hosted() -> Finder:
    """One that has just listened, and heard north."""
    finder = hear(Finder("u1", 0.0, fence=0, candidates=("north", "south")), presence("north"), 1.0)
    finder, requests = act(finder, 4.0, TIMING)
    assert (finder.stage, finder.host, requests) == (Stage.HOSTED, "north", ())
    return finder


def test_the_stamp_that_was_heard_is_echoed(hosted: Finder) -> None:
    finder = hear(hosted, presence("north", time=9.5), 10.0)
    said = recognition(finder)
    assert (said.host, said.epoch, said.stamp) == ("north", EPOCH, Stamp(1, 9.5))


@pytest.mark.parametrize("epoch", [EPOCH + 1, make_epoch(8), make_epoch(LAST_TERM - 1), (1 << 63) - 1, -1])
def test_who_merely_claims_a_higher_epoch_is_not_recognised(hosted: Finder, epoch: int) -> None:
    finder = hear(hosted, presence("liar", epoch), 5.0)
    assert (finder.host, finder.epoch) == ("north", EPOCH)
    assert recognition(finder).fence == EPOCH


def test_the_target_of_a_migration_is_recognised_at_once(hosted: Finder) -> None:
    finder = hear(moving(hosted, "south"), presence("south", EPOCH + 1), 5.0)
    assert (finder.host, finder.epoch) == ("south", EPOCH + 1)
    assert hear(finder, presence("north"), 5.1).host == "south"


def test_a_successor_that_the_host_names_is_recognised(hosted: Finder) -> None:
    finder = hear(hosted, presence("north", holding=Holding.LEAVING, successor="south"), 5.0)
    assert hear(finder, presence("south", EPOCH + 1), 5.1).host == "south"


def test_a_silent_host_is_given_up_only_after_a_while_and_in_a_new_term(hosted: Finder) -> None:
    finder, requests = act(hosted, 10.9, TIMING)
    assert requests == ()
    finder, requests = act(finder, 11.1, TIMING)
    assert [(one.rsu, one.epoch) for one in requests] == [("south", next_term(EPOCH))]
    said = recognition(finder)
    assert (said.host, said.fence) == ("", next_term(EPOCH))
    finder = hear(finder, presence("north", time=20.0), 20.0)
    assert finder.host == ""  # too late
    assert hear(finder, presence("south", next_term(EPOCH)), 20.1).host == "south"


def test_the_rsu_with_the_newest_copy_is_asked_first(hosted: Finder) -> None:
    finder = hear(hosted, presence("west", EPOCH - 1, holding=Holding.FENCED), 9.0)
    finder = hear(finder, presence("east", EPOCH + 1, holding=Holding.PREPARED), 9.0)
    _, requests = act(finder, 11.5, TIMING)
    assert [one.rsu for one in requests] == ["east"]


def test_who_does_not_answer_or_refuses_is_passed_over(hosted: Finder) -> None:
    now, asked = 11.1, []
    finder = hosted
    for _ in range(40):
        finder, requests = act(finder, now, TIMING)
        asked += [one.rsu for one in requests]
        now += 0.25
    assert set(asked) == {"north", "south"}
    refusal = HostReply("u1", finder.asked, finder.fence, Reason.FULL)
    other = {"north": "south", "south": "north"}[finder.asked]
    finder, requests = act(answer(finder, refusal, now), now, TIMING)
    assert [one.rsu for one in requests] == [other]


def test_a_refusal_that_knows_a_newer_epoch_is_heeded_within_reason(hosted: Finder) -> None:
    finder, _ = act(hosted, 11.1, TIMING)
    told = HostReply("u1", finder.asked, finder.fence, Reason.STALE, make_epoch(50))
    finder, (request,) = act(answer(finder, told, 11.2), 11.2, TIMING)
    assert term_of(request.epoch) == 51
    absurd = HostReply("u1", finder.asked, finder.fence, Reason.STALE, (1 << 63) - 1)
    finder, (request,) = act(answer(finder, absurd, 11.3), 11.3, TIMING)
    assert term_of(request.epoch) == 52


def test_a_uav_that_starts_listens_first() -> None:
    finder = Finder("u1", 100.0, fence=make_epoch(3), candidates=("north",))
    finder, requests = act(finder, 103.2, TIMING)
    assert (finder.stage, requests) == (Stage.LISTENING, ())
    finder, requests = act(finder, 103.4, TIMING)
    assert [one.epoch for one in requests] == [make_epoch(4)]


def test_a_lease_must_be_over_before_a_host_is_given_up() -> None:
    with pytest.raises(ValueError, match="must not be below quarantine"):
        FinderTiming(quarantine=5.0, rehost_after=4.0)


# -- warm copies -------------------------------------------------------------------------------------------------------


@pytest.fixture
def warm(hosted: Finder) -> Finder:
    """One whose host has told of a warm copy in the south; there is also an east."""
    finder = wish(hosted, ("east", "south"), "south")
    return hear(finder, presence("north", mark=9, replica="south", replica_mark=8), 2.0)


def test_the_rsu_with_the_warm_copy_is_asked_and_no_other(warm: Finder) -> None:
    asked, now = set(), 12.0
    while now < 2.0 + TIMING.begin_anew_after:
        warm, requests = act(warm, now, TIMING)
        for request in requests:
            asked.add(request.rsu)
            assert (request.least_epoch, request.least_mark) == (EPOCH, 8)
        now += 0.5
    assert asked == {"south", "north"}  # the old host may come back
    for _ in range(20):
        warm, requests = act(warm, now, TIMING)
        for request in requests:
            asked.add(request.rsu)
            assert (request.least_epoch, request.least_mark) == (0, 0)
        now += 0.5
    assert "east" in asked


def test_of_two_copies_the_newer_one_is_asked_for(warm: Finder) -> None:
    heard = hear(warm, presence("east", EPOCH + 1, holding=Holding.PREPARED, mark=5), 11.0)
    heard = hear(heard, presence("south", EPOCH, holding=Holding.STANDBY, mark=8), 11.0)
    _, (request,) = act(heard, 12.0, TIMING)
    assert request.rsu == "south"  # within a term versions are one history, whatever the hand-over


def test_a_standby_that_lost_its_copy_is_not_the_last_word(warm: Finder) -> None:
    finder, (request,) = act(warm, 12.0, TIMING)
    assert request.rsu == "south"
    finder = answer(finder, HostReply("u1", "south", request.epoch, Reason.UNKNOWN), 12.1)
    _, (request,) = act(finder, 12.2, TIMING)
    assert request.rsu == "north"


def test_what_was_known_of_a_warm_copy_ends_with_its_term(warm: Finder) -> None:
    finder, (request,) = act(warm, 12.0, TIMING)
    finder = hear(finder, presence("south", request.epoch, time=12.0, mark=8), 12.1)
    assert (finder.host, finder.replica, finder.replica_mark) == ("south", "", 0)


def test_host_and_standby_change_places_at_a_hand_over(warm: Finder) -> None:
    finder = hear(moving(warm, "south"), presence("south", EPOCH + 1), 5.0)
    assert (finder.host, finder.standby, finder.replica) == ("south", "north", "north")
    assert recognition(finder).standby == "north"
