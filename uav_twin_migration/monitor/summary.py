"""A run in words: what matters, whether it is good, and what to do where it is not. It fits a small terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from uav_twin_migration.monitor.hints import TOO_SLOW

MOST_LINES = 24
WIDE_GAP, HIGH_EXPLOITABILITY = 0.15, 0.1  # of price and of best profit, above which pricing is not good
LONG_LATENCY, LONG_DOWNTIME = 100.0, 250.0  # ms, above which people would notice
MOST_REASONS = 5
MOST_UNANSWERED = 0.01  # of the demands: those of UAVs that come when an RSU's round is closed; docs/market.md
MOST_SLOWED = 0.9  # of the real-time factor that was wanted: below that the machine was too slow
MOST_FLIGHTS = 8
HARM = {
    "twins_lost": "lost",
    "twins_duplicated": "served twice",
    "twins_unserved": "unserved",
    "versions_fallen": "set back",
}
OK, BAD, NONE = "ok ", "BAD", "-  "


def in_words(summary: Mapping[str, Any]) -> list[str]:
    """The lines. summary: what `uavtwin sim --json` writes."""
    seconds = summary.get("first_full_round_s")
    began = f", everybody served after {seconds:.1f} s" if seconds is not None else ""
    what = f"{summary['scenario']}, {summary['rsus']} RSUs, {summary['uavs']} UAVs, {summary['rounds']} rounds{began}"
    lines = [f"summary: {what}; seed {summary.get('seed', 0)}"]
    for part in (_market, _prices, _latency, _twins, _users, _flights, _refused):
        lines += [f"  {mark} {line}" for mark, line in part(summary)]
    lines.append("  all figures: --verbose shows them, --json FILE writes them")
    return lines[:MOST_LINES]


def _market(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not summary["grants"]:
        yield (
            BAD,
            "market: nothing was sold. Are RSUs in reach, and cheap enough? uavtwin scenario check",
        )
        return
    yield OK, f"market: {summary['offers']} offers, {summary['demands']} demands, {summary['grants']} grants"
    missed, unanswered = summary["rounds_missed"], summary["answers_without_grant"]
    if missed or unanswered > MOST_UNANSWERED * summary["demands"]:
        yield BAD, f"{missed} rounds missed, {unanswered} answers without a grant: a busy machine?"
    elif unanswered:
        yield NONE, f"{unanswered} answers without a grant, as of UAVs that came new to an RSU"
    factor, wanted = summary.get("real_time_factor"), summary.get("real_time_factor_wanted")
    if factor is not None and wanted is not None and factor < MOST_SLOWED * wanted:
        yield BAD, f"it ran at {factor:.2g} times real time, {wanted:g} was wanted"
        yield BAD, TOO_SLOW
    immersion, profit = summary["mean_immersion"], summary["mean_profit"]
    yield OK, f"UAVs' mean immersion {_number(immersion)} credit, RSUs' mean profit {_number(profit)} credit a round"


def _prices(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    gap, loss = summary["price_gap_to_equilibrium"], summary["exploitability"]
    if gap is None:
        yield NONE, "price gap to equilibrium: never compared; let it run for longer"
        return
    good = gap <= WIDE_GAP and (loss is None or loss <= HIGH_EXPLOITABILITY)
    line = f"price gap to equilibrium {gap:.1%}"
    if loss is not None:
        line += f"; an RSU that moved alone would earn {loss:.1%} more"
    yield (
        (OK if good else BAD),
        line + ("" if good else ": still settling, or the policy does not fit; see docs/learning.md"),
    )


def _latency(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    last = summary["grant_latency_ms"]["p99"]
    if last is not None:
        line = f"grants reach UAVs within {last:.0f} ms of the deadline (p99)"
        yield (OK if last <= LONG_LATENCY else BAD), line + ("" if last <= LONG_LATENCY else ": too busy a machine?")


def _twins(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not summary.get("twins"):
        yield NONE, "twins: none were hosted"
        return
    told = [f"{summary[key]} {what}" for key, what in HARM.items() if summary.get(key)]
    if told:
        yield BAD, f"twins: {', '.join(told)}: keep the stores, and see docs/migration.md"
    else:
        yield OK, f"twins: {summary['twins']} hosted, none lost, none served twice, none unserved"
    moved, failed = summary["migrations_completed"], summary["migrations_failed"]
    age, down = summary["age_of_migration_s"], summary["downtime_ms"]
    if moved:
        good = (down["p95"] or 0.0) <= LONG_DOWNTIME
        took = f"{moved} migrations in {_number(age['mean'])} s on average, p95 {_number(age['p95'])} s"
        yield (OK if good else BAD), f"{took}; not served for {_number(down['mean'])} ms, p95 {_number(down['p95'])} ms"
    if failed:
        why = ", ".join(f"{reason} {count}" for reason, count in list(summary["failed_because"].items())[:MOST_REASONS])
        yield BAD, f"{failed} migrations failed ({why}); docs/migration.md says what each means"
    if summary.get("takeovers"):
        yield OK, f"{summary['takeovers']} replicas took over"


def _users(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    age, error = summary.get("age_of_information_ms"), summary.get("twin_error_m")
    if age and age["p95"] is not None and error:
        yield OK, f"users' information is {_number(age['p95'])} ms old, {_number(error['p95'])} m from the UAV (p95)"


def _flights(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    flights = summary.get("flights", {})
    for uav, one in list(flights.items())[:MOST_FLIGHTS]:
        aside = f"{one['aside_m']:.1f} m aside (at most {one['aside_most_m']:.1f})"
        taken = f", taken over {one['takeovers']} times" if one["takeovers"] else ""
        flown = f"{uav} flew {one['flown_m']:,.0f} m, {one['rounds']:.1f} rounds"
        line = f"{flown}, {aside}{taken}; {one['ended'] or 'goes on'}"
        yield (BAD if one["takeovers"] or not one["flown_m"] else OK), line
    if len(flights) > MOST_FLIGHTS:
        yield NONE, f"{len(flights) - MOST_FLIGHTS} more flights: --json FILE has them"


def _refused(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    refused = sorted(summary["refused"].items(), key=lambda entry: -entry[1])
    if refused:
        told = ", ".join(f"{reason} {count}" for reason, count in refused[:MOST_REASONS])
        yield NONE, f"refused messages: {told}; docs/market.md says what each means"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
