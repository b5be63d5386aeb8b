"""What is in an observation, and what must not change it."""

from __future__ import annotations

import numpy as np
import pytest

from uav_twin_migration.policy import observation
from uav_twin_migration.policy.actor import price_of
from uav_twin_migration.policy.observation import (
    ROUND,
    ROUNDS,
    SITUATION,
    SIZE,
    RoundRecord,
    assemble,
    concentration,
    encode_round,
    encode_situation,
)


def record(
    rivals: list[float], price: float = 2.0, demanded: float = 5.0, before: float = 4.0, capacity: float = 10.0
) -> RoundRecord:
    one = np.asarray
    own = one(price), one(demanded), one(before), one(capacity)
    return RoundRecord(
        *own, one(4.0), one(0.3), one(6.0), np.array([12.0, 20.0, np.nan]), np.array(rivals, dtype=float)
    )


def encoded(rivals: list[float], rho: float = 0.6, **values: float) -> dict[str, float]:
    return dict(zip(ROUND, encode_round(record(rivals, **values), 1.0, 20.0, rho).tolist(), strict=True))


def test_rivals_in_any_order_and_unheard_ones_make_no_difference() -> None:
    assert encoded([3.0, 1.0, 2.5]) == pytest.approx(encoded([1.0, np.nan, 2.5, 3.0, np.nan]))


def test_rivals_are_told_relative_to_the_own_price() -> None:
    seen = encoded([1.0, 4.0])
    assert seen["rivals_lowest"] == pytest.approx(np.log(0.5))
    assert seen["rivals_highest"] == pytest.approx(np.log(2.0))
    assert seen["rivals_mean"] == pytest.approx(0.0)
    exponent = -0.6 / 0.4
    assert seen["rivals_index"] == pytest.approx(np.log((0.5**exponent + 2.0**exponent) / 2) / exponent)


def test_alone_all_about_rivals_is_zero() -> None:
    for nobody in ([], [np.nan]):
        alone = record(nobody)._replace(rivals_bandwidth=np.array(nobody, dtype=float))
        assert encode_round(alone, 1.0, 20.0, 0.6)[-7:].tolist() == [0.0] * 7


def test_what_rivals_offer_and_how_demand_changes_are_told_by_the_own_and_the_last() -> None:
    seen = encoded([2.0], demanded=5.0, before=4.0, capacity=10.0)
    assert seen["growth"] == pytest.approx(np.log(5.0 / 4.0))
    assert seen["bandwidth_lowest"] == pytest.approx(np.log(12.0 / 10.0))
    assert seen["bandwidth_highest"] == pytest.approx(np.log(20.0 / 10.0))
    assert seen["bandwidth_mean"] == pytest.approx(np.log(12.0 * 20.0 / 100.0) / 2)
    assert seen["log_load"] == pytest.approx(1.0 + np.log(0.5 + observation.LEAST_LOAD))
    assert encoded([2.0], before=np.nan)["growth"] == 0.0
    assert encoded([2.0], before=0.0)["growth"] == observation.MOST_CHANGE
    assert encoded([2.0], demanded=0.0, before=0.0)["growth"] == 0.0


def test_the_most_that_a_uav_has_spent_is_told_by_what_uavs_spend_now() -> None:
    assert encoded([2.0])["most_spent"] == pytest.approx(np.log(6.0 / (2.0 * 5.0 / 4.0)) - 1.0)
    assert encoded([2.0], demanded=0.0)["most_spent"] == observation.MOST_SPENT - 1.0
    nothing_ever = record([2.0], demanded=0.0)._replace(most_spent=np.asarray(0.0))
    assert encode_round(nothing_ever, 1.0, 20.0, 0.6)[ROUND.index("most_spent")] == -1.0


def test_extreme_rounds_stay_finite() -> None:
    for rho in (0.01, 0.5, 0.99):
        for values in ({"demanded": 0.0}, {"demanded": 1e9}, {"price": 1e-6}, {"price": 1e6}):
            for rivals in ([], [1e-6], [1e6, 1e-6]):
                assert np.isfinite(list(encoded(rivals, rho, **values).values())).all()
    assert np.isfinite(encode_situation(1.0, 1.0, 0.5, 0)).all()


def test_an_unlimited_capacity_is_one_that_never_binds() -> None:
    free, ample = (encode_round(record([2.0], capacity=capacity), 1.0, 20.0, 0.6) for capacity in (np.inf, 1e9))
    np.testing.assert_allclose(free, ample, atol=1e-4)


def test_actions_ask_the_prices_they_are_told_for() -> None:
    seen = encoded([2.0], price=3.7)
    assert price_of(seen["action"] - 1.0, 1.0, 20.0) == pytest.approx(3.7)
    situation = dict(zip(SITUATION, encode_situation(1.5, 20.0, 0.6, 3).tolist(), strict=True))
    assert price_of(situation["usual_action"] - 1.0, 1.5, 20.0) == pytest.approx(observation.USUAL_MARKUP * 1.5)


def test_concentration_is_the_herfindahl_index() -> None:
    assert concentration([3.0, 3.0, 0.0]) == pytest.approx(0.5)
    assert concentration([0.0, 0.0]) == 0.0
    assert concentration([[1.0, 2.0], [0.0, 2.0]], axis=0) == pytest.approx([1.0, 0.5])


def test_rounds_that_have_not_been_are_zero() -> None:
    situation = encode_situation(1.0, 20.0, 0.6, 3)
    one = encode_round(record([2.0]), 1.0, 20.0, 0.6)
    for rounds in range(ROUNDS + 1):
        seen = assemble(situation, np.stack([one] * rounds) if rounds else np.zeros((0, len(ROUND))))
        assert seen.shape == (SIZE,)
        assert seen.dtype == np.float32
        known = seen[len(SITUATION) :: len(ROUND)]
        assert known.tolist() == [1.0] * rounds + [0.0] * (ROUNDS - rounds)
        assert not seen[len(SITUATION) + rounds * len(ROUND) :].any()


def test_the_schema_names_this_encoding() -> None:
    """Fails when the encoding changes: raise the number in SCHEMA then, and what this test expects."""
    situation = encode_situation(0.8, 20.0, 0.65, 2)
    rounds = encode_round(record([2.2, 1.7], price=1.9, demanded=3.3, capacity=15.0), 0.8, 20.0, 0.65)
    assert observation.SCHEMA == "uav-twin-price/3"
    assert situation == pytest.approx([0.71888, -0.49879, 0.5, -0.10139], abs=1e-5)
    own = [1.0, 0.26500, -0.00109, 0.78885, -0.50959, -0.19237, 0.09545]
    market = [0.34228, -0.22314, 0.03227, 0.28768]
    assert rounds == pytest.approx([*own, *market, -0.11123, 0.01769, 0.14660, 0.00240], abs=1e-5)
