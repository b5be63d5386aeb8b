"""Two runs side by side: what differs between their summaries, and who is better off for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

Summary = Mapping[str, Any]
SAME = 0.01  # part by which a number may differ and still be called equal
USERS, RSUS, NEITHER = "users", "RSUs", ""


class Measure(NamedTuple):
    """A number of a summary."""

    key: str  # with the inner key behind a dot
    title: str
    unit: str
    of: str  # whom it matters to: users, RSUs or nobody in particular
    more_is_better: bool


MEASURES = (
    Measure("mean_immersion", "mean immersion", "credit", USERS, True),
    Measure("mean_utility", "mean utility", "credit", USERS, True),
    Measure("mean_profit", "mean profit", "credit/round", RSUS, True),
    Measure("exploitability", "exploitability", "%", NEITHER, False),
    Measure("exploitability.mean", "exploitability", "%", NEITHER, False),
    Measure("price_gap_to_equilibrium", "price gap to equilibrium", "%", NEITHER, False),
    Measure("price_gap.mean", "price gap to equilibrium", "%", NEITHER, False),
    Measure("migrations_completed", "twins moved", "", NEITHER, True),
    Measure("migrations_failed", "moves that failed", "", USERS, False),
    Measure("age_of_migration_s.mean", "age of twin migration", "s", USERS, False),
    Measure("downtime_ms.mean", "downtime", "ms", USERS, False),
    Measure("age_of_information_ms.mean", "age of information", "ms", USERS, False),
    Measure("twin_error_m.mean", "twin to UAV", "m", USERS, False),
    Measure("twins_lost", "twins lost", "", USERS, False),
    Measure("twins_duplicated", "twins served twice", "", USERS, False),
    Measure("parameters", "parameters of the policy", "", NEITHER, False),
)


class Difference(NamedTuple):
    """One number in both runs."""

    measure: Measure
    first: float
    second: float

    @property
    def sign(self) -> int:
        """1 where the second run is better, -1 where the first is, 0 where they are equal."""
        size = max(abs(self.first), abs(self.second))
        if size == 0.0 or abs(self.second - self.first) <= SAME * size:
            return 0
        return 1 if (self.second > self.first) == self.measure.more_is_better else -1

    def cells(self, first: str, second: str) -> tuple[str, str, str, str]:
        """For people: what, in the first, in the second, and for whom which one is better."""
        unit = f", {self.measure.unit}" if self.measure.unit and self.measure.unit != "%" else ""
        better = "equal" if not self.sign else first if self.sign < 0 else second
        whose = f"{self.measure.of}: {better}" if self.measure.of and self.sign else better
        return f"{self.measure.title}{unit}", self._shown(self.first), self._shown(self.second), whose

    def _shown(self, value: float) -> str:
        return f"{100.0 * value:.3g} %" if self.measure.unit == "%" else f"{value:.4g}"

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "key": self.measure.key,
            "a": self.first,
            "b": self.second,
            "better_off": self.measure.of,
            "sign": self.sign,
        }


def differences(first: Summary, second: Summary) -> list[Difference]:
    """The numbers that both summaries have."""
    pairs = ((measure, value_of(first, measure.key), value_of(second, measure.key)) for measure in MEASURES)
    return [Difference(measure, a, b) for measure, a, b in pairs if a is not None and b is not None]


def value_of(summary: Summary, key: str) -> float | None:
    """A number of a summary; None where it has none."""
    value: Any = summary
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if number else None


def verdict(found: list[Difference], first: str, second: str) -> str:
    """Who is better off with which, in a sentence. Users count by what they perceive, RSUs by what they earn."""
    signs = {measured.measure.key: measured.sign for measured in found}
    sides = {USERS: signs.get("mean_immersion"), RSUS: signs.get("mean_profit")}
    known = {who: sign for who, sign in sides.items() if sign is not None}
    if not known:
        return "Neither says what users perceive or RSUs earn."
    names = {-1: f"better off with {first}", 0: "equally well off", 1: f"better off with {second}"}
    if len(known) == 2 and known[USERS] == known[RSUS]:
        return f"Both users and RSUs are {names[known[USERS]]}."
    said = "; ".join(f"{who} are {names[sign]}" for who, sign in known.items())
    return f"{said[0].upper()}{said[1:]}."
