"""The summary in words: short, whatever happened, and loud about what is bad."""

from __future__ import annotations

from typing import Any

from uav_twin_migration.monitor.summary import MOST_LINES, in_words


def summary(**changed: Any) -> dict[str, Any]:
    """A good run, but for what is changed."""
    nothing: dict[str, Any] = {"mean": None, "p95": None}
    good = {
        "scenario": "small",
        "rsus": 2,
        "uavs": 2,
        "rounds": 48,
        "offers": 48,
        "demands": 90,
        "grants": 88,
        "answers_without_grant": 0,
        "rounds_missed": 0,
        "mean_immersion": 12.345,
        "mean_profit": 6.5,
        "price_gap_to_equilibrium": 0.031,
        "exploitability": 0.012,
        "grant_latency_ms": {"p50": 3.0, "p99": 9.0},
        "refused": {},
        "twins": 2,
        "twins_lost": 0,
        "twins_duplicated": 0,
        "twins_unserved": 0,
        "versions_fallen": 0,
        "migrations_completed": 5,
        "migrations_failed": 0,
        "failed_because": {},
        "takeovers": 0,
        "age_of_migration_s": {"mean": 3.2, "p95": 4.0},
        "downtime_ms": {"mean": 12.0, "p95": 20.0},
        "age_of_information_ms": nothing,
        "twin_error_m": nothing,
        "first_full_round_s": 1.5,
        "seed": 7,
    }
    return good | changed


def test_a_good_run_says_nothing_bad_and_its_seed() -> None:
    lines = in_words(summary())
    assert not [line for line in lines if "BAD" in line]
    assert "seed 7" in lines[0]
    assert any("price gap to equilibrium 3.1%" in line for line in lines)


def test_a_few_answers_that_came_too_late_for_a_round_are_no_busy_machine() -> None:
    few, many = (in_words(summary(demands=1592, answers_without_grant=late)) for late in (3, 30))
    assert "  -   3 answers without a grant, as of UAVs that came new to an RSU" in few
    assert not [line for line in few if "BAD" in line]
    assert [line for line in many if "BAD 0 rounds missed, 30 answers without a grant" in line]


def test_everything_that_can_go_wrong_is_told_and_fits_a_small_terminal() -> None:
    bad = summary(
        rounds_missed=3,
        price_gap_to_equilibrium=0.5,
        grant_latency_ms={"p50": 90.0, "p99": 400.0},
        twins_lost=1,
        twins_duplicated=1,
        migrations_failed=4,
        failed_because={f"reason_{number}": 1 for number in range(30)},
        downtime_ms={"mean": 900.0, "p95": 2000.0},
        refused={f"reason_{number}": number for number in range(30)},
        takeovers=2,
    )
    lines = in_words(bad)
    assert sum(line.startswith("  BAD") for line in lines) == 6
    assert len(lines) <= MOST_LINES
    assert max(map(len, lines)) <= 160


def test_a_run_in_which_nothing_happened_says_so() -> None:
    nothing = {"mean": None, "p95": None}
    empty = summary(
        grants=0,
        mean_immersion=None,
        mean_profit=None,
        price_gap_to_equilibrium=None,
        exploitability=None,
        grant_latency_ms={"p50": None, "p99": None},
        twins=0,
        migrations_completed=0,
        age_of_migration_s=nothing,
        first_full_round_s=None,
    )
    lines = in_words(empty)
    assert any("nothing was sold" in line for line in lines)


def test_each_flight_has_a_line() -> None:
    flown = {"flown_m": 2350.4, "rounds": 3.1, "aside_m": 4.3, "aside_most_m": 9.7, "takeovers": 0, "ended": ""}
    taken = {**flown, "takeovers": 1, "ended": "taken over: a failsafe switched to AUTO.RTL"}
    lines = in_words(summary(flights={"uav_1": flown, "uav_2": taken}))
    assert any("uav_1 flew 2,350 m, 3.1 rounds, 4.3 m aside (at most 9.7); goes on" in line for line in lines)
    assert any(
        line.strip().startswith("BAD uav_2") and "taken over 1 times; taken over: a failsafe" in line for line in lines
    )
