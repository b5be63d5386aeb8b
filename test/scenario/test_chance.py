"""Named distributions."""

from __future__ import annotations

import statistics

import pytest

from uav_twin_migration.errors import InputError
from uav_twin_migration.scenario.chance import drawer, stream
from uav_twin_migration.scenario.load import dump, load, loads


@pytest.mark.parametrize(
    ("text", "mean", "deviation"),
    [
        ("0.5", 0.5, 0.0),
        ("uniform(1, 3)", 2.0, 0.577),
        ("normal(-2, 0.5)", -2.0, 0.5),
        ("lognormal(1, 0.1)", 1.005, 0.101),
        ("exponential(4)", 4.0, 4.0),
    ],
)
def test_a_distribution_has_its_moments(text: str, mean: float, deviation: float) -> None:
    draw = drawer(text, stream(3, "test"))
    values = [draw() for _ in range(20_000)]
    assert statistics.fmean(values) == pytest.approx(mean, abs=0.05 * max(deviation, 1e-9))
    assert statistics.pstdev(values) == pytest.approx(deviation, rel=0.05, abs=1e-9)


def test_streams_do_not_move_each_other_and_bounds_hold() -> None:
    assert stream(1, "loss").random() == stream(1, "loss").random() != stream(1, "delay").random()
    assert stream(1, "loss").random() != stream(2, "loss").random()
    draw = drawer("normal(0, 10)", stream(1, "test"), 0.0, 1.0)
    assert {draw() for _ in range(100)} >= {0.0, 1.0}


@pytest.mark.parametrize("text", ["", "gauss(0, 1)", "uniform(1)", "exponential(1, 2)", "1; 2", "nan"])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="uniform"):
        drawer(text, stream(1, "test"))
    changed = dump(load("small")).replace('message_delay: "lognormal(0.002, 0.5)"', f'message_delay: "{text}"')
    with pytest.raises(InputError, match=r"randomness\.message_delay"):
        loads(changed)
