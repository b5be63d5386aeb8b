"""A market in virtual time: leaders and followers over a network whose every message somebody decides about."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from uav_twin_migration.market import follower, leader
from uav_twin_migration.market.follower import Demand, Follower, FollowerSettings
from uav_twin_migration.market.leader import ClosedRound, Leader, LeaderSettings, PriceDecision, RoundResult
from uav_twin_migration.market.messages import Bid, Grant, Offer
from uav_twin_migration.market.offer_board import OfferBoard
from uav_twin_migration.studies.virtual.events import Events

TICK = 0.05  # s between two looks at the clock
TICKS_PER_MEASUREMENT = 20
LATENCY = 0.002  # s
LATE = 0.3  # s, of a delayed message; less than the offer window

DELIVER, LOSE, DUPLICATE, DELAY = range(4)


class FixedPrice:
    """A pricer that always asks the same."""

    def __init__(self, price: float) -> None:
        self.price = price

    def decide(self, history: Sequence[RoundResult], rival_prices: Sequence[float]) -> PriceDecision:
        return PriceDecision(self.price)


def make_leader(name: str = "rsu_0", price: float = 2.0, first_round: int = 0, **settings: Any) -> Leader:
    values: dict[str, Any] = {"capacity": 10.0, "unit_cost": 1.0, "price_cap": 20.0, "range": 600.0} | settings
    return Leader(LeaderSettings(name, (0.0, 0.0, 20.0), **values), FixedPrice(price), first_round)


def make_follower(name: str, alpha: float = 10.0, board: OfferBoard | None = None) -> Follower:
    return Follower(FollowerSettings(name, alpha, 60.0, 0.6), board or OfferBoard())


class VirtualMarket:
    """Runs machines until a time. `fate` decides what becomes of each message to each receiver."""

    def __init__(
        self, leaders: list[Leader], followers: list[Follower], fate: Callable[[], int] = lambda: DELIVER
    ) -> None:
        self.leaders, self.followers, self.fate = leaders, followers, fate
        self.events = Events()
        self.booked: list[ClosedRound] = []
        self.offers: list[Offer] = []
        self.grants: list[tuple[float, Grant]] = []
        self._sequence = self._ticks = 0
        for one in followers:
            one.on_motion(0.0, (100.0, 0.0, 100.0), (1.0, 0.0, 0.0))
        self.events.at(0.0, self._tick)

    @property
    def now(self) -> float:
        return self.events.now

    def run(self, until: float, watch: Callable[[], None] = lambda: None) -> None:
        """Go on until a time, calling `watch` after every event."""
        self.events.run(until, watch)

    def _tick(self) -> None:
        if self._ticks % TICKS_PER_MEASUREMENT == 0:
            links = {one.settings.rsu: 5.0 for one in self.leaders}
            for one in self.followers:
                self._carry(one.on_links(self.now, links))
        self._ticks += 1
        for one in self.followers:
            if one.wake_at <= self.now:
                self._carry(one.on_time(self.now))
        for rsu in self.leaders:
            if rsu.wake_at <= self.now:
                self._carry(rsu.on_time(self.now))
        self.events.at(self.now + TICK, self._tick)

    def _carry(self, outputs: Sequence[leader.Output | follower.Output]) -> None:
        """Send what the machines want sent, to each receiver by its own fate."""
        for output in outputs:
            if isinstance(output, ClosedRound):
                self.booked.append(output)
            elif isinstance(output, Offer):
                self.offers.append(output)
                for one in self.followers:
                    self._send(partial(self._hear_offer, one, output))
                for rsu in self.leaders:
                    if rsu.settings.rsu != output.rsu:
                        self._send(partial(self._hear_rival, rsu, output))
            elif isinstance(output, Grant):
                self.grants.append((self.now, output))
                for one in self.followers:
                    self._send(partial(self._hear_grant, one, output))
            elif isinstance(output, Demand):
                self._sequence += 1
                for bid, rsu in itertools.product(output.bids, self.leaders):
                    if rsu.settings.rsu == bid.rsu:
                        self._send(partial(self._hear_bid, rsu, self._sequence, bid))

    def _hear_offer(self, one: Follower, offer: Offer) -> None:
        if one.board.on_offer(self.now, offer):
            self._carry(one.on_offers(self.now))

    def _hear_rival(self, rsu: Leader, offer: Offer) -> None:
        rsu.on_offer(self.now, offer)

    def _hear_grant(self, one: Follower, grant: Grant) -> None:
        one.on_grant(self.now, grant)

    def _hear_bid(self, rsu: Leader, sequence: int, bid: Bid) -> None:
        self._carry(rsu.on_demand(self.now, sequence, bid))

    def _send(self, deliver: Callable[[], None]) -> None:
        fate = self.fate()
        if fate in (DELIVER, DUPLICATE):
            self.events.at(self.now + LATENCY, deliver)
        if fate in (DUPLICATE, DELAY):
            self.events.at(self.now + LATE, deliver)
