"""What a migration may send is what RSUs granted, whatever its UAV, or an RSU, says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uav_twin_migration.market.messages import Grant, Offer, Refusal
from uav_twin_migration.market.proof import ROUNDS, ProvenGrants
from uav_twin_migration.radio.link import HIGHEST_EFFICIENCY
from uav_twin_migration.scenario.model import MOST_RSUS
from uav_twin_migration.scenario.parameters import TwinHosting

LEASE, WINDOW = 2.0, 0.5
UAV = {"uav_1"}


def offer(round_: int, rsu: str = "rsu_1", bandwidth: float = 10.0) -> Offer:
    return Offer(rsu, round_, 2.0, bandwidth, (0.0, 0.0, 20.0), 500.0, WINDOW)


def grant(round_: int, bandwidth: float = 4.0, rsu: str = "rsu_1", uav: str = "uav_1") -> Grant:
    return Grant(rsu, round_, 2.0, {uav: bandwidth}, LEASE)


def host() -> ProvenGrants:
    return ProvenGrants("rsu_0")


def test_own_grants_count_for_their_lease() -> None:
    proven = host()
    proven.on_own_grant(1.0, grant(7, rsu="rsu_0"))
    assert proven.bandwidth("uav_1", 2.9) == {"rsu_0": 4.0}
    assert proven.bandwidth("uav_1", 3.0) == {}
    assert proven.bandwidth("uav_2", 2.0) == {}


def test_a_claim_gets_what_was_granted_and_no_more() -> None:
    proven = host()
    proven.on_own_grant(1.0, grant(7, 1.5, rsu="rsu_0"))
    proven.on_offer(1.0, offer(9))
    proven.on_grant(1.2, grant(9, 2.5), 0.0, UAV)
    assert proven.rate("uav_1", 12.0, 7.4, 1.5) == 12.0
    assert proven.rate("uav_1", 1e9, 7.4, 1.5) == pytest.approx(7.4 * 4.0)
    assert proven.rate("uav_2", 1e9, 7.4, 1.5) == 0.0


def test_a_grant_counts_from_its_offer_on_whenever_it_is_handed_over() -> None:
    proven = host()
    proven.on_offer(1.0, offer(9))
    proven.on_grant(3.4, grant(9), 1e6, UAV)  # whatever the other's clock says
    assert proven.bandwidth("uav_1", 3.4) == {"rsu_1": 4.0}
    assert proven.bandwidth("uav_1", 1.0 + WINDOW + LEASE) == {}


def test_a_grant_of_a_round_whose_offer_was_lost_is_as_old_as_the_offer_before() -> None:
    proven = host()
    for at, round_ in ((1.0, 8), (3.0, 10)):
        proven.on_offer(at, offer(round_))
    proven.on_grant(3.0, grant(9), 3.0, UAV)
    assert proven.bandwidth("uav_1", 3.4)
    assert not proven.bandwidth("uav_1", 3.5)


@pytest.mark.parametrize("age", [3.6, 1e6])
def test_a_grant_that_was_saved_up_is_worth_nothing(age: float) -> None:
    proven = host()
    proven.on_offer(1.0, offer(9))
    for late in range(ROUNDS + 2):  # also one whose offer is no longer remembered
        proven.on_offer(1.0 + age, offer(10 + late))
    for stamp in (1.0, 1.0 + age):
        proven.on_grant(1.0 + age, grant(9), stamp, UAV)
    assert proven.refusals == {Refusal.STALE: 2}
    assert not proven.bandwidth("uav_1", 1.0 + age)


def test_an_old_offer_that_is_heard_again_makes_its_grant_no_younger() -> None:
    proven = host()
    proven.on_offer(1.0, offer(9))
    proven.on_offer(50.0, offer(9))
    proven.on_grant(50.0, grant(9), 50.0, UAV)
    assert proven.refusals == {Refusal.STALE: 1}


def test_an_rsu_that_is_not_heard_here_is_believed_by_its_stamp() -> None:
    proven = host()
    for stamp in (7.9, 12.1):
        proven.on_grant(10.0, grant(9), stamp, UAV)
    assert proven.refusals == {Refusal.STALE: 2}
    proven.on_grant(10.0, grant(9), 9.0, UAV)
    assert proven.bandwidth("uav_1", 10.9)
    assert not proven.bandwidth("uav_1", 11.0)


def test_an_rsu_cannot_grant_more_than_it_had_offered() -> None:
    proven = host()
    proven.on_offer(1.0, offer(9, bandwidth=10.0))
    proven.on_grant(1.1, Grant("rsu_1", 9, 2.0, {"uav_1": 6.0, "uav_2": 6.0}, LEASE), 1.0, UAV)
    assert proven.refusals == {Refusal.OVERSOLD: 1}
    assert not proven.bandwidth("uav_1", 1.2)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (grant(9, float("nan")), Refusal.NOT_FINITE),
        (grant(9, -1.0), Refusal.NEGATIVE),
        (grant(9, float("inf")), Refusal.NOT_FINITE),
        (grant(9, 1e9), Refusal.ABSURD),
        (grant(9)._replace(lease=float("nan")), Refusal.STALE),
        (grant(9)._replace(lease=1e9), Refusal.STALE),
        (grant(9, rsu="rsu_0"), Refusal.BAD_ID),  # what this RSU granted it knows itself
        (grant(9, rsu="no such/name"), Refusal.BAD_ID),
    ],
)
def test_a_grant_that_cannot_be_meant_is_refused(wrong: Grant, reason: Refusal) -> None:
    proven = host()
    proven.on_grant(1.0, wrong, 1.0, UAV)
    assert proven.refusals == {reason: 1}
    assert proven.rate("uav_1", 1e9, 7.4, 1.0) == 0.0


def test_a_later_grant_replaces_the_earlier_and_not_the_other_way_round() -> None:
    proven = host()
    for at, round_ in ((1.0, 8), (2.0, 9)):
        proven.on_offer(at, offer(round_))
    proven.on_grant(2.1, grant(9, 1.0), 2.0, UAV)
    proven.on_grant(2.2, grant(8, 9.0), 1.0, UAV)
    assert proven.knows("rsu_1", 8, "uav_1")
    assert proven.bandwidth("uav_1", 2.3) == {"rsu_1": 1.0}


def test_a_clock_that_jumps_back_prolongs_nothing() -> None:
    proven = host()
    proven.on_own_grant(100.0, grant(7, rsu="rsu_0"))
    assert proven.bandwidth("uav_1", 40.0) == {}
    proven.on_own_grant(40.0, grant(8, rsu="rsu_0", uav="uav_2"))
    assert proven.bandwidth("uav_1", 40.5) == {}


def test_ever_new_names_cost_no_memory() -> None:
    proven = host()
    for number in range(3 * MOST_RSUS):
        proven.on_offer(1.0, offer(9, f"rsu_{number + 1}"))
        proven.on_grant(1.0, grant(9, rsu=f"rsu_{number + 1}"), 1.0, UAV)
    assert len(proven.bandwidth("uav_1", 1.0)) <= MOST_RSUS
    assert len(proven._posted) <= MOST_RSUS


@given(st.lists(st.tuples(st.sampled_from(["offer", "grant", "wait"]), st.integers(0, 12)), max_size=60))
def test_whatever_is_handed_over_when_no_lease_outlives_what_its_rsu_gave(events: list[tuple[str, int]]) -> None:
    """The rival grants 4 MHz in each round it posts, a round a second; the UAV hands over what it likes, whenever."""
    proven, now = host(), 0.0
    posted: dict[int, float] = {}  # when, by round
    for kind, number in events:
        if kind == "wait":
            now += number / 4.0
        elif kind == "offer":
            round_ = max(posted, default=0) + 1
            posted[round_] = now
            proven.on_offer(now, offer(round_))
        elif number in posted:
            proven.on_grant(now, grant(number), posted[number], UAV)
        if proven.bandwidth("uav_1", now):
            assert any(now < at + WINDOW + LEASE for at in posted.values())


def test_the_best_link_is_that_of_the_radio_model() -> None:
    assert TwinHosting.highest_efficiency == HIGHEST_EFFICIENCY
