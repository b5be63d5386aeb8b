"""A scenario flown through in virtual time, without ROS: market rounds, hosting decisions, twins on their way.

The same functions as in the running system decide: the pilot flies, the radio model says what links are worth, pricers
price, UAVs answer with their best response, RSUs ration, `HostingChoice` says when a twin should move. A twin moves at
the effective rate that its UAV was granted, round after round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from uav_twin_migration.game import followers, leaders
from uav_twin_migration.game.equilibrium import solve
from uav_twin_migration.game.market import FloatArray, Market
from uav_twin_migration.market.hosting_decision import HostingChoice, Prospect
from uav_twin_migration.market.leader import Pricer, RoundResult
from uav_twin_migration.policy.observation import concentration
from uav_twin_migration.scenario.model import Rsu, Scenario
from uav_twin_migration.scenario.snapshot import Snapshot
from uav_twin_migration.vehicle.motion import Flight

HISTORY = 16  # rounds that a pricer sees


class Pricing(Protocol):
    """Sets all RSUs' prices, round after round."""

    def prices(self, market: Market) -> FloatArray:
        """[M] credit/MHz, for the round that opens now."""

    def closed(self, market: Market, prices: FloatArray, demanded: FloatArray, granted: FloatArray) -> None:
        """The round's result. demanded, granted: [N, M] MHz."""


class AtEquilibrium:
    """Every round's Stackelberg equilibrium, as if all knew everything. The last one stays where there is none."""

    def __init__(self, scenario: Scenario) -> None:
        self._last = np.array([2.0 * rsu.unit_cost for rsu in scenario.rsus])

    def prices(self, market: Market) -> FloatArray:
        """[M] credit/MHz."""
        found = solve(market)
        if found.found:
            self._last = np.asarray(found.prices)
        return self._last

    def closed(self, market: Market, prices: FloatArray, demanded: FloatArray, granted: FloatArray) -> None:
        """Nothing to learn."""


class EachByItself:
    """A pricer for each RSU, which sees what an RSU may see."""

    def __init__(self, scenario: Scenario, make: Callable[[int, Rsu], Pricer]) -> None:
        self._pricers = [make(number, rsu) for number, rsu in enumerate(scenario.rsus)]
        self._round = 0
        self._history: list[list[RoundResult]] = [[] for _ in scenario.rsus]
        self._posted = np.array([2.0 * rsu.unit_cost for rsu in scenario.rsus])

    def prices(self, market: Market) -> FloatArray:
        """[M] credit/MHz."""
        decided = [
            pricer.decide(history, self._rivals(number)).price
            for number, (pricer, history) in enumerate(zip(self._pricers, self._history, strict=True))
        ]
        self._posted = np.clip(decided, market.unit_cost, market.price_cap)
        return self._posted

    def closed(self, market: Market, prices: FloatArray, demanded: FloatArray, granted: FloatArray) -> None:
        """Book the round at every RSU."""
        for number, history in enumerate(self._history):
            asked, sold = demanded[:, number], float(granted[:, number].sum())
            profit = float(prices[number] - market.unit_cost[number]) * sold
            uavs = int((market.efficiency[:, number] > 0.0).sum())
            figures = (float(prices[number]), float(asked.sum()), sold, profit, uavs, self._rivals(number))
            capacity = np.delete(market.capacity, number)
            offered = float(np.exp(np.log(capacity).mean())) if len(capacity) else float("nan")
            spread = float(concentration(asked))
            history.append(RoundResult(self._round, *figures, spread, float(market.capacity[number]), offered))
            del history[:-HISTORY]
        self._round += 1

    def _rivals(self, number: int) -> tuple[float, ...]:
        return tuple(float(price) for price in np.delete(self._posted, number))


class Handover(NamedTuple):
    """One twin's move. times: s after the start."""

    uav: int
    source: str
    target: str
    position: tuple[float, float]  # m, of the UAV when it decided
    decided: float
    age: float  # s, of migration: from the decision until all of it was sent


@dataclass
class Flown:
    """What happened."""

    times: list[float] = field(default_factory=list)
    prices: list[FloatArray] = field(default_factory=list)  # [M] credit/MHz
    immersion: list[FloatArray] = field(default_factory=list)  # [N] credit
    profits: list[FloatArray] = field(default_factory=list)  # [M] credit/s
    handovers: list[Handover] = field(default_factory=list)
    unfinished: int = 0  # moves that were given up for another target, or still under way at the end


class _Twin:
    """One UAV's twin: where it is and where it goes."""

    def __init__(self, size: float) -> None:
        self.size, self.choice = size, HostingChoice()
        self.host: str | None = None
        self.target: str | None = None
        self.remaining = self.decided = 0.0
        self.position = (0.0, 0.0)


def fly(
    scenario: Scenario,
    pricing: Pricing,
    duration: float,
    broken: Callable[[float], Sequence[str]] = lambda time: (),
    progress: Callable[[float], None] = lambda part: None,
) -> Flown:
    """Play the scenario for `duration` s, a round every `round_period`.

    broken: ids of the RSUs that are down at a time; they sell nothing and are no hosts.
    progress: is called with the part that is done.
    """
    flight, snapshot, flown = Flight(scenario), Snapshot(scenario), Flown()
    twins = [_Twin(uav.twin_size) for uav in scenario.uavs]
    period = scenario.market.round_period
    for number in range(int(duration / period)):
        now = number * period
        flight.advance(now)
        down = [rsu.id in broken(now) for rsu in scenario.rsus]
        market = _without(snapshot.market(flight.position, flight.velocity), np.array(down))
        prices = pricing.prices(market)
        demanded = followers.respond(market, prices).bandwidth
        granted = leaders.ration(market, demanded)
        pricing.closed(market, prices, demanded, granted)
        rate = followers.effective_rate(granted, market.efficiency, market.rho[..., None])
        flown.times.append(now)
        flown.prices.append(np.where(down, np.nan, prices))
        flown.profits.append((prices - market.unit_cost) * granted.sum(axis=0))
        flown.immersion.append(followers.immersion(rate, market.alpha, market.required_rate))
        prospects = _prospects(scenario, snapshot, flight, np.array(down))
        for uav, twin in enumerate(twins):
            if twin.host in broken(now):
                twin.host = twin.target = None  # re-hosted, not moved
            _move(flown, uav, twin, now, float(rate[uav]) * period, period, prospects[uav], flight.position[uav])
        progress((number + 1) * period / duration)
    flown.unfinished += sum(twin.target is not None for twin in twins)
    return flown


def _without(market: Market, down: FloatArray) -> Market:
    """The market without the RSUs that are down."""
    return Market(**(vars(market) | {"efficiency": np.where(down, 0.0, market.efficiency)}))


def _prospects(scenario: Scenario, snapshot: Snapshot, flight: Flight, down: FloatArray) -> list[dict[str, Prospect]]:
    """What each RSU offers each UAV as a host."""
    efficiency = np.where(down, 0.0, snapshot.links(flight.position).efficiency)
    stay = snapshot.stay(flight.position, flight.velocity)
    return [
        {
            rsu.id: Prospect(float(stay[uav, place]), float(efficiency[uav, place]))
            for place, rsu in enumerate(scenario.rsus)
        }
        for uav in range(len(scenario.uavs))
    ]


def _move(
    flown: Flown,
    uav: int,
    twin: _Twin,
    now: float,
    sent: float,
    period: float,
    prospects: dict[str, Prospect],
    position: FloatArray,
) -> None:
    """One round of one twin. sent: Mbit that its grant carries in the round."""
    twin.choice.update(now, prospects)
    wanted = twin.choice.host
    if twin.host is None:
        twin.host = wanted
    if wanted != twin.target and wanted is not None:
        flown.unfinished += twin.target is not None
        twin.target = wanted if wanted != twin.host else None
        twin.remaining, twin.decided = twin.size, now
        twin.position = (float(position[0]), float(position[1]))
    if twin.target is None:
        return
    if twin.remaining > sent:
        twin.remaining -= sent
        return
    age = now + period * twin.remaining / sent - twin.decided
    flown.handovers.append(Handover(uav, str(twin.host), twin.target, twin.position, twin.decided, age))
    twin.host, twin.target = twin.target, None
