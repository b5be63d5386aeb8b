"""The market of an instant: who can buy what from whom, given where the UAVs are.

The UAVs' agents, the monitor that measures how far posted prices are from the equilibrium and `uavtwin solve` all get
their market from the functions here; each piece can be had alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from uav_twin_migration.game.market import Market
from uav_twin_migration.radio.coverage import predicted_stay
from uav_twin_migration.radio.line_of_sight import View
from uav_twin_migration.radio.link import Links
from uav_twin_migration.radio.model import Radio
from uav_twin_migration.scenario.model import Scenario, transfer_size
from uav_twin_migration.vehicle.motion import states_at

Array = NDArray[np.float64]


def best_links(efficiency: ArrayLike, count: int) -> Array:
    """Efficiencies [..., N, M] with all but the `count` best of each UAV set to 0; of equal ones the first RSU's."""
    efficiency = np.asarray(efficiency, dtype=float)
    best_first = np.argsort(-efficiency, axis=-1, kind="stable")
    rank = np.argsort(best_first, axis=-1, kind="stable")
    return np.where(rank < count, efficiency, 0.0)


def required_rate(twin_size: ArrayLike, stay: ArrayLike, min_stay: float, max_stay: float) -> Array:
    """d = D / T in Mbit/s: twin size (Mbit) over predicted stay (s), the latter kept within the market's bounds."""
    return np.asarray(np.asarray(twin_size, dtype=float) / np.clip(stay, min_stay, max_stay))


class Snapshot:
    """What stands still in a scenario, made ready to judge the UAVs' positions many times a second.

    Attributes:
        antennas: [M, 3] m, heights above ground included.
        ranges: [M] m.
    """

    def __init__(self, scenario: Scenario, tell: Callable[[str], None] | None = None) -> None:
        """tell: where the radio model, a plug-in, has failed; without it, that is raised."""
        self.scenario = scenario
        self.antennas = np.array([(*rsu.position, rsu.antenna_height) for rsu in scenario.rsus])
        self.radio = Radio(scenario.radio, tell, self.antennas)
        self.ranges = np.array([rsu.range for rsu in scenario.rsus])
        self._by_id = np.array(sorted(range(len(scenario.rsus)), key=lambda m: scenario.rsus[m].id))
        self._view = View(scenario.buildings, self.antennas)

    def links(self, positions: ArrayLike) -> Links:
        """All links [..., N, M] of UAVs at `positions` [..., N, 3] m."""
        return self.radio.links(self.antennas, self.ranges, positions, self._view.line_of_sight(positions))

    def stay(self, positions: ArrayLike, velocities: ArrayLike) -> Array:
        """Predicted stay [..., N, M] (s) of UAVs [..., N, 3] in the coverage of each RSU."""
        position, velocity = np.asarray(positions)[..., None, :2], np.asarray(velocities)[..., None, :2]
        return predicted_stay(position, velocity, self.antennas[:, :2], self.ranges)

    def market(self, positions: ArrayLike, velocities: ArrayLike) -> Market:
        """The game between the scenario's N UAVs at `positions` with `velocities` [..., N, 3] and its M RSUs.

        A UAV's market are the `max_bids` RSUs to which its links are best, equal ones in the order of their ids; its
        twin should arrive within the predicted stay in the coverage of the very best.
        """
        rules, rsus, uavs = self.scenario.market, self.scenario.rsus, self.scenario.uavs
        efficiency = self.links(positions).efficiency
        best = self._by_id[efficiency[..., self._by_id].argmax(axis=-1)]
        efficiency[..., self._by_id] = best_links(efficiency[..., self._by_id], rules.max_bids)
        stay = np.take_along_axis(self.stay(positions, velocities), best[..., None], axis=-1)[..., 0]
        sizes = [transfer_size(uav.twin_size, self.scenario.twins.replicas) for uav in uavs]
        return Market.of(
            alpha=[uav.immersion_weight for uav in uavs],
            required_rate=required_rate(sizes, stay, rules.min_stay, rules.max_stay),
            efficiency=efficiency,
            unit_cost=[rsu.unit_cost for rsu in rsus],
            capacity=[rsu.capacity for rsu in rsus],
            price_cap=[rsu.price_cap for rsu in rsus],
            rho=rules.rho,
            source=self.scenario.name,
        )


def market_of(scenario: Scenario, positions: ArrayLike, velocities: ArrayLike) -> Market:
    """The market with UAVs at `positions` and `velocities` [N, 3] (m, m/s). For many instants make a `Snapshot`."""
    return Snapshot(scenario).market(positions, velocities)


def market_at(scenario: Scenario, time: float) -> Market:
    """The market at `time` (s) after the start, all UAVs having flown their routes."""
    return market_of(scenario, *states_at(scenario, time))
