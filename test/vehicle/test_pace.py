"""A simulated world goes as fast as the machine can, and says when that is slower than was wanted."""

from __future__ import annotations

from uav_twin_migration.vehicle.pace import CALM, FASTER, LEAST, MUCH_SLOWER, SETTLING, SLOWER, Pace


def test_a_machine_in_trouble_gets_slower_step_by_step_and_no_slower_than_some() -> None:
    pace, now, factors = Pace(2.0, 0.0), 0.0, []
    for _ in range(200):
        now += 1.0
        if pace.troubled(now):
            factors.append(pace.factor)
    assert factors[:2] == [2.0 * SLOWER, 2.0 * SLOWER**2]
    assert factors[-1] == 2.0 * LEAST
    assert len(factors) < 200 / SETTLING


def test_it_gets_as_fast_as_was_wanted_again_once_all_is_calm() -> None:
    pace = Pace(1.0, 0.0)
    assert pace.troubled(10.0)
    assert not pace.calm(10.0 + 0.9 * CALM)
    assert pace.calm(10.0 + 1.1 * CALM)
    assert pace.factor == SLOWER * FASTER
    now = 100.0
    for _ in range(2):  # .91, and then not .998
        now += CALM + 1.0
        pace.calm(now)
    assert pace.factor == 1.0
    assert not pace.calm(now + 100.0)


def test_a_few_nodes_that_are_late_are_no_trouble() -> None:
    pace = Pace(1.0, 0.0)
    assert not pace.heard(10.0, 0, 0)
    assert not pace.heard(10.0, 6, 36)
    assert pace.heard(10.0, 8, 36)
    assert pace.factor == SLOWER


def test_where_most_nodes_are_late_it_goes_at_half_the_pace() -> None:
    pace = Pace(1.0, 0.0)
    assert pace.heard(10.0, 19, 36)
    assert pace.factor == MUCH_SLOWER
