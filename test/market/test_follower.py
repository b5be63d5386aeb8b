"""The follower's side of a round."""

import math
from typing import Any

import pytest

from test.market.virtual import make_follower
from uav_twin_migration.game import followers as game
from uav_twin_migration.market.follower import Demand, Follower, HostChange
from uav_twin_migration.market.messages import Grant, Offer, Refusal


def offer(rsu: str = "rsu_0", round_: int = 1, price: float = 2.0, x: float = 0.0) -> Offer:
    return Offer(rsu, round_, price, 10.0, (x, 0.0, 20.0), 600.0, 0.5)


def in_range(*rsus: str) -> Follower:
    follower = make_follower("uav_0")
    follower.on_motion(0.0, (100.0, 0.0, 100.0), (1.0, 0.0, 0.0))
    follower.on_links(0.0, dict.fromkeys(rsus, 5.0))
    return follower


def hear(follower: Follower, now: float, *offers: Offer) -> list[Demand]:
    demands = []
    for one in offers:
        if follower.board.on_offer(now, one):
            demands += [output for output in follower.on_offers(now) if isinstance(output, Demand)]
    return demands


def test_the_first_offer_that_it_hears_is_answered_at_once() -> None:
    (demand,) = hear(in_range("rsu_0", "rsu_1"), 0.1, offer("rsu_0", price=2.0))
    expected = game.best_response([2.0], [5.0], 10.0, 60.0 / 100.0, 0.6).bandwidth
    assert [bid.bandwidth for bid in demand.bids] == pytest.approx(expected)


def test_it_answers_all_offers_at_once_when_the_last_one_comes() -> None:
    follower = in_range("rsu_0", "rsu_1")
    hear(follower, 0.1, offer("rsu_0"), offer("rsu_1"))
    assert hear(follower, 1.1, offer("rsu_0", 2, 2.0)) == []
    (demand,) = hear(follower, 1.2, offer("rsu_1", 2, 3.0))
    expected = game.best_response([2.0, 3.0], [5.0, 5.0], 10.0, 60.0 / 100.0, 0.6).bandwidth
    assert [(bid.rsu, bid.round) for bid in demand.bids] == [("rsu_0", 2), ("rsu_1", 2)]
    assert [bid.bandwidth for bid in demand.bids] == pytest.approx(expected)


def test_it_does_not_wait_for_a_silent_rsu_for_ever() -> None:
    follower = in_range("rsu_0", "rsu_1")
    hear(follower, 0.1, offer("rsu_0"), offer("rsu_1"))
    assert hear(follower, 1.1, offer("rsu_0", 2)) == []
    assert follower.wake_at == pytest.approx(1.1 + 0.5 / 4)
    (demand,) = follower.on_time(follower.wake_at)
    assert isinstance(demand, Demand)
    assert [bid.rsu for bid in demand.bids] == ["rsu_0"]


def test_an_rsu_that_is_left_gets_one_last_answer_of_zero() -> None:
    follower = in_range("rsu_0", "rsu_1")
    hear(follower, 0.1, offer("rsu_0"), offer("rsu_1"))
    hear(follower, 0.2, offer("rsu_0", 2), offer("rsu_1", 2))
    follower.on_links(0.9, {"rsu_0": 5.0})
    (demand,) = hear(follower, 1.1, offer("rsu_0", 3), offer("rsu_1", 3))
    assert {bid.rsu: bid.bandwidth > 0.0 for bid in demand.bids} == {"rsu_0": True, "rsu_1": False}
    (demand,) = hear(follower, 2.1, offer("rsu_1", 4), offer("rsu_0", 4))
    assert [bid.rsu for bid in demand.bids] == ["rsu_0"]


def test_only_the_best_links_are_bid_to() -> None:
    follower = make_follower("uav_0")
    follower.on_motion(0.0, (0.0, 0.0, 100.0), (0.0, 0.0, 0.0))
    names = [f"rsu_{number}" for number in range(6)]
    follower.on_links(0.0, {rsu: 1.0 + number for number, rsu in enumerate(names)})
    hear(follower, 0.1, *(offer(rsu) for rsu in names))
    hear(follower, 1.0, *(offer(rsu, 2) for rsu in names))
    demands = hear(follower, 1.9, *(offer(rsu, 3) for rsu in names))
    assert {bid.rsu for demand in demands for bid in demand.bids if bid.bandwidth > 0} == set(names[2:])


def answered(price: float = 2.0) -> tuple[Follower, float]:
    follower = in_range("rsu_0")
    (demand,) = hear(follower, 0.1, offer(price=price))
    return follower, demand.bids[0].bandwidth


def test_a_grant_is_a_lease_that_ends() -> None:
    follower, wanted = answered()
    follower.on_grant(0.2, Grant("rsu_0", 1, 2.0, {"uav_0": wanted, "uav_1": 1.0}, 2.0))
    assert follower.bandwidth(2.1) == {"rsu_0": wanted}
    assert follower.rate(0.3) == pytest.approx(5.0 * wanted)
    assert follower.bandwidth(2.3) == {}
    assert follower.rate(2.3) == 0.0
    assert not follower.refusals


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"round": 2}, Refusal.UNASKED),
        ({"rsu": "rsu_9"}, Refusal.UNASKED),
        ({"bandwidth": {"uav_0": 1e4}}, Refusal.UNASKED),
        ({"bandwidth": {"uav_0": math.nan}}, Refusal.NOT_FINITE),
        ({"bandwidth": {"uav_0": -1.0}}, Refusal.NEGATIVE),
        ({"price": 2.5}, Refusal.OVERCHARGED),
        ({"price": math.nan}, Refusal.OVERCHARGED),
        ({"lease": math.inf}, Refusal.NOT_FINITE),
        ({"lease": 1e9}, Refusal.ABSURD),
    ],
)
def test_grants_that_were_not_asked_for_are_refused(changes: dict[str, Any], reason: Refusal) -> None:
    follower, wanted = answered()
    follower.on_grant(0.2, Grant("rsu_0", 1, 2.0, {"uav_0": wanted}, 2.0)._replace(**changes))
    assert follower.refusals == {reason: 1}
    assert follower.bandwidth(0.3) == {}


def test_a_duplicated_grant_does_not_prolong_the_lease() -> None:
    follower, wanted = answered()
    grant = Grant("rsu_0", 1, 2.0, {"uav_0": wanted}, 2.0)
    follower.on_grant(0.2, grant)
    follower.on_grant(1.9, grant)
    assert follower.refusals == {Refusal.REPLAYED: 1}
    assert follower.bandwidth(2.3) == {}


def test_offers_of_the_past_are_refused_until_their_rsu_was_silent() -> None:
    board = in_range("rsu_0").board
    assert board.on_offer(0.1, offer(round_=5))
    assert not board.on_offer(0.2, offer(round_=5))
    assert not board.on_offer(0.3, offer(round_=4))
    assert board.refusals == {Refusal.REPLAYED: 1, Refusal.PAST_ROUND: 1}
    assert board.on_offer(10.0, offer(round_=1))  # restarted with its clock set back


def test_the_board_does_not_grow_with_forged_rsus() -> None:
    board = in_range("rsu_0").board
    board.most_rsus = 3
    accepted = [board.on_offer(0.0, offer(f"rsu_{number}")) for number in range(10)]
    assert sum(accepted) == 3
    assert board.refusals[Refusal.CROWDED] == 7
    assert board.on_offer(100.0, offer("rsu_9"))  # the others have fallen silent


def test_a_uav_that_does_not_know_where_it_is_buys_nothing() -> None:
    follower = make_follower("uav_0")
    follower.on_links(0.0, {"rsu_0": 5.0})
    assert hear(follower, 0.1, offer()) == []
    follower.on_motion(0.1, (math.nan, 0.0, 0.0), (0.0, 0.0, 0.0))
    assert follower.refusals == {Refusal.NOT_FINITE: 1}
    assert hear(follower, 0.2, offer(round_=2)) == []


def test_stale_and_absurd_links_are_not_believed() -> None:
    follower = in_range("rsu_0")
    assert hear(follower, 10.0, offer()) == []
    follower.on_links(10.0, {"rsu_0": math.nan, "rsu_1": -1.0, "rsu_2": 1e9})
    assert hear(follower, 10.1, offer(round_=2)) == []
    assert follower.refusals == {Refusal.NOT_FINITE: 1, Refusal.NEGATIVE: 1, Refusal.ABSURD: 1}


def test_the_host_is_chosen_once_and_changes_when_its_coverage_is_lost() -> None:
    follower = in_range("rsu_0", "rsu_1")
    follower.board.on_offer(0.0, offer("rsu_0"))
    (change,) = [o for o in follower.on_links(0.1, {"rsu_0": 5.0}) if isinstance(o, HostChange)]
    assert change.rsu == "rsu_0"
    assert follower.on_links(0.2, {"rsu_0": 5.0}) == []
    follower.board.on_offer(1.0, offer("rsu_1"))
    (change,) = [o for o in follower.on_links(1.1, {"rsu_1": 5.0}) if isinstance(o, HostChange)]
    assert change.rsu == "rsu_1"
    assert follower.hosting.changes == 1
    (change,) = [o for o in follower.on_links(1.2, {}) if isinstance(o, HostChange)]
    assert change.rsu is None
