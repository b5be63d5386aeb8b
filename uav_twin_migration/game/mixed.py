"""Mixed equilibria, for markets without a pure one: each RSU draws its price, and no price earns more on average.

Double oracle: solve the game in which each RSU has a few prices only, find each one's best price of all against what
the others draw, add it, and begin again, until no price adds anything. The small games are solved along the logit path:
at first every price is about as likely as any other, and as errors become dearer the probabilities follow, by Newton's
method, to an equilibrium. How good the end is, is measured over all prices, not assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from uav_twin_migration.game.block import Block
from uav_twin_migration.game.deviation import UnilateralDeviation
from uav_twin_migration.game.market import FloatArray, Market

GOOD_ENOUGH = 1e-5  # exploitability at which no further price is added
MOST_RSUS = 4
_ADDITIONS, _PATIENCE, _MOST_PRICES = 25, 6, 12  # rounds of adding prices, without gain; prices kept
_FIRST, _LAST, _FASTER, _SLOWEST = 2.0, 1e7, 1.6, 1.01  # precision along the logit path, of payoffs about 1
_NEWTON_STEPS, _SOLVED = 25, 1e-9
_GRID, _ZOOMS = 240, 4
_RARE = 1e-9  # a probability that is left out


@dataclass(frozen=True)
class Mixed:
    """A mixed equilibrium of one market, up to ``exploitability``."""

    prices: tuple[FloatArray, ...]  # of each RSU, rising, [K_m] credit/MHz: its support
    probabilities: tuple[FloatArray, ...]  # of these, [K_m]
    profits: FloatArray  # [M] what each RSU earns on average, credit
    exploitability: float  # mean over RSUs of the part of its best average profit, at any price, that it forgoes


@np.errstate(all="ignore")
def mixed_equilibrium(market: Market) -> Mixed:
    """The best mixed equilibrium found of one market of up to four RSUs, by prices among all that they may ask.

    Raises ValueError for more RSUs, whose joint prices would be too many.
    """
    if market.batch or market.rsus > MOST_RSUS:
        raise ValueError(f"mixed equilibria are found for one market of up to {MOST_RSUS} RSUs, got {market.rsus}")
    scaled, units = market.flat().scaled()
    block = Block.of(scaled)
    ceiling = block.ceiling[:, 0]
    supports = [top * np.array([0.05, 0.2, 0.5, 1.0]) for top in ceiling]
    best: tuple[float, list[FloatArray], list[FloatArray], FloatArray] | None = None
    stalled = 0
    for _ in range(_ADDITIONS):
        payoffs = _payoffs(block, supports)
        mixtures = _logit_path(payoffs)
        earned = np.array([_expected(payoffs[m], mixtures, None) for m in range(len(supports))])
        replies = [_best_price(block, supports, mixtures, m) for m in range(len(supports))]
        highest = np.maximum([profit for _, profit in replies], earned)
        lost = float(np.where(highest > 0.0, (highest - earned) / np.where(highest > 0.0, highest, 1.0), 0.0).mean())
        stalled += 1
        if best is None or lost < best[0]:
            best, stalled = (lost, supports, mixtures, earned), 0
        if lost < GOOD_ENOUGH or stalled == _PATIENCE:
            break
        supports = [_with(support, mixture, markup) for support, mixture, (markup, _) in zip(
            supports, mixtures, replies, strict=True)]  # fmt: skip
    assert best is not None
    lost, supports, mixtures, earned = best
    prices, probabilities = [], []
    for m, (support, mixture) in enumerate(zip(supports, mixtures, strict=True)):
        kept = np.flatnonzero(mixture > _RARE)
        kept = kept[np.argsort(support[kept])]
        price = np.minimum(scaled.unit_cost[0, m] * np.exp(support[kept]), scaled.price_cap[0, m])
        prices.append(np.ldexp(price, units.price[0]))
        probabilities.append(mixture[kept] / mixture[kept].sum())
    return Mixed(tuple(prices), tuple(probabilities), np.ldexp(earned, units.credit[0]), lost)


def _with(support: FloatArray, mixture: FloatArray, markup: float) -> FloatArray:
    """A support with a further log mark-up; the least likely ones go where it becomes too large."""
    kept = np.argsort(-mixture, kind="stable")[: _MOST_PRICES - 1]
    kept = kept[(mixture[kept] > _RARE) | (len(support) < _MOST_PRICES // 2)]
    return np.unique(np.append(support[kept], markup))


def _payoffs(block: Block, supports: list[FloatArray]) -> list[FloatArray]:
    """Each RSU's profit [K_1, ..., K_M] at all joint prices of the supports, credit."""
    rsus, epsilon = len(supports), float(block.epsilon[0])
    joint = np.array(list(product(*supports))).T  # [M, P]
    attraction = block.attraction[:, :, 0] if block.wide else np.log(block.attraction[:, :, 0])
    offered = attraction[:, :, None] - epsilon * joint[:, None]  # [M, N, P]
    top = np.maximum(offered.max(axis=0), -1e300)
    offered = np.exp(offered - top)
    total = offered.sum(axis=0)
    spent = np.maximum(-np.expm1(-(np.log(total) + top) / epsilon), 0.0) * block.alpha
    spent[total == 0.0] = 0.0
    revenue = (offered / np.where(total > 0.0, total, 1.0) * spent).sum(axis=1)
    earned = np.minimum(revenue, block.worth * np.exp(joint)) * -np.expm1(-joint)
    shape = tuple(len(support) for support in supports)
    return [earned[m].reshape(shape) for m in range(rsus)]


def _expected(payoff: FloatArray, mixtures: list[FloatArray], keep: tuple[int, ...] | None) -> FloatArray:
    """A payoff's mean over what all RSUs draw, but for those in ``keep``, whose axes stay in order."""
    for m in reversed(range(payoff.ndim)):
        if keep is None or m not in keep:
            payoff = np.tensordot(payoff, mixtures[m], axes=(m, 0))
    return payoff


def _logit_path(payoffs: list[FloatArray]) -> list[FloatArray]:
    """Probabilities of each RSU's prices at an equilibrium of the small game, as far along the path as Newton gets."""
    payoffs = [payoff / max(float(np.abs(payoff).max()), 1e-300) for payoff in payoffs]
    sizes = [payoffs[0].shape[m] for m in range(len(payoffs))]
    logs = [np.full(size, -np.log(size)) for size in sizes]
    precision, faster = _FIRST, _FASTER
    while precision < _LAST and faster > _SLOWEST:
        moved = _newton(payoffs, logs, precision)
        if moved is None:
            precision, faster = precision / faster, np.sqrt(faster)
        else:
            logs, faster = moved, min(faster * 1.2, _FASTER)
        precision *= faster
    return [np.exp(log) / np.exp(log).sum() for log in logs]


def _newton(payoffs: list[FloatArray], logs: list[FloatArray], precision: float) -> list[FloatArray] | None:
    """Log probabilities y with y_m = precision * u_m(y) less a constant, from ``logs``; None where that fails."""
    rsus = len(payoffs)
    begins = np.concatenate([[0], np.cumsum([len(log) for log in logs])])
    for _ in range(_NEWTON_STEPS):
        mixtures = [np.exp(np.minimum(log, 0.5)) for log in logs]
        matrix = np.zeros((begins[-1] + rsus, begins[-1] + rsus))
        right = np.zeros(begins[-1] + rsus)
        for m in range(rsus):
            rows = slice(begins[m], begins[m + 1])
            value = _expected(payoffs[m], mixtures, (m,))
            constant = float((logs[m] - precision * value) @ mixtures[m]) / mixtures[m].sum()
            matrix[rows, rows] = np.eye(len(value))
            matrix[rows, begins[-1] + m] = -1.0
            right[rows] = precision * value + constant - logs[m]
            matrix[begins[-1] + m, rows] = mixtures[m]
            right[begins[-1] + m] = 1.0 - mixtures[m].sum()
            for k in range(rsus):
                if k != m:
                    both = _expected(payoffs[m], mixtures, (m, k))
                    both = both if m < k else both.T
                    matrix[rows, begins[k] : begins[k + 1]] = -precision * both * mixtures[k]
        try:
            step = np.linalg.solve(matrix, right)[: begins[-1]]
        except np.linalg.LinAlgError:
            return None
        size = float(np.abs(step).max())
        if not np.isfinite(size):
            return None
        step *= min(1.0, 3.0 / size) if size > 0.0 else 1.0
        logs = [np.maximum(log + step[begins[m] : begins[m + 1]], -700.0) for m, log in enumerate(logs)]
        likely = np.concatenate([log > -40.0 for log in logs])
        if float(np.abs(step[likely]).max(initial=0.0)) < _SOLVED:
            return logs
    return None


def _best_price(block: Block, supports: list[FloatArray], mixtures: list[FloatArray], rsu: int) -> tuple[float, float]:
    """The log mark-up of one RSU that earns most on average against what the others draw, and that profit."""
    others = [m for m in range(len(supports)) if m != rsu]
    choices = [np.flatnonzero(mixtures[m] > _RARE) for m in others]
    drawn = list(product(*choices))
    x = np.zeros((len(supports), len(drawn)))
    chance = np.ones(len(drawn))
    for m, picks in zip(others, np.array(drawn, dtype=np.intp).reshape(len(drawn), len(others)).T, strict=True):
        x[m], chance = supports[m][picks], chance * mixtures[m][picks]
    alone = UnilateralDeviation.of(block.take(np.zeros(len(drawn), dtype=np.intp)), x)
    alone = alone.take(np.full(len(drawn), rsu), np.arange(len(drawn)))

    def average(points: FloatArray) -> FloatArray:
        at = np.broadcast_to(points[:, None, None], (len(points), 1, len(drawn)))
        return np.asarray(alone.profit(at, alone.revenue(at))[:, 0] @ chance)

    ceiling, sigma = float(block.ceiling[rsu, 0]), 1.0 + float(block.epsilon[0])
    points = np.unique(np.concatenate([np.linspace(0.0, ceiling, _GRID), supports[rsu], _turns(alone, sigma)]))
    points = points[(points >= 0.0) & (points <= ceiling)]
    profit = average(points)
    top = np.argsort(profit)[-3:]
    low, high = points[np.maximum(top - 1, 0)], points[np.minimum(top + 1, len(points) - 1)]
    found = [(float(points[profit.argmax()]), float(profit.max()))]
    for a, b in zip(low, high, strict=True):
        for _ in range(_ZOOMS):
            fine = np.linspace(a, b, 17)
            earned = average(fine)
            k = int(earned.argmax())
            found.append((float(fine[k]), float(earned[k])))
            a, b = fine[max(k - 1, 0)], fine[min(k + 1, 16)]
    return max(found, key=lambda one: one[1])


def _turns(alone: UnilateralDeviation, sigma: float) -> FloatArray:
    """Log mark-ups just below those at which a UAV turns from the RSU to the others."""
    if alone.wide:
        even = (alone.own - alone.rivals) / alone.epsilon
    else:
        even = np.log(alone.own / alone.rivals) / alone.epsilon
    even = np.unique(np.round(even[np.isfinite(even)], 9))[:200]
    return np.concatenate([even - k / sigma for k in (0.5, 1.5, 3.0, 5.0)])
