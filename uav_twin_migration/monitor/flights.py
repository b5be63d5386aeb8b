"""What drones of an autopilot have flown, from what their nodes say about themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from uav_twin_migration.bounded import number, whole

NAME = "px4/"  # before the UAV, of a drone's name in /diagnostics
MOST_DRONES = 10_000


class FlightFigures(NamedTuple):
    """One drone's flights."""

    flown_m: float
    rounds: float
    aside_m: float  # from its route, on average
    aside_most_m: float
    takeovers: float
    ended: str  # why the latest flight ended; empty: it goes on


class Flights:
    """All drones'."""

    def __init__(self) -> None:
        self.by_uav: dict[str, FlightFigures] = {}

    def on_diagnostics(self, name: str, values: Mapping[str, str]) -> None:
        """What a node says about itself."""
        if not name.startswith(NAME) or "flown_m" not in values or len(self.by_uav) >= MOST_DRONES:
            return
        try:
            figures = FlightFigures(
                flown_m=number(values["flown_m"]),
                rounds=number(values["rounds"]),
                aside_m=number(values["aside_m"]),
                aside_most_m=number(values["aside_most_m"]),
                takeovers=whole(values["takeovers"]),
                ended=values.get("ended", ""),
            )
        except (KeyError, ValueError):
            return  # no node of ours says so
        self.by_uav[name.removeprefix(NAME)] = figures

    def summary(self) -> dict[str, dict[str, float | str]]:
        """By UAV; empty where no drone flew."""
        return {uav: figures._asdict() for uav, figures in sorted(self.by_uav.items())}
