"""Equilibria of large markets: work and memory grow with the links, not with the pairs of UAVs and RSUs.

As for small markets: from below and from above, to where the first-order conditions hold, then a proof for each RSU
over its whole range of prices. But all cross effects would be a matrix of RSUs by RSUs, so each step takes the others'
prices as they are: rivals are few and share few UAVs, and the error shrinks to a third or so with every step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from uav_twin_migration.game.block import IDLE, TINY
from uav_twin_migration.game.certificate import Columns, Highest, highest, profits_at
from uav_twin_migration.game.equilibrium import CLAIMED, TOLERANCE
from uav_twin_migration.game.links import IntArray, LinkMarket
from uav_twin_migration.game.market import FloatArray

_SAMPLES = 6  # prices of each RSU that its first reply is the best of
_STEPS, _CLOSE = 80, 1e-8  # towards the first-order conditions: at most so many, until none is longer (times sigma)
_ROUNDS = 25  # of replies of those RSUs that gain, with steps after each
_EPSILON_RANGE = 1e-7, 1e9  # as in `block`
_FURTHEST = 700.0
_NOTHING = -1e300
# RSUs that are looked at together have about as many links: at most this many times as many places as links.
_PADDING = 1.3


@dataclass(frozen=True)
class LargeEquilibrium:
    """The equilibrium of a market of links; NaN where none was found."""

    found: bool
    prices: FloatArray  # [M] credit/MHz
    bandwidth: FloatArray  # [L] demand on each link, MHz
    profits: FloatArray  # [M] after rationing, credit
    utilities: FloatArray  # [N] of what is demanded, credit
    exploitability: float  # as far as any better price was found
    bound: float  # proven: no RSU can gain more than this part of its profit
    agrees: bool  # from below and from above the same
    from_above: FloatArray  # [M] credit/MHz

    @property
    def status(self) -> str:
        """ "equilibrium", or "no_pure_equilibrium" where none was found."""
        return "equilibrium" if self.found else "no_pure_equilibrium"


@np.errstate(all="ignore")
def solve_links(market: LinkMarket) -> LargeEquilibrium:
    """The equilibrium of one large market; where there are several, the one that is reached from below."""
    scaled, credit, hertz = market.scaled()
    game = _Game(scaled)
    ends = [_from(game, start) for start in (np.zeros(market.rsus), game.ceiling)]
    chosen = ends[0] if ends[0][2] < TOLERANCE else ends[1]
    x, lost, bound = chosen
    found = bool(bound < TOLERANCE)
    absent = 0.0 if found else np.nan
    at = game.at(x)
    price = np.minimum(scaled.unit_cost * np.exp(x), scaled.price_cap)
    spending = at.share * at.spent[scaled.uav]
    bandwidth = spending / price[scaled.rsu]
    sold = np.minimum(np.bincount(scaled.rsu, bandwidth, market.rsus), scaled.capacity)
    utilities = -scaled.alpha * at.log_index - at.spent
    utilities[at.spent <= 0.0] = 0.0
    above = np.minimum(scaled.unit_cost * np.exp(ends[1][0]), scaled.price_cap)
    met = bool(np.abs(ends[0][0] - ends[1][0]).max(initial=0.0) < TOLERANCE)
    return LargeEquilibrium(
        found=found,
        prices=np.ldexp(price, credit - hertz) + absent,
        bandwidth=np.ldexp(bandwidth, hertz) + absent,
        profits=np.ldexp((price - scaled.unit_cost) * sold, credit) + absent,
        utilities=np.ldexp(utilities, credit) + absent,
        exploitability=lost + absent,
        bound=bound + absent,
        agrees=found and met and max(ends[0][2], ends[1][2]) < TOLERANCE,
        from_above=np.ldexp(above, credit - hertz) + (0.0 if ends[1][2] < TOLERANCE else np.nan),
    )


def _from(game: _Game, start: FloatArray) -> tuple[FloatArray, float, float]:
    """Log mark-ups [M] from ``start``, their exploitability, and the most that any RSU gains, proven."""
    x = game.replies(start)
    lost, bound = np.inf, np.inf
    for _ in range(_ROUNDS):
        x = game.stationary(x)
        reply = game.highest(x)
        some = ~(reply.bound <= 0.0)  # those of which nothing is known, too
        gain = np.where(some, 1.0 - reply.current / np.where(some, reply.bound, 1.0), 0.0)
        positive = np.where(reply.profit > 0.0, reply.profit, 1.0)
        lost = float(((reply.profit - reply.current) / positive).mean())
        bound = float(np.nan_to_num(gain, nan=np.inf).max(initial=0.0))
        if bound < TOLERANCE:
            break
        x = np.where(gain < TOLERANCE, x, reply.markup)
    return x, lost, bound


@dataclass(frozen=True)
class _At:
    """The UAVs and links at some prices."""

    share: FloatArray  # [L]
    spent: FloatArray  # [N] credit
    needed: FloatArray  # [N] d P, credit; 0 of who dropped out
    log_index: FloatArray  # [N] ln(d P / alpha), at most 0
    offered: FloatArray  # [L] logarithm of attraction at these prices


class _Game:
    """A market's links laid out for arithmetic: by UAV, with each RSU's links as a column of its own."""

    def __init__(self, market: LinkMarket) -> None:
        self.market = market
        self.uav, self.rsu = market.uav, market.rsu
        self.epsilon = float(np.clip(market.rho / (1.0 - market.rho), *_EPSILON_RANGE))
        self.ceiling = np.minimum(np.log(market.price_cap / market.unit_cost), _FURTHEST)
        self.log_worth = np.log(market.capacity) + np.log(market.unit_cost)
        total = np.bincount(self.uav, market.efficiency, market.uavs)
        per_unit = np.log(market.alpha) - np.log(market.required_rate)
        ratio = per_unit[self.uav] + np.log(market.efficiency) - np.log(market.unit_cost)[self.rsu]
        self.attraction = self.epsilon * ratio + np.log(market.efficiency / total[self.uav])  # [L] logarithm
        self.degree = np.bincount(self.uav, minlength=market.uavs)
        self.reaching = np.flatnonzero(self.degree)  # UAVs that reach somebody
        self.first = np.concatenate([[0], np.cumsum(self.degree[self.reaching])[:-1]]).astype(np.intp)

    def at(self, x: FloatArray) -> _At:
        """Shares and spending at log mark-ups ``x`` [M]."""
        alpha = self.market.alpha
        offered = self.attraction - self.epsilon * x[self.rsu]
        total = np.full(len(alpha), _NOTHING)
        if len(offered):
            top = np.maximum.reduceat(offered, self.first)
            weight = np.exp(offered - np.repeat(top, self.degree[self.reaching]))
            total[self.reaching] = top + np.log(np.add.reduceat(weight, self.first))
        share = np.exp(offered - total[self.uav])
        log_index = np.minimum(-total / self.epsilon, 0.0)
        log_index[self.degree == 0] = 0.0
        spent = alpha * -np.expm1(log_index)
        return _At(share, spent, np.where(spent > 0.0, alpha - spent, 0.0), log_index, offered)

    def stationary(self, x: FloatArray) -> FloatArray:
        """Log mark-ups [M] at which the first-order conditions hold, from ``x``, as far as that converges."""
        epsilon, sigma = self.epsilon, 1.0 + self.epsilon
        for _ in range(_STEPS):
            at = self.at(x)
            spent, needed = epsilon * at.spent[self.uav], at.needed[self.uav]
            share, others = at.share, 1.0 - at.share
            revenue = self._by_rsu(share * at.spent[self.uav]) + TINY
            slope, own = others * spent, share * needed
            fall = self._by_rsu(share * (slope + own)) + TINY
            bend = self._by_rsu(share * (epsilon * slope * (others - share) + own * (3.0 * epsilon * others - share)))
            elasticity = 1.0 + fall / revenue
            markup = np.log1p(revenue / fall)
            full = x + (np.log(revenue) - x - self.log_worth) / elasticity
            target = np.maximum(markup, full)
            idle = revenue < IDLE
            if idle.any():
                buying = self._by_rsu((at.spent > 0.0)[self.uav].astype(float)) > 0.0
                target[idle] = np.where(buying, -np.log1p(-1.0 / sigma), -1.0)[idle]
            wanted = np.clip(target, 0.0, self.ceiling)
            both = fall + revenue
            steep = np.where(full > markup, 1.0, 1.0 + fall / both - revenue / both * (bend / fall))
            steep[(wanted != target) | idle] = 1.0
            step = (wanted - x) / np.maximum(steep, 0.5)
            x = np.clip(x + step, 0.0, self.ceiling)
            if np.abs(step).max(initial=0.0) * sigma < _CLOSE:
                break
        return x

    def replies(self, x: FloatArray) -> FloatArray:
        """[M] each RSU's best of a few log mark-ups, the others at ``x``: a start, no more."""
        best = np.empty(len(x))
        rivals = self._rivals(x)
        for rsus, columns in self._columns(rivals):
            points = (np.arange(_SAMPLES) + 0.5)[:, None] / _SAMPLES * columns.ceiling
            best[rsus] = points[profits_at(columns, points).argmax(axis=0), np.arange(len(rsus))]
        return best

    def highest(self, x: FloatArray) -> Highest:
        """Each RSU's best price, with proof; see `certificate.highest`."""
        found = np.empty((4, len(x)))
        for rsus, columns in self._columns(self._rivals(x)):
            found[:, rsus] = highest(columns, x[rsus], CLAIMED, proof=True)
        return Highest(*found)

    def _by_rsu(self, values: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(self.rsu, values, self.market.rsus), dtype=np.float64)

    def _rivals(self, x: FloatArray) -> FloatArray:
        """[L] logarithm of the sum of the other RSUs' attractions for the link's UAV, at log mark-ups ``x``.

        The others' alone, not all less one's own: that loses the others' digits where one RSU has nearly all.
        """
        link, other, first = self._others
        rivals = np.full(len(self.rsu), _NOTHING)
        if len(other):
            offered = (self.attraction - self.epsilon * x[self.rsu])[other]
            top = np.maximum.reduceat(offered, first)
            weight = np.exp(offered - np.repeat(top, np.diff(np.append(first, len(other)))))
            rivals[link] = top + np.log(np.add.reduceat(weight, first))
        return rivals

    @cached_property
    def _others(self) -> tuple[IntArray, IntArray, IntArray]:
        """Links whose UAV has others; all those others, link after link; and where each link's begin."""
        degree = self.degree[self.uav]
        link = np.flatnonzero(degree > 1)
        count = degree[link] - 1
        first = np.concatenate([[0], np.cumsum(count)[:-1]]).astype(np.intp) if len(link) else np.empty(0, np.intp)
        begins = np.empty(self.market.uavs, np.intp)
        begins[self.reaching] = self.first
        begin = begins[self.uav[link]]
        other = np.arange(count.sum()) - np.repeat(first, count)  # 0, 1, ... of each
        other += np.repeat(begin, count)
        other += other >= np.repeat(link, count)  # but not itself
        return link, other, first

    @cached_property
    def _places(self) -> list[tuple[IntArray, IntArray]]:
        """RSUs with about as many links each [K], and their links [D, K]; L where a column has fewer."""
        order = np.argsort(self.rsu, kind="stable")
        degree = np.bincount(self.rsu, minlength=self.market.rsus)
        begin = np.cumsum(degree) - degree
        by_degree = np.argsort(degree, kind="stable")
        groups, at = [], 0
        while at < len(by_degree):
            least = degree[by_degree[at]]
            end = int(np.searchsorted(degree[by_degree], max(least * _PADDING, least + 4), side="right"))
            rsus = by_degree[at:end]
            rows = np.arange(degree[rsus].max(initial=0))[:, None]
            links = np.where(rows < degree[rsus], begin[rsus] + rows, 0)
            groups.append((rsus, np.where(rows < degree[rsus], np.append(order, 0)[links], len(order))))
            at = end
        return groups

    def _columns(self, rivals: FloatArray) -> list[tuple[IntArray, Columns]]:
        wide = bool(
            np.abs(self.attraction).max(initial=0.0) > 600.0
            or (self.epsilon * self.ceiling).max(initial=0.0) > 600.0
            or rivals.max(initial=0.0) > 600.0
        )
        own = np.append(self.attraction, -np.inf)
        others = np.append(rivals, 0.0)
        if not wide:
            own, others = np.exp(own), np.exp(np.maximum(others, -700.0))
        alpha = np.append(self.market.alpha[self.uav], 0.0)
        contested = np.append(self.degree[self.uav] > 1, False)
        worth = np.exp(self.log_worth)
        return [
            (
                rsus,
                Columns(
                    own=own[links],
                    rivals=others[links],
                    alpha=alpha[links],
                    epsilon=np.full(len(rsus), self.epsilon),
                    worth=worth[rsus],
                    ceiling=self.ceiling[rsus],
                    contested=np.asarray(contested[links].any(axis=0)),
                    wide=wide,
                ),
            )
            for rsus, links in self._places
        ]
