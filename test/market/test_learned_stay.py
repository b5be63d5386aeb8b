"""A hosting decision that learns how long coverage lasts."""

from __future__ import annotations

import math

import pytest

from uav_twin_migration.market.hosting_decision import Prospect
from uav_twin_migration.market.learned_stay import LearnedStay
from uav_twin_migration.radio.coverage import predicted_stay_of_one

REACH, ROUND, RADIUS = 300.0, 120.0, 250.0  # m, s a round, m
RSUS = {"near": (0.0, 0.0), "far": (400.0, 0.0)}


def prospects(now: float) -> dict[str, Prospect]:
    """Of a UAV that circles (200, 0)."""
    angle = 2.0 * math.pi * now / ROUND
    here = 200.0 + RADIUS * math.cos(angle), RADIUS * math.sin(angle)
    speed = 2.0 * math.pi * RADIUS / ROUND
    course = -speed * math.sin(angle), speed * math.cos(angle)
    found = {}
    for rsu, place in RSUS.items():
        away = math.dist(here, place)
        stay = predicted_stay_of_one(here, course, place, REACH)
        found[rsu] = Prospect(stay, 4.0 if away < REACH else 0.0, away)
    return found


def left(rsu: str, now: float) -> float:
    """How long an RSU in fact stays in range, s."""
    return next(step / 4.0 for step in range(1000) if not prospects(now + step / 4.0)[rsu].efficiency)


def test_it_knows_the_turns_of_a_round_that_was_flown() -> None:
    decision, host = LearnedStay(), None
    wrong_straight, wrong_learned = [], []
    for step in range(int(4 * ROUND)):
        now, seen = float(step), prospects(float(step))
        host = decision.choose(now, host, 0.0, seen)
        assert host is None or seen[host].efficiency > 0.0
        if now > 2.5 * ROUND:
            for rsu in RSUS:
                if seen[rsu].efficiency:
                    wrong_straight.append(abs(seen[rsu].stay - left(rsu, now)))
                    wrong_learned.append(abs(decision.stay(rsu, seen[rsu].stay) - left(rsu, now)))
    assert sum(wrong_learned) < 0.5 * sum(wrong_straight)


def test_before_it_knows_enough_it_looks_straight_on() -> None:
    decision = LearnedStay()
    for step in range(10):
        decision.choose(float(step), None, 0.0, prospects(float(step)))
    assert decision.stay("near", 12.5) == pytest.approx(12.5)
