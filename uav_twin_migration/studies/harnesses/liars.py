"""A market in one process, with RSUs in it that post prices and grant nothing: what do they cost the others?

Leaders and followers are those of the nodes, rounds start together, nothing is lost. Liars post offers, each round, at
a price that nobody can sell at. What else they do is a case: whether UAVs have a link to them, whether they answer bids
with grants of nothing or grant trifles, whether somebody bids to them in the UAVs' names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.market.follower import Demand, Follower, FollowerSettings
from uav_twin_migration.market.leader import ClosedRound, Leader, LeaderSettings, Pricer
from uav_twin_migration.market.messages import Bid, Grant, Offer
from uav_twin_migration.market.offer_board import OfferBoard

RHO = 0.6
COSTS = (0.8, 1.0, 1.2, 1.5)  # credit/MHz, of the honest RSUs
CAP, CAPACITY = 20.0, 15.0  # credit/MHz, MHz
UAVS = 8
WHERE, RANGE = (0.0, 0.0, 20.0), 1000.0  # m
LIE = 1e-4  # credit/MHz
STAGGERED = 5  # rounds for which one liar grants


class Liars(NamedTuple):
    """What the false RSUs are and do."""

    number: int = 4
    price: float = LIE
    linked: bool = False  # they have a radio: UAVs could bid to them
    refuse: bool = False  # they answer bids with grants of nothing
    bait: float = 0.0  # MHz: they do grant bids below that, in turn, so that UAVs come to count on one after another
    bid: bool = False  # somebody bids to them, in UAVs' names that RSUs believe
    renamed: int = 0  # rounds after which they come under new names; 0: never

    def names(self, round_: int) -> list[str]:
        """Their ids in a round."""
        age = round_ // self.renamed if self.renamed else 0
        return [f"liar_{age}_{number}" for number in range(self.number)]


NOBODY = Liars(number=0)
MakePricer = Callable[[float, float, float], Pricer]  # unit cost, price cap, capacity


class Earned(NamedTuple):
    """What came of it."""

    profits: list[float]  # credit in a round, of each honest RSU, mean
    prices: list[float]  # credit/MHz, mean


def play(liars: Liars, make_pricer: MakePricer, rounds: int = 120, warm_up: int = 20, seed: int = 0) -> Earned:
    """Play rounds, the liars in them from the `warm_up`th on; profits are of all after it."""
    chance = np.random.default_rng(seed)
    leaders = [
        Leader(LeaderSettings(f"rsu_{number}", WHERE, RANGE, CAPACITY, cost, CAP), make_pricer(cost, CAP, CAPACITY), 0)
        for number, cost in enumerate(COSTS)
    ]
    board = OfferBoard()
    followers = [
        Follower(FollowerSettings(f"uav_{n}", float(chance.uniform(20.0, 40.0)), 100.0, RHO, max_bids=8), board)
        for n in range(UAVS)
    ]
    links = chance.uniform(2.0, 6.0, (UAVS, len(COSTS)))
    booked: list[list[ClosedRound]] = []
    for round_ in range(rounds):
        present = liars if round_ >= warm_up else NOBODY
        booked.append(_round(float(round_), round_, leaders, followers, board, links, present))
    late = booked[warm_up:]
    results = [[one.result for one in closed] for closed in zip(*late, strict=True)]
    profits = [float(np.mean([result.profit for result in own])) for own in results]
    return Earned(profits, [float(np.mean([result.price for result in own])) for own in results])


def _round(
    now: float,
    round_: int,
    leaders: Sequence[Leader],
    followers: Sequence[Follower],
    board: OfferBoard,
    links: NDArray[np.float64],
    liars: Liars,
) -> list[ClosedRound]:
    offers = [offer for leader in leaders for offer in leader.on_time(now) if isinstance(offer, Offer)]
    names = liars.names(round_)
    offers += [Offer(name, round_ + 1, liars.price, CAPACITY, WHERE, RANGE, 0.5) for name in names]
    for offer in offers:
        board.on_offer(now, offer)
        for leader in leaders:
            if leader.settings.rsu != offer.rsu:
                leader.on_offer(now + 0.001, offer)
    bids: list[Bid] = []
    for one, row in zip(followers, links, strict=True):
        reached = {f"rsu_{m}": float(value) for m, value in enumerate(row)}
        reached |= {name: 5.0 for name in names if liars.linked}
        one.on_motion(now, (50.0, 0.0, 80.0), (0.0, 0.0, 0.0))
        one.on_links(now, reached)
        outputs = one.on_offers(now + 0.01) + one.on_time(now + 0.2)
        bids += [bid for out in outputs if isinstance(out, Demand) for bid in out.bids]
    forged = [Bid(one.settings.uav, name, round_ + 1, 1.0) for one in followers for name in names if liars.bid]
    if liars.refuse or liars.bait > 0.0:
        _answer(now, round_, followers, bids, names, liars.bait)
    return _close(now, round_, leaders, followers, [*bids, *forged])


def _close(
    now: float,
    round_: int,
    leaders: Sequence[Leader],
    followers: Sequence[Follower],
    bids: Sequence[Bid],
) -> list[ClosedRound]:
    closed: list[ClosedRound] = []
    for leader in leaders:
        for bid in bids:
            leader.on_bid_elsewhere(now + 0.02, bid)
        outputs = [out for bid in bids for out in leader.on_demand(now + 0.02, round_ + 1, bid)]
        outputs += leader.on_time(now + 0.6)
        closed += [out for out in outputs if isinstance(out, ClosedRound)]
        for out in outputs:
            if isinstance(out, Grant):
                for one in followers:
                    one.on_grant(now + 0.61, out)
    return closed


def _answer(
    now: float, round_: int, followers: Sequence[Follower], bids: Sequence[Bid], names: Sequence[str], bait: float
) -> None:
    """What liars grant: nothing, or in turn what little was asked for."""
    for number, name in enumerate(names):
        most = bait if round_ // STAGGERED % len(names) == number else 0.0
        shares = {bid.uav: bid.bandwidth if bid.bandwidth < most else 0.0 for bid in bids if bid.rsu == name}
        for one in followers:
            one.on_grant(now + 0.61, Grant(name, round_ + 1, LIE, shares, 2.0))
