"""Whom prices and bids are believed: RSUs that grant nothing cost those that do little, whatever they post."""

from __future__ import annotations

import pytest

from test.market.virtual import make_follower, make_leader
from uav_twin_migration.market.follower import Demand, Follower
from uav_twin_migration.market.messages import Bid, Grant, Offer
from uav_twin_migration.market.reputation import MOST, PROVEN, STRIKES, TRIALS, Reputation
from uav_twin_migration.policy.choice import DEFAULT, NONE
from uav_twin_migration.studies.benchmarks.liars import part_left, pricing_by
from uav_twin_migration.studies.harnesses.liars import LIE, NOBODY, Earned, Liars, play

SIGNED = [
    Liars(),
    Liars(linked=True),
    Liars(linked=True, refuse=True),
    Liars(linked=True, bait=0.1),
]  # what an RSU with keys can do
UNSIGNED = [Liars(bid=True), Liars(linked=True, renamed=3)]  # what anybody can, without


# -- in a market -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[DEFAULT, NONE])
def honest(request: pytest.FixtureRequest) -> tuple[str, Earned]:
    return request.param, beside(NOBODY, request.param)


def beside(liars: Liars, policy: str) -> Earned:
    return play(liars, pricing_by(policy), rounds=50, warm_up=15)


@pytest.mark.parametrize(("cases", "least"), [(SIGNED, 0.9), (UNSIGNED, 2.0 / 3.0)], ids=["signed", "unsigned"])
def test_four_liars_cost_at_most_a_tenth_and_a_third_without_signatures(
    honest: tuple[str, Earned], cases: list[Liars], least: float
) -> None:
    policy, alone = honest
    for liars in cases:
        assert part_left(beside(liars, policy), alone) >= least


@pytest.mark.parametrize("policy", [DEFAULT, NONE])
def test_four_liars_that_do_grant_a_little_cost_at_most_a_tenth_of_a_hundred_rounds(policy: str) -> None:
    alone = play(NOBODY, pricing_by(policy))
    assert part_left(play(Liars(linked=True, bait=0.3), pricing_by(policy)), alone) >= 0.9


# -- the RSU's side ----------------------------------------------------------------------------------------------------


def offer(rsu: str, round_: int = 1, price: float = 2.0) -> Offer:
    return Offer(rsu, round_, price, 10.0, (0.0, 0.0, 20.0), 600.0, 0.5)


def test_a_rivals_price_is_cut_to_the_markets_range() -> None:
    leader = make_leader(unit_cost=1.0, price_cap=20.0)
    for rsu, price in (("rsu_1", LIE), ("rsu_2", 3.0), ("rsu_3", 1e9)):
        leader.on_offer(0.0, offer(rsu, price=price))
    assert leader.rival_prices() == (0.1, 3.0, 20.0)


def test_rivals_that_nobody_buys_from_weigh_nothing() -> None:
    leader = make_leader()
    leader.on_time(0.0)
    for rsu, price in (("rsu_1", 3.0), ("liar", LIE)):
        leader.on_offer(0.0, offer(rsu, price=price))
    leader.on_demand(0.1, 1, Bid("uav_0", "rsu_0", 1, 4.0))
    leader.on_time(0.6)
    assert len(leader.rival_prices()) == 2  # nothing is known of what UAVs want
    for rsu, bandwidth in (("rsu_1", 3.0), ("liar", 0.004)):
        leader.on_bid_elsewhere(0.7, Bid("uav_0", rsu, 1, bandwidth))
    assert leader.rival_prices() == (3.0,)


def test_a_cheap_rival_that_little_is_asked_of_weighs_nothing() -> None:
    leader = make_leader()
    leader.on_time(0.0)
    for rsu, price in (("rsu_1", leader.price), ("liar", LIE)):
        leader.on_offer(0.0, offer(rsu, price=price))
    leader.on_demand(0.1, 1, Bid("uav_0", "rsu_0", 1, 4.0))
    leader.on_time(0.6)
    for rsu in ("rsu_1", "liar"):
        leader.on_bid_elsewhere(0.7, Bid("uav_0", rsu, 1, 0.5))
    assert len(leader.rival_prices()) == 1
    leader.on_bid_elsewhere(0.8, Bid("uav_0", "liar", 1, 2.0))
    assert len(leader.rival_prices()) == 2


def test_a_rival_is_believed_for_some_rounds_after_the_last_bid() -> None:
    leader = make_leader()
    for round_ in range(1, 31):
        now = float(round_)
        leader.on_time(now)
        leader.on_offer(now, offer("rsu_1", round_))
        leader.on_offer(now, offer("rsu_2", round_, 3.0))
        leader.on_demand(now + 0.1, round_, Bid("uav_0", "rsu_0", round_, 4.0))
        leader.on_time(now + 0.6)
        leader.on_bid_elsewhere(now + 0.7, Bid("uav_0", "rsu_2", round_, 4.0))
        if round_ < 10:
            leader.on_bid_elsewhere(now + 0.7, Bid("uav_0", "rsu_1", round_, 4.0))
        assert 3.0 in leader.rival_prices()
        assert round_ >= 10 or 2.0 in leader.rival_prices()
        assert round_ <= 18 or 2.0 not in leader.rival_prices()


# -- the UAV's side ----------------------------------------------------------------------------------------------------


def asked(uav: Follower, now: float, **prices: float) -> dict[str, float]:
    """What the UAV bids when these RSUs post."""
    for rsu, price in prices.items():
        uav.board.on_offer(now, offer(rsu, int(now), price))
    uav.on_motion(now, (50.0, 0.0, 80.0), (0.0, 0.0, 0.0))
    uav.on_links(now, dict.fromkeys(prices, 5.0))
    return {bid.rsu: bid.bandwidth for out in uav.on_offers(now) if isinstance(out, Demand) for bid in out.bids}


def grant(uav: Follower, now: float, rsu: str, bandwidth: float) -> None:
    uav.on_grant(now + 0.1, Grant(rsu, int(now), LIE, {"uav_0": bandwidth}, 2.0))


def test_a_new_rsu_is_asked_for_a_trifle_then_for_a_little_and_counted_on_once_it_has_granted_both() -> None:
    uav = make_follower("uav_0")
    wanted = asked(uav, 1.0, rsu_0=2.0)["rsu_0"]
    assert wanted > 1.0
    grant(uav, 1.0, "rsu_0", wanted)
    bids = asked(uav, 2.0, rsu_0=2.0, rsu_1=2.0)
    assert bids["rsu_0"] == pytest.approx(wanted)
    assert 0.0 < bids["rsu_1"] < 0.01 * wanted
    grant(uav, 2.0, "rsu_0", bids["rsu_0"])
    grant(uav, 2.0, "rsu_1", bids["rsu_1"])
    bids = asked(uav, 3.0, rsu_0=2.0, rsu_1=2.0)
    assert bids["rsu_0"] == pytest.approx(wanted)
    assert bids["rsu_1"] == pytest.approx(TRIALS[1] * wanted)
    grant(uav, 3.0, "rsu_0", bids["rsu_0"])
    grant(uav, 3.0, "rsu_1", bids["rsu_1"])
    bids = asked(uav, 4.0, rsu_0=2.0, rsu_1=2.0)
    assert bids["rsu_0"] == pytest.approx(bids["rsu_1"])


def test_a_liar_with_the_best_price_is_asked_for_a_trifle_for_ever() -> None:
    uav = make_follower("uav_0")
    grant(uav, 1.0, "rsu_0", asked(uav, 1.0, rsu_0=2.0)["rsu_0"])
    for now in range(2, 30):
        bids = asked(uav, float(now), rsu_0=2.0, liar=LIE)
        assert bids["liar"] < 0.01 * bids["rsu_0"]
        grant(uav, float(now), "rsu_0", bids["rsu_0"])
        grant(uav, float(now), "liar", 0.0)


def test_where_the_known_are_too_dear_a_new_one_is_asked_in_full() -> None:
    uav = make_follower("uav_0")
    grant(uav, 1.0, "rsu_0", asked(uav, 1.0, rsu_0=2.0)["rsu_0"])
    assert asked(uav, 2.0, rsu_0=1e4, rsu_1=2.0)["rsu_1"] > 1.0


def test_an_rsu_is_counted_on_until_it_has_disappointed_and_then_has_to_grant_more_often() -> None:
    seen = Reputation()
    for now in range(PROVEN + 1):
        seen.on_grant(float(now), "rsu_0", 1.0, 1.0)
        seen.on_grant(float(now), "rsu_1", 1.0, 1.0)
    for strike in range(STRIKES):
        assert seen.counts_on("rsu_1")
        seen.on_grant(100.0 + strike, "rsu_0", 1.0, 1.0)
        seen.on_nothing("rsu_1", asked_at=100.0 + strike)
    assert not seen.counts_on("rsu_1")
    seen.on_grant(200.0, "rsu_1", 1.0, 1.0)
    assert not seen.counts_on("rsu_1")
    seen.on_grant(201.0, "rsu_1", 1.0, 1.0)
    assert seen.counts_on("rsu_1")
    seen.on_grant(202.0, "rsu_0", 1.0, 1.0)
    seen.on_nothing("rsu_1", asked_at=202.0)  # while it is new, once is enough
    assert not seen.counts_on("rsu_1")


def test_where_nobody_grants_nobody_loses_their_name() -> None:
    seen = Reputation()
    seen.on_grant(1.0, "rsu_0", 1.0, 1.0)
    for now in range(2, 50):
        seen.on_nothing("rsu_0", asked_at=float(now))
    assert seen.counts_on("rsu_0")


def test_a_grant_of_nearly_nothing_is_none() -> None:
    seen = Reputation()
    seen.on_grant(1.0, "rsu_0", 0.001, 1.0)
    assert not seen.counts_on("rsu_0")


def test_ever_new_rsus_cost_no_memory() -> None:
    seen = Reputation()
    for number in range(10 * MOST):
        seen.on_grant(1.0, f"rsu_{number}", 1.0, 1.0)
        seen.on_nothing(f"other_{number}", asked_at=0.0)
    assert len(seen._records) <= MOST
