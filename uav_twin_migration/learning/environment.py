"""The market as an environment: many games at once, with the game and observation code of the running system.

A round: every RSU prices from what it has seen, before it knows what the others ask; UAVs answer with their best
response; the RSU books its profit. How UAVs fly does not depend on prices, so what one round's prices do to later
rounds is only what others learn from them.

The reward is profit per UAV in range, in units of what a UAV can spend.
"""

from __future__ import annotations

from dataclasses import fields
from typing import NamedTuple

import numpy as np

from uav_twin_migration.game.block import Block
from uav_twin_migration.game.deviation import UnilateralDeviation
from uav_twin_migration.game.market import FloatArray, Market
from uav_twin_migration.game.utility import Utilities
from uav_twin_migration.policy import habits, observation
from uav_twin_migration.policy.observation import Observation, RoundRecord

SPENDING = 12.5  # credit: mean alpha, what a UAV spends when prices are low
REFERENCES = 12  # prices between cost and cap that are compared to find about the most that can be earned
MARKUPS = (1.4, 1.8, 2.4, 3.4)  # span the usual best ones
LEAST_REFERENCE = 1e-3  # of what all UAVs could spend, where no price earns more
STATE_SIZE = len(MARKUPS) + 1


class Outcome(NamedTuple):
    """One played round."""

    market: Market  # [G], in which prices were posted
    prices: FloatArray  # [G, M] credit/MHz
    demanded: FloatArray  # [G, M] MHz, before rationing
    profit: FloatArray  # [G, M] credit
    reward: FloatArray  # [G, M] profit per UAV in range over `SPENDING`
    round: int  # from 0
    concentration: FloatArray  # [G, M] Herfindahl index of what was demanded
    largest: FloatArray  # [G, M] MHz, the most that one UAV demanded
    rivals_bandwidth: FloatArray  # [G, M, M - 1] MHz, what rivals had offered before; NaN where nobody was heard


class Judgement(NamedTuple):
    """What somebody can say about posted prices who sees the whole market: the centralised critic, in training.

    `reference` is about the most that an RSU could have earned against the prices that its rivals posted. In units of
    it, all RSUs of all markets are alike; as it does not depend on the RSU's own price, it changes no best response.
    """

    reference: FloatArray  # [..., M] credit
    state: FloatArray  # [..., M, STATE_SIZE] profits at `MARKUPS` over the reference; ln of the reference


class MarketEnvironment:
    """Games of a Market [rounds, G], played from the first round to the last. `utility`: of all UAVs, a plug-in."""

    def __init__(self, games: Market, utility: str = "") -> None:
        self.games = games
        self.utilities = Utilities([utility])
        self.rounds, self.count = games.batch
        first = games[0]
        self.unit_cost, self.price_cap, self.capacity = first.unit_cost, first.price_cap, first.capacity
        answer = games.efficiency > 0.0
        answer[1:] |= games.efficiency[:-1] > 0.0  # who flies out of range says good-bye with a demand of 0
        self.uavs = answer.sum(axis=-2).astype(np.float64)  # [rounds, G, M] that answer
        self._rho = np.broadcast_to(first.rho[:, None], self.unit_cost.shape)
        rsus = range(games.rsus)
        self.others = np.array([[j for j in rsus if j != m] for m in rsus], dtype=int)
        nothing_known = np.full(self.unit_cost.shape, np.nan)
        # Nobody is heard before the first round opens.
        self._offered = np.full((self.count, games.rsus, games.rsus - 1), np.nan)
        self._spent: list[FloatArray] = []  # [G, M] credit, the most that one UAV spent in each of the last rounds
        self._before = nothing_known  # demanded in the last round
        self._situation = self._situate(rivals=0)  # nobody has posted yet
        self._records: list[RoundRecord] = []  # the last `habits.PAST` rounds, newest first
        self._history = np.zeros((self.count, games.rsus, 0, len(observation.ROUND)))
        self.round = 0

    def observe(self) -> Observation:
        """[G, M, observation.SIZE], before prices are posted."""
        return observation.assemble(self._situation, self._history)

    def observe_every(self, rounds: int) -> Observation:
        """What would be seen had only every so many-th round been played, counted back to the one so long ago."""
        if rounds == 1:
            return self.observe()
        chosen = self._records[rounds - 1 :: rounds]
        nothing = np.full(self.unit_cost.shape, np.nan)
        before = [*(each.demanded for each in chosen[1:]), nothing]
        most = self._records[0].most_spent
        told = [self._encoded(r._replace(before=b, most_spent=most)) for r, b in zip(chosen, before, strict=True)]
        return observation.assemble(self._situation, np.stack(told[: observation.ROUNDS], axis=2))

    def rivals_levels(self) -> FloatArray:
        """[T, G, M] of what rivals posted in past rounds, see `habits.misses`; some RSU has to have one."""
        return np.array([np.log(each.rivals).mean(axis=-1) for each in self._records])

    def earned(self, rounds: int) -> FloatArray:
        """[rounds, G, M] credit, at the present cost: profits of the last rounds, newest first."""
        last = self._records[:rounds]
        return np.stack([(r.price - self.unit_cost) * np.minimum(r.demanded, r.capacity) for r in last])

    def step(self, prices: FloatArray) -> Outcome:
        """Play one round at `prices` [G, M], credit/MHz. Raises IndexError after the last round."""
        market = self.games[self.round]
        self.capacity = market.capacity  # may change while a game is played, as may what follows
        changed = not np.array_equal(self.unit_cost, market.unit_cost)
        self.unit_cost, self.price_cap = market.unit_cost, market.price_cap
        # An RSU reads a demand above its capacity as one for all of it.
        bandwidth = np.minimum(self.utilities.respond(market, prices).bandwidth, self.capacity[:, None, :])
        demanded = bandwidth.sum(axis=-2)
        profit = (prices - self.unit_cost) * np.minimum(demanded, self.capacity)
        spread = observation.concentration(bandwidth, axis=-2)
        largest = bandwidth.max(axis=-2)
        self._spent = [*self._spent[1 - observation.MEMORY :], prices * largest]
        record = RoundRecord(
            prices,
            demanded,
            self._before,
            self.capacity,
            self.uavs[self.round],
            spread,
            np.max(self._spent, axis=0),
            self._offered,
            prices[:, self.others],
        )
        self._records = [record, *self._records[: habits.PAST - 1]]
        # What an RSU remembers counts by what is now.
        again = self._records[: observation.ROUNDS] if changed else [record]
        told = [self._encoded(each) for each in again]
        kept = self._history[:, :, len(again) - 1 : observation.ROUNDS - 1]
        self._history = np.concatenate([np.stack(told, axis=2), kept], axis=2)
        self._before = demanded
        offered = self._offered
        if self.round == 0 or changed:
            self._situation = self._situate(rivals=self.games.rsus - 1)
        self._offered = self.capacity[:, self.others]
        self.round += 1
        reward = profit / (SPENDING * np.maximum(self.uavs[self.round - 1], 1.0))
        return Outcome(market, prices, demanded, profit, reward, self.round - 1, spread, largest, offered)

    def _encoded(self, record: RoundRecord) -> FloatArray:
        return observation.encode_round(record, self.unit_cost, self.price_cap, self._rho)

    def _situate(self, rivals: int) -> FloatArray:
        return observation.encode_situation(self.unit_cost, self.price_cap, self._rho, rivals)


def judge(games: Market, prices: FloatArray) -> Judgement:
    """For any batch of markets with posted `prices` [..., M]."""
    shape = prices.shape
    flat = flatten(games)
    block = Block.of(flat)
    alone = UnilateralDeviation.of(block, np.log(prices.reshape(-1, games.rsus) / flat.unit_cost).T)
    reference = references(alone)
    coarse = alone.single()
    markups = np.minimum(np.log(MARKUPS)[:, None, None], block.ceiling).astype(coarse.own.dtype)
    with np.errstate(over="ignore"):  # a UAV in nobody's range: its price index is infinite, and it buys nothing
        earned = coarse.profit(markups, coarse.revenue(markups)) / reference
    uavs = np.maximum((games.efficiency > 0.0).sum(axis=-2), 1.0)
    reference = reference.T.reshape(shape)
    scale = np.log(reference / uavs / games.alpha.mean(axis=-1, keepdims=True))
    told = np.moveaxis(earned, 0, -1).swapaxes(0, 1).reshape(*shape, -1)
    return Judgement(reference, np.concatenate([told, scale[..., None]], axis=-1))


def references(alone: UnilateralDeviation) -> FloatArray:
    """[M, B] about the most that each RSU can earn, credit: the best of `REFERENCES` prices."""
    coarse = alone.single()
    middles = ((np.arange(REFERENCES) + 0.5) / REFERENCES).astype(coarse.own.dtype)
    markups = middles[:, None, None] * coarse.ceiling
    with np.errstate(over="ignore"):
        most = coarse.profit(markups, coarse.revenue(markups)).max(axis=0)
    return np.asarray(np.maximum(most, LEAST_REFERENCE * coarse.alpha.sum(axis=0)), dtype=np.float64)


def flatten(games: Market) -> Market:
    """The same markets along one batch axis."""
    arrays = {field.name: getattr(games, field.name) for field in fields(games)}
    depth = len(games.batch)
    return Market(**{name: np.ascontiguousarray(a).reshape(-1, *a.shape[depth:]) for name, a in arrays.items()})
