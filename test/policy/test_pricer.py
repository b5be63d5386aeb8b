"""The pricer: a policy's prices, swapped between rounds, and the last good policy when a new one is not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from test.policy.test_artifact import make_policy
from uav_twin_migration.market.leader import PriceDecision, RoundResult
from uav_twin_migration.policy import observation
from uav_twin_migration.policy.artifact import Policy, PolicyRefused, Reason, sha256, to_bytes
from uav_twin_migration.policy.pricer import PolicyPricer
from uav_twin_migration.policy.single import observe

NOW = 0.6  # rho


class Rule:
    """A fallback that can be told from any policy."""

    def adopt(self, unit_cost: float, price_cap: float, capacity: float) -> None:
        pass

    def decide(self, history: object, rival_prices: object) -> PriceDecision:
        return PriceDecision(1.25)


def pricer(policy: Policy | None = None, exploration: float | None = 0.0, seed: int = 0) -> PolicyPricer:
    return PolicyPricer(1.0, 20.0, 10.0, NOW, Rule(), policy, exploration, seed)


def result(round_: int, price: float, rivals: tuple[float, ...]) -> RoundResult:
    return RoundResult(round_, price, 4.0 + round_, 4.0, 3.0, 5, rivals, 0.25, largest=2.5)


def send(to: PolicyPricer, policy: Policy, **wrong: Any) -> None:
    data = to_bytes(policy)
    message: dict[str, Any] = {"data": data, "sha256": sha256(data), "version": policy.version, "schema": policy.schema}
    to.update(**(message | wrong))


HISTORY = [result(1, 2.0, ()), result(2, 2.2, (1.5,)), result(3, 2.1, (1.6, 2.0))]


def test_without_a_policy_the_rule_prices() -> None:
    assert pricer().decide(HISTORY, ()) == PriceDecision(1.25)
    assert pricer().version == 0


def test_a_round_goes_with_the_prices_that_rivals_posted_in_it() -> None:
    """They are known when the next round is priced."""
    seen = observe(HISTORY, (1.7, 1.9), 1.0, 20.0, 10.0, NOW)

    def encoded(price: float, demanded: float, rivals: tuple[float, ...]) -> observation.FloatArray:
        one = np.asarray
        own = one(price), one(demanded), one(demanded - 1.0), one(10.0)
        most = max(2.0 * 2.5, 2.2 * 2.5, price * 2.5)
        record = observation.RoundRecord(*own, one(5.0), one(0.25), one(most), np.array([]), np.array(rivals))
        return observation.encode_round(record, 1.0, 20.0, NOW)

    rounds = [encoded(2.1, 7.0, (1.7, 1.9)), encoded(2.2, 6.0, (1.6, 2.0))]
    situation = observation.encode_situation(1.0, 20.0, NOW, 2)
    np.testing.assert_allclose(seen, observation.assemble(situation, np.stack(rounds)), atol=1e-6)


def test_a_short_history_is_told_as_such() -> None:
    seen = observe(HISTORY[:1], (), 1.0, 20.0, 10.0, NOW)
    known = seen[len(observation.SITUATION) :: len(observation.ROUND)]
    assert known.tolist() == [1.0] + [0.0] * (observation.ROUNDS - 1)
    assert not observe([], (), 1.0, 20.0, 10.0, NOW)[len(observation.SITUATION) :].any()


def test_a_decision_says_how_it_came_about() -> None:
    policy = make_policy(version=7)
    decision = pricer(policy).decide(HISTORY, (1.7,))
    assert decision.policy_version == 7
    assert decision.observation_schema == observation.SCHEMA
    assert decision.action == pytest.approx(float(policy.actor(np.array(decision.observation, dtype=np.float32))))
    assert 1.0 <= decision.price <= 20.0
    assert math.isnan(decision.log_probability)  # no exploration: an action has no density


def test_exploration_is_gaussian_and_seeded() -> None:
    policy = make_policy()
    mean = pricer(policy).decide(HISTORY, ()).action
    exploring = pricer(policy, exploration=None, seed=5)
    decisions = [exploring.decide(HISTORY, ()) for _ in range(2000)]
    actions = np.array([decision.action for decision in decisions])
    assert actions.mean() == pytest.approx(mean, abs=0.02)
    assert actions.std() == pytest.approx(policy.exploration, rel=0.05)
    for decision in decisions[:5]:
        z = (decision.action - mean) / policy.exploration
        expected = -0.5 * z * z - math.log(policy.exploration * math.sqrt(2 * math.pi))
        assert decision.log_probability == pytest.approx(expected)
    again = pricer(policy, exploration=None, seed=5)
    assert [again.decide(HISTORY, ()) for _ in range(3)] == decisions[:3]


def test_a_new_policy_prices_the_next_round() -> None:
    one = pricer()
    send(one, make_policy(version=1))
    first = one.decide(HISTORY, ())
    send(one, make_policy(version=4, seed=1))
    second = one.decide(HISTORY, ())
    assert (first.policy_version, second.policy_version) == (1, 4)
    assert first.price != second.price


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"data": to_bytes(make_policy(version=5))[:-3]}, Reason.CORRUPT),
        ({"sha256": "0" * 64}, Reason.CORRUPT),
        ({"schema": "uav-twin-price/0"}, Reason.SCHEMA),
        ({"version": 6}, Reason.METADATA),
        ({"version": 2}, Reason.STALE),
        ({"version": 3}, Reason.STALE),
    ],
)
def test_a_bad_policy_leaves_the_last_good_one(wrong: dict[str, object], reason: Reason) -> None:
    one = pricer(make_policy(version=3))
    before = one.decide(HISTORY, ())
    with pytest.raises(PolicyRefused) as refused:
        send(one, make_policy(version=5, seed=1), **wrong)
    assert refused.value.reason is reason
    assert one.refusals == {reason: 1}
    assert one.decide(HISTORY, ()) == before


NUMBERS = st.floats(1e-3, 1e3)


@given(
    cost=NUMBERS,
    span=st.floats(1.0, 200.0),
    capacity=NUMBERS | st.just(math.inf),
    rho=st.floats(0.05, 0.95),
    rounds=st.lists(
        st.tuples(
            st.floats(0.0, 1.0),  # of the way from cost to cap
            st.just(0.0) | NUMBERS,  # demanded
            st.integers(0, 300),
            st.floats(0.0, 1.0),
            st.lists(NUMBERS, max_size=4),  # rivals' prices
            st.lists(NUMBERS | st.just(math.inf), max_size=4),  # what they offered
            st.floats(0.0, 1.0),  # of the demand, the largest one
        ),
        max_size=16,
    ),
    latest=st.lists(NUMBERS, max_size=4),
)
def test_one_rsu_sees_what_the_batch_sees(
    cost: float, span: float, capacity: float, rho: float, rounds: list[Any], latest: list[float]
) -> None:
    cap = cost * span
    history = [
        RoundResult(
            i,
            cost * span**way,
            demanded,
            0.0,
            0.0,
            uavs,
            tuple(rivals),
            spread,
            capacity,
            tuple(offered),
            part * demanded,
        )
        for i, (way, demanded, uavs, spread, rivals, offered, part) in enumerate(rounds)
    ]
    spent = [result.price * result.largest for result in history]
    told = []
    posted = [list(result.rival_prices) for result in history[1:]] + [latest]
    before = [math.nan, *(result.demanded for result in history)]
    for i, (result, last, rivals) in list(enumerate(zip(history, before, posted, strict=False)))[::-1]:
        own = (np.asarray(x) for x in (result.price, result.demanded, last, capacity, float(result.uavs_in_range)))
        price, demanded, earlier, limit, uavs = own
        most = max(spent[max(i + 1 - observation.MEMORY, 0) : i + 1])
        spread, offered = np.asarray(result.concentration), np.array(result.rivals_bandwidth, dtype=float)
        record = observation.RoundRecord(
            price, demanded, earlier, limit, uavs, spread, np.asarray(most), offered, np.array(rivals, dtype=float)
        )
        told.append(observation.encode_round(record, cost, cap, rho))
    situation = observation.encode_situation(cost, cap, rho, len(latest))
    encoded = np.stack(told[: observation.ROUNDS]) if told else np.zeros((0, len(observation.ROUND)))
    one = observe(history, latest, cost, cap, capacity, rho)
    np.testing.assert_allclose(one, observation.assemble(situation, encoded), rtol=1e-6, atol=1e-5)
