"""What RSUs earn by moving alone, as arrays: their attraction, the rivals' at their prices, profit at any own price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from uav_twin_migration.game.block import Block, fits_single
from uav_twin_migration.game.market import FloatArray

RealArray = npt.NDArray[Any]  # float64, or float32 where digits do not matter
BoolArray = npt.NDArray[np.bool_]
IndexArray = npt.NDArray[np.intp]

# numpy works through pieces of about this many bytes, which stay in cache.
_PIECE = 1 << 17
# Logarithm of the attraction of nobody.
_NOTHING = -1e300


@dataclass(frozen=True)
class UnilateralDeviation:
    """M RSUs, each before its UAVs while the others' prices stand still."""

    own: RealArray  # [M, N, B] attraction at unit cost; its logarithm where `wide`
    rivals: RealArray  # [M, N, B] sum of the others' attractions at their prices; its logarithm where `wide`
    alpha: RealArray  # [N, B] credit
    epsilon: RealArray  # [B] sigma - 1
    worth: RealArray  # [M, B] of all its capacity at unit cost, credit
    ceiling: RealArray  # [M, B] log mark-up at the price cap
    contested: BoolArray  # [N, B] whether the UAV reaches more than one RSU
    wide: bool

    @classmethod
    def of(cls, block: Block, x: FloatArray) -> UnilateralDeviation:
        """While the others are at log mark-ups ``x`` [M, B]."""
        rsus = len(x)
        fall = (x * -block.epsilon)[:, None]
        # A sum over the others, not all less one's own: that loses the others' digits where one RSU has nearly all.
        if block.wide:
            offered = block.attraction + fall
            rivals = np.empty_like(offered)
            for m in range(rsus):
                others = np.delete(offered, m, axis=0)
                top = np.maximum(others.max(axis=0, initial=-np.inf), _NOTHING)
                total = np.exp(others - top).sum(axis=0)
                rivals[m] = np.where(total > 0.0, np.log(np.where(total > 0.0, total, 1.0)) + top, _NOTHING)
        else:
            offered = block.attraction * np.exp(fall)
            rivals = ((1.0 - np.eye(rsus, dtype=offered.dtype)) @ offered.reshape(rsus, -1)).reshape(offered.shape)
            rivals += 1e-37  # no 0/0 where none is in range, in single precision neither
        contested = (block.attraction > (-np.inf if block.wide else 0.0)).sum(axis=0) > 1
        arrays = (block.attraction, rivals, block.alpha, block.epsilon, block.worth, block.ceiling, contested)
        return cls(*arrays, block.wide)

    def single(self) -> UnilateralDeviation:
        """In single precision, where that neither over- nor underflows nor blurs the price index."""
        if not fits_single(self.own, self.epsilon, self.ceiling, self.wide):
            return self
        arrays = (self.own, self.rivals, self.alpha, self.epsilon, self.worth, self.ceiling)
        own, rivals, alpha, epsilon, worth, ceiling = (array.astype(np.float32) for array in arrays)
        return UnilateralDeviation(own, rivals, alpha, epsilon, worth, ceiling, self.contested, self.wide)

    def part(self, markets: slice) -> UnilateralDeviation:
        """Some of the markets."""
        arrays = (self.own, self.rivals, self.alpha, self.epsilon, self.worth, self.ceiling, self.contested)
        own, rivals, alpha, epsilon, worth, ceiling, contested = (array[..., markets] for array in arrays)
        return UnilateralDeviation(own, rivals, alpha, epsilon, worth, ceiling, contested, self.wide)

    def take(self, rsu: npt.NDArray[np.intp], market: npt.NDArray[np.intp]) -> UnilateralDeviation:
        """Some of the RSUs, each as the only one of a market of its own."""
        own, rivals = (np.ascontiguousarray(array[rsu, :, market].T)[None] for array in (self.own, self.rivals))
        worth, ceiling = (array[rsu, market][None] for array in (self.worth, self.ceiling))
        of_market = self.alpha[:, market], self.epsilon[market], worth, ceiling, self.contested[:, market]
        return UnilateralDeviation(own, rivals, *of_market, self.wide)

    def drop_out(self) -> RealArray:
        """[M, N, B] own log mark-up at which a UAV drops out; NaN where the rivals alone keep it."""
        if self.wide:
            return np.asarray((self.own - np.log1p(-np.exp(self.rivals))) / self.epsilon)
        return np.asarray(np.log(self.own / (1.0 - self.rivals)) / self.epsilon)

    @np.errstate(all="ignore")  # a UAV that reaches no RSU has an infinite price index
    def revenue(self, x: RealArray) -> RealArray:
        """[K, M, B] before rationing, credit, at K own log mark-ups ``x`` [K, M, B]."""
        power = -1.0 / self.epsilon
        fall = x * -self.epsilon
        if self.wide:
            own = self.own + fall[:, :, None]
            total = np.logaddexp(own, self.rivals)
            spent = -self.alpha * np.expm1(np.minimum(total * power, 0.0))
            return np.asarray((np.exp(own - total) * spent).sum(axis=2))
        weight = np.exp(fall)
        worth = self.own * self.alpha
        revenue = np.empty_like(x)
        step = max(_PIECE // max(self.own.nbytes, 1), 1)
        for k in range(0, len(x), step):
            piece = slice(k, k + step)
            total = self.own * weight[piece, :, None]
            total += self.rivals
            spent = np.log(total)  # in a moment: of alpha
            spent *= power
            np.exp(spent, out=spent)
            np.subtract(1.0, spent, out=spent)
            np.maximum(spent, 0.0, out=spent)
            spent /= total
            np.einsum("mnb,kmnb->kmb", worth, spent, out=revenue[piece])
        revenue *= weight
        return revenue

    def profit(self, x: RealArray, revenue: RealArray) -> RealArray:
        """[K, M, B] after rationing, credit, where ``revenue`` is what it would be without."""
        price = np.exp(x)  # of unit cost
        sold = self.worth * price
        np.minimum(sold, revenue, out=sold)
        np.reciprocal(price, out=price)
        np.subtract(1.0, price, out=price)
        sold *= price
        return sold
