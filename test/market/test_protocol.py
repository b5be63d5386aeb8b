"""Leaders and followers together, in virtual time."""

import itertools
import random

import pytest

from test.market.virtual import DELAY, DELIVER, DUPLICATE, LOSE, VirtualMarket, make_follower, make_leader
from uav_twin_migration.market.pricing import ElasticityPricer

FAULTS = (DELIVER, LOSE, DUPLICATE, DELAY)


def test_every_round_everybody_gets_a_grant() -> None:
    market = VirtualMarket([make_leader(f"rsu_{m}") for m in range(2)], [make_follower(f"uav_{n}") for n in range(3)])
    market.run(10.4)
    assert len(market.booked) == 22
    assert all(one.ungranted == 0 for one in market.followers)
    assert [one.granted for one in market.followers] == [22, 22, 22]
    assert not any(one.refusals for one in market.leaders)
    assert not any(one.refusals for one in market.followers)


def check_ledgers(market: VirtualMarket) -> None:
    for rsu in market.leaders:
        assert rsu.leased() <= rsu.settings.capacity * (1 + 1e-9)


def run_with_faults(fates: list[int], leaders: int, followers: int) -> None:
    """Faults for the first messages of the first three rounds; two rounds later everybody must be served again."""
    script = iter(fates)
    market = VirtualMarket(
        [make_leader(f"rsu_{m}", capacity=3.0) for m in range(leaders)],
        [make_follower(f"uav_{n}") for n in range(followers)],
    )
    market.fate = lambda: next(script, DELIVER) if market.now < 2.9 else DELIVER
    market.run(4.6, watch=lambda: check_ledgers(market))
    served = [one.granted for one in market.followers]
    market.run(6.6, watch=lambda: check_ledgers(market))
    for one, before in zip(market.followers, served, strict=True):
        assert one.granted - before == 2 * leaders
        assert set(one.bandwidth(market.now)) == {rsu.settings.rsu for rsu in market.leaders}


@pytest.mark.slow
@pytest.mark.parametrize("first", FAULTS)
def test_every_fate_of_the_first_six_messages_of_two_uavs_and_one_rsu(first: int) -> None:
    """Exhaustive: each message delivered, lost, duplicated or delayed; 4^6 schedules."""
    for rest in itertools.product(FAULTS, repeat=5):
        run_with_faults([first, *rest], leaders=1, followers=2)


@pytest.mark.parametrize("seed", range(40))
def test_random_schedules_of_more_of_them(seed: int) -> None:
    draw = random.Random(seed)
    fates = draw.choices(FAULTS, weights=(5, 2, 2, 2), k=draw.randrange(20, 60))
    run_with_faults(fates, leaders=draw.randrange(1, 4), followers=draw.randrange(1, 4))


def test_a_leader_that_restarts_in_mid_round_is_served_again() -> None:
    market = VirtualMarket([make_leader()], [make_follower("uav_0")])
    market.run(3.02)
    market.leaders[0] = make_leader(first_round=market.leaders[0].round + 1000)
    before = market.followers[0].granted
    market.run(6.6)
    assert market.followers[0].granted >= before + 3


def test_a_follower_that_vanishes_frees_its_share() -> None:
    market = VirtualMarket([make_leader(capacity=2.0)], [make_follower("uav_0"), make_follower("uav_1")])
    market.run(3.4)
    shared = market.followers[0].bandwidth(market.now)["rsu_0"]
    gone = market.followers.pop()
    market.run(8.4)
    assert gone.settings.uav not in market.grants[-1][1].bandwidth
    assert market.followers[0].bandwidth(market.now)["rsu_0"] > 1.5 * shared


def test_two_followers_of_one_id_share_one_account() -> None:
    market = VirtualMarket(
        [make_leader(capacity=2.0)], [make_follower("uav_0"), make_follower("uav_0"), make_follower("uav_1")]
    )
    market.run(5.4, watch=lambda: check_ledgers(market))
    grant = market.grants[-1][1]
    assert set(grant.bandwidth) == {"uav_0", "uav_1"}
    assert grant.bandwidth["uav_0"] == pytest.approx(grant.bandwidth["uav_1"])


def test_the_fallback_rule_finds_the_monopoly_price() -> None:
    """One RSU: p* = sqrt(C sum(alpha) / sum(d/e)) (design)."""
    leader = make_leader(capacity=1000.0, price_cap=100.0)
    leader.pricer = ElasticityPricer(1.0, 100.0, 1000.0, seed=3)
    market = VirtualMarket([leader], [make_follower(f"uav_{n}", alpha=5.0 + n) for n in range(8)])
    market.run(150.0)
    optimum = (1.0 * sum(5.0 + n for n in range(8)) / (8 * 0.6 / 5.0)) ** 0.5
    late = [booked.result for booked in market.booked[-50:]]
    best = sum((optimum - 1.0) * (5.0 + n) / optimum for n in range(8)) - 8 * (optimum - 1.0) * 0.6 / 5.0
    assert sum(result.profit for result in late) / 50 > 0.93 * best


def test_the_fallback_rule_sells_the_capacity_where_it_binds() -> None:
    leader = make_leader(capacity=8.0)
    leader.pricer = ElasticityPricer(1.0, 20.0, 8.0, seed=1)
    market = VirtualMarket([leader], [make_follower(f"uav_{n}") for n in range(8)])
    market.run(100.0)
    late = [booked.result for booked in market.booked[-30:]]
    assert sum(result.sold for result in late) / 30 > 0.9 * 8.0
    assert sum(result.demanded for result in late) / 30 < 1.15 * 8.0
