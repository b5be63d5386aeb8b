"""What happened in a market, seen from outside: for people who watch it, and for the summary at its end.

An `MarketMonitor` hears what everybody may hear and knows the scenario, with its private values; so it can say how far
the posted prices are from the true equilibrium. Nobody in the market hears the monitor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.bounded import number, whole
from uav_twin_migration.game import followers as game
from uav_twin_migration.game.equilibrium import solve
from uav_twin_migration.game.leaders import exploitability
from uav_twin_migration.game.market import Market
from uav_twin_migration.game.utility import Utilities
from uav_twin_migration.market.follower import Vector
from uav_twin_migration.market.messages import (
    LARGEST_BANDWIDTH,
    LARGEST_COORDINATE,
    LARGEST_EFFICIENCY,
    LARGEST_PRICE,
    LONGEST_LEASE,
    Bid,
    Grant,
    Offer,
    check_number,
    check_offer,
)
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.scenario.snapshot import Snapshot

Array = NDArray[np.float64]
MOST_NODES = 10_000  # whose diagnostics are kept
COUNTED = ("answers_granted", "answers_ungranted", "rounds_missed")
REFUSED = "refused/"


class _Moment(NamedTuple):
    """What there is to compare with an equilibrium."""

    at: float  # s
    position: Array  # [N, 3] m
    velocity: Array  # [N, 3] m/s
    price: Array  # [M] credit/MHz
    leases: Array  # [N, M] MHz


class MarketMonitor:
    """Counts and measures one run of a scenario."""

    def __init__(self, scenario: Scenario, tell: Callable[[str], None] = lambda sentence: None) -> None:
        """tell: where a plug-in that the scenario names has failed."""
        self.scenario = scenario
        self._snapshot = Snapshot(scenario, tell)
        self.utilities = Utilities([uav.utility for uav in scenario.uavs], tell)
        self.rsu_index = {rsu.id: index for index, rsu in enumerate(scenario.rsus)}
        self.uav_index = {uav.id: index for index, uav in enumerate(scenario.uavs)}
        uavs, rsus = len(scenario.uavs), len(scenario.rsus)
        self.offers = self.demands = self.grants = 0
        self.rounds = np.zeros(rsus, dtype=np.int64)
        self.price = np.full(rsus, np.nan)
        self.sold = np.zeros(rsus)
        self.profit = np.zeros(rsus)
        self.profit_in_all = np.zeros(rsus)
        self.spent = 0.0  # credit, by all UAVs
        self.rates: list[float] = []  # Mbit/s, mean of the UAVs at each sample
        self.bandwidth = np.zeros((uavs, rsus))
        self.expires = np.full((uavs, rsus), -np.inf)
        self.efficiency = np.zeros((uavs, rsus))
        self.rate = np.zeros(uavs)  # Mbit/s, at the last sample
        self.immersion = np.zeros(uavs)  # credit, at the last sample
        self.position = np.full((uavs, 3), np.nan)
        self.velocity = np.zeros((uavs, 3))
        self.host: list[str | None] = [None] * uavs
        self.hosting_changes = 0
        self.answers_granted: dict[str, int] = {}
        self.answers_ungranted: dict[str, int] = {}
        self.rounds_missed: dict[str, int] = {}
        self.latencies: list[float] = []
        self.refused: dict[str, dict[str, int]] = {}
        self.immersions: list[float] = []
        self.gaps: list[float] = []
        self.exploitabilities: list[float] = []
        self.sampled_at: list[float] = []  # s since the start, of each exploitability
        self.present: Market | None = None  # the market of the last sample
        self.equilibrium: Array | None = None  # [M] its prices, credit/MHz; None where there is none
        self.unsolved = 0
        self.rounds_not_opened = 0
        self._now = 0.0  # s, of the last sample
        self._noted: list[_Moment] = []
        self._round_at = np.full(rsus, np.nan)  # s, of the last grant
        self.nonsense = 0  # diagnostics that cannot be read
        self.full = False  # whether every UAV has been granted something at least once
        self._granted = np.zeros(uavs, dtype=bool)
        self._ungranted_before = self._missed_before = 0

    # -- what is heard -----------------------------------------------------------------------------------------------

    def on_offer(self, offer: Offer) -> None:
        """An RSU posted a price."""
        index = self.rsu_index.get(offer.rsu)
        if index is not None and check_offer(offer) is None:
            self.offers += 1
            self.price[index] = offer.price

    def on_bids(self, bids: Iterable[Bid]) -> None:
        """UAVs answered."""
        self.demands += sum(bid.uav in self.uav_index and bid.rsu in self.rsu_index for bid in bids)

    def on_grant(self, now: float, grant: Grant) -> None:
        """An RSU granted bandwidth."""
        rsu = self.rsu_index.get(grant.rsu)
        if rsu is None or check_number(grant.price, LARGEST_PRICE) or check_number(grant.lease, LONGEST_LEASE):
            return
        sold = 0.0
        for uav, share in grant.bandwidth.items():
            index = self.uav_index.get(uav)
            if index is not None and check_number(share, LARGEST_BANDWIDTH) is None:
                self.grants += 1
                self.bandwidth[index, rsu] = share
                self.expires[index, rsu] = now + grant.lease
                self._granted[index] = True
                sold += share
        self.rounds[rsu] += 1
        if now > self._round_at[rsu]:  # not before the first
            self.rounds_not_opened += self._left_out(now - float(self._round_at[rsu]))
        self._round_at[rsu] = now
        self.sold[rsu] = sold
        self.profit[rsu] = (grant.price - self.scenario.rsus[rsu].unit_cost) * sold
        self.profit_in_all[rsu] += self.profit[rsu]
        self.spent += grant.price * sold

    def _left_out(self, gap: float) -> int:
        """Rounds that were not opened between two that were, or since the last one, `gap` seconds apart."""
        return max(int(gap / self.scenario.market.round_period + 0.25) - 1, 0)

    def on_links(self, uavs: Iterable[str], rsus: Iterable[str], efficiency: Array) -> None:
        """Link qualities [uavs, rsus], bit/s/Hz."""
        columns = [(self.rsu_index[rsu], place) for place, rsu in enumerate(rsus) if rsu in self.rsu_index]
        rows = [(self.uav_index[uav], place) for place, uav in enumerate(uavs) if uav in self.uav_index]
        if not rows:
            return
        known = np.array(rows, dtype=np.intp)
        self.efficiency[known[:, 0]] = 0.0
        sound = np.nan_to_num(efficiency, nan=0.0).clip(0.0, LARGEST_EFFICIENCY)
        for column, place in columns:
            self.efficiency[known[:, 0], column] = sound[known[:, 1], place]

    def on_motion(self, uav: str, position: Vector, velocity: Vector) -> None:
        """A UAV's odometry."""
        if not all(-LARGEST_COORDINATE <= value <= LARGEST_COORDINATE for value in (*position, *velocity)):
            return
        index = self.uav_index[uav]
        self.position[index], self.velocity[index] = position, velocity

    def on_hosting(self, uav: str, rsu: str) -> None:
        """A UAV wants another host; an empty id says none."""
        index = self.uav_index.get(uav)
        if index is None:
            return
        before, self.host[index] = self.host[index], rsu or None
        self.hosting_changes += before is not None and bool(rsu) and before != rsu

    def on_diagnostics(self, name: str, values: Mapping[str, str]) -> None:
        """What a node says about itself."""
        if name not in self.refused and len(self.refused) >= MOST_NODES:
            return
        try:
            latencies = [number(text) for text in values.get("offer_to_grant_ms", "").split()]
            counts = {key: whole(value) for key, value in values.items() if key in COUNTED or key.startswith(REFUSED)}
        except ValueError:  # no node of ours says so
            self.nonsense += 1
            return
        self.latencies += latencies
        if all(key in counts for key in COUNTED):
            self.answers_granted[name], self.answers_ungranted[name], self.rounds_missed[name] = map(
                counts.__getitem__, COUNTED
            )
        self.refused[name] = {key.removeprefix(REFUSED): counts[key] for key in counts if key.startswith(REFUSED)}

    def start_steady_state(self) -> None:
        """Forget latencies and missed rounds so far: from here on, everybody has found everybody."""
        self.full = True
        self.latencies.clear()
        self._ungranted_before = sum(self.answers_ungranted.values())
        self._missed_before = sum(self.rounds_missed.values())

    # -- what is asked -----------------------------------------------------------------------------------------------

    def everybody_served(self) -> bool:
        """Whether each UAV that an RSU can reach has been granted something."""
        reached = self.efficiency.max(axis=1, initial=0.0) > 0.0
        return bool(reached.any() and self._granted[reached].all())

    def position_of(self, uav: str) -> Vector | None:
        """Where a UAV is, m; None before its first odometry."""
        index = self.uav_index.get(uav)
        if index is None or np.isnan(self.position[index]).any():
            return None
        x, y, z = self.position[index].tolist()
        return (x, y, z)

    def leases(self, now: float) -> Array:
        """Bandwidth under lease [uavs, rsus], MHz."""
        return np.where(self.expires > now, self.bandwidth, 0.0)

    def sample(self, now: float) -> None:
        """Compare the market of this moment with its equilibrium, and note what users get."""
        self.note(now)
        self.compare()

    def note(self, now: float) -> None:
        """Remember this moment for `compare`."""
        self._now = now
        if not np.isnan(self.position).any() and not np.isnan(self.price).any():
            seen = self.position.copy(), self.velocity.copy(), self.price.copy(), self.leases(now)
            self._noted.append(_Moment(now, *seen))

    def compare(self, together: int = 1) -> None:
        """Compare the moments that were noted with their equilibria, once there are so many.

        Many at once take a tenth of the time of one after the other.
        """
        if not self._noted or len(self._noted) < together:
            return
        moments, self._noted = self._noted, []
        position, velocity, price, leases = (
            np.stack([moment[field] for moment in moments]) for field in range(1, len(_Moment._fields))
        )
        markets = self._snapshot.market(position, velocity)
        rates = game.effective_rate(leases, markets.efficiency, markets.rho[:, None])
        immersions = self.utilities.worth(markets, rates)
        self.present, self.rate, self.immersion = markets[-1], rates[-1], immersions[-1]
        self.rates += rates.mean(axis=1).tolist()
        self.immersions += immersions.mean(axis=1).tolist()
        self.equilibrium = None
        served = markets.efficiency.max(axis=1) > 0.0  # [moments, M]
        some = np.flatnonzero(served.any(axis=1))
        if not len(some) or not self.utilities.plain:  # the equilibrium of utilities of their own takes seconds
            return
        self.exploitabilities += exploitability(markets[some], price[some]).tolist()
        self.sampled_at += [moments[index].at for index in some]
        found = solve(markets[some], threads=1)
        self.unsolved += int((~found.found).sum())
        for index, is_found, prices in zip(some.tolist(), found.found, found.prices, strict=True):
            if is_found:
                gap = np.abs(price[index] - prices) / prices
                self.gaps.append(float(gap[served[index]].mean()))
        if found.found[-1] and some[-1] == len(moments) - 1:
            self.equilibrium = found.prices[-1]

    def curve(self, points: int = 20) -> list[dict[str, float]]:
        """How exploitability went, in up to `points` means over equal numbers of moments."""
        times, values = np.array(self.sampled_at), np.array(self.exploitabilities)
        parts = np.array_split(np.arange(len(values)), min(points, len(values)) or 1)
        return [
            {"seconds": float(times[part].mean()), "exploitability": float(values[part].mean())}
            for part in parts
            if len(part)
        ]

    def summary(self) -> dict[str, Any]:
        """The run in numbers: the keys of `uavtwin sim --json`."""
        self.compare()
        latencies = np.array(self.latencies)
        refused: dict[str, int] = {}
        for counts in self.refused.values():
            for reason, count in counts.items():
                refused[reason] = refused.get(reason, 0) + count
        return {
            "scenario": self.scenario.name,
            "rsus": len(self.rsu_index),
            "uavs": len(self.uav_index),
            "rounds": int(self.rounds.sum()),
            "offers": self.offers,
            "demands": self.demands,
            "grants": self.grants,
            "answers_without_grant": sum(self.answers_ungranted.values()) - self._ungranted_before,
            "rounds_missed": sum(self.rounds_missed.values()) - self._missed_before,
            "rounds_not_opened": self.rounds_not_opened
            + sum(self._left_out(gap) for gap in self._now - self._round_at if gap > 0.0),
            "hosting_changes": self.hosting_changes,
            "mean_immersion": mean(self.immersions),
            "mean_profit": mean(self.profit_in_all / np.maximum(self.rounds, 1)),
            "spent": self.spent,
            "mean_rate": mean(self.rates),
            "price_gap_to_equilibrium": mean(self.gaps),
            "exploitability": mean(self.exploitabilities),
            "exploitability_curve": self.curve(),
            "equilibria_compared": len(self.gaps),
            "moments_without_equilibrium": self.unsolved,
            "grant_latency_ms": {"p50": quantile(latencies, 0.5), "p99": quantile(latencies, 0.99)},
            "refused": refused,
        }


def mean(values: Any) -> float | None:
    """The mean, or None of nothing."""
    return float(np.mean(values)) if len(values) else None


def quantile(values: Array, share: float) -> float | None:
    """A quantile, or None of nothing."""
    return float(np.quantile(values, share)) if len(values) else None
