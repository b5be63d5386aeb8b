"""What a drone has flown, for people: how far, how near its route, how many rounds, who took over, why it ended."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.scenario.model import Uav
from uav_twin_migration.vehicle.phases import LEFT_TO, STEERED, Phase
from uav_twin_migration.vehicle.vehicle_state import Odometry

Array = NDArray[np.float64]

IN_THE_AIR = (*STEERED, *LEFT_TO, Phase.TAKEN_OVER)
LEAST_STEP = 0.1  # m between two places that count as flown, so that the estimator's noise does not


class FlightLog:
    """One drone's. Feed it with `note`."""

    def __init__(self, uav: Uav) -> None:
        points = np.array([*uav.route, *([uav.route[0]] if uav.loop else [])], dtype=float)
        self._starts, self._legs = points[:-1], np.diff(points, axis=0)
        self._waypoints = len(uav.route) if uav.loop else max(2 * len(uav.route) - 2, 1)
        self._at: Array | None = None
        self._phase = Phase.SILENT
        self._leg: int | None = None
        self._passed = self._takeovers = self._samples = 0
        self._flown = self._sum_aside = self._most_aside = 0.0
        self._ended, self._last, self._words = "did not fly", "", ""

    def note(self, phase: Phase, told: tuple[str, str], odometry: Odometry | None, leg: int, on_route: bool) -> None:
        """The flight now.

        `told`: why it is in that phase, and the autopilot's own words; `leg`: of the waypoint that it heads for;
        `on_route`: whether it follows its route.
        """
        reason, words = told
        if phase is not self._phase:
            self._takeovers += phase is Phase.TAKEN_OVER
            what = f"{phase.value}: {reason}" if reason else phase.value
            if phase in STEERED:
                self._ended, self._last, self._words = "", "", ""
            elif self._phase in STEERED:
                self._ended = what
            elif self._phase in IN_THE_AIR:
                self._last = what
            self._phase = phase
        if self._ended and not self._words and phase in IN_THE_AIR:  # its own words come a moment later
            self._words = words
        if odometry is None or phase not in IN_THE_AIR:
            self._at = None
            return
        if self._at is None:
            self._at = odometry.position
        step = float(np.linalg.norm(odometry.position - self._at))
        if step >= LEAST_STEP:
            self._flown += step
            self._at = odometry.position
        if not on_route:
            return
        if self._leg is not None and leg != self._leg:
            self._passed += 1
        if self._passed > 0:  # before the first waypoint it is on its way to the route
            aside = self._aside(odometry.position)
            self._sum_aside, self._samples = self._sum_aside + aside, self._samples + 1
            self._most_aside = max(self._most_aside, aside)
        self._leg = leg

    def _aside(self, position: Array) -> float:
        """Metres from the route, seen from above."""
        if len(self._legs) == 0:
            return 0.0
        offset = position[:2] - self._starts
        along = np.einsum("ni,ni->n", offset, self._legs) / np.maximum((self._legs**2).sum(axis=1), 1e-12)
        nearest = offset - np.clip(along, 0, 1)[:, None] * self._legs
        return float(np.sqrt((nearest**2).sum(axis=1)).min())

    def figures(self) -> dict[str, object]:
        """What was flown, for /diagnostics: m, rounds, and why the latest flight ended; empty: it goes on."""
        said = f" (it says: {self._words})" if self._words else ""
        last = f"; then {self._last}" if self._last else ""
        return {
            "flown_m": round(self._flown, 1),
            "rounds": round(max(self._passed - 1, 0) / self._waypoints, 2),
            "aside_m": round(self._sum_aside / max(self._samples, 1), 2),
            "aside_most_m": round(self._most_aside, 2),
            "takeovers": self._takeovers,
            "ended": f"{self._ended}{said}{last}",
        }
