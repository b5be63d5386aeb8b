"""Markets laid out for arithmetic: batch axis last, prices as logarithmic mark-ups, attractions without units.

With the batch last, a sum over UAVs or over RSUs adds whole rows, which is what numpy does fastest.

With ``epsilon = sigma - 1``, ``x_m = ln(p_m / C_m)``, *attractions* ``a_nm = w_nm (alpha_n e_nm / (d_n C_m))^epsilon``
the whole game is in the sums ``S_n = sum_m a_nm exp(-epsilon x_m)``: a UAV buys where ``S_n > 1``, it gives RSU m the
share ``a_nm exp(-epsilon x_m) / S_n`` of what it spends, and that is ``alpha_n (1 - S_n^(-1/epsilon))``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from uav_twin_migration.game.market import FloatArray, Market

TINY = 1e-300  # see `Block.tiny`
IDLE = 1e-288  # see `Block.idle`
# Fewer numbers than this are not worth the conversion to single precision.
FEW = 512
# Attractions above exp(_WIDE), or falling by more than that up to the price cap, are kept as logarithms.
_WIDE = 600.0
_HIGHEST = 700.0  # log mark-up; exp of it is still a double
# Below, double precision has no digits left for the price index; taking the nearest one moves prices by less than a
# part in a million. Above, it has none left for the shares of RSUs that share a UAV: there, nothing can be certified.
_EPSILON_RANGE = 1e-7, 1e9


def fits_single(attraction: FloatArray, epsilon: FloatArray, ceiling: FloatArray, wide: bool) -> bool:
    """Whether single precision is worth it, neither over- nor underflows, and does not blur the price index."""
    if attraction.size < FEW or wide or float(epsilon.min(initial=1.0)) < 0.05:
        return False
    return bool(attraction.max(initial=0.0) <= 1e30 and (epsilon * ceiling).max(initial=0.0) <= 60.0)


@dataclass(frozen=True)
class Block:
    """A batch of B markets of N UAVs and M RSUs, best of `Market.scaled`: sums and products stay in range then."""

    epsilon: FloatArray  # [B] sigma - 1
    attraction: FloatArray  # [M, N, B] at unit cost; its logarithm where `wide`
    alpha: FloatArray  # [N, B] credit
    ceiling: FloatArray  # [M, B] ln(price_cap / C), the highest log mark-up
    worth: FloatArray  # [M, B] of all the capacity at unit cost, credit
    wide: bool

    @classmethod
    def of(cls, market: Market) -> Block:
        """Lays out a batch with one batch axis."""
        efficiency = np.ascontiguousarray(market.efficiency.transpose(2, 1, 0))
        epsilon = np.clip(market.rho / (1.0 - market.rho), *_EPSILON_RANGE)
        cost = np.ascontiguousarray(market.unit_cost.T)
        with np.errstate(over="ignore"):
            ceiling = np.minimum(np.log(market.price_cap.T / cost), _HIGHEST)
        total = efficiency.sum(axis=0)
        total += TINY
        with np.errstate(divide="ignore"):
            per_unit = np.log(market.alpha.T / market.required_rate.T)
            attraction = np.log(efficiency)
            log_weight = attraction - np.log(total)
            attraction -= np.log(cost)[:, None]
            attraction += per_unit
            attraction *= epsilon
            attraction += log_weight
        wide = max(attraction.max(initial=0.0), (epsilon * ceiling).max(initial=0.0)) > _WIDE
        return cls(
            epsilon=epsilon,
            attraction=attraction if wide else np.exp(attraction, out=attraction),
            alpha=np.ascontiguousarray(market.alpha.T),
            ceiling=ceiling,
            worth=np.ascontiguousarray(market.capacity.T) * cost,
            wide=bool(wide),
        )

    def take(self, index: Any) -> Block:
        """The markets at ``index`` of the batch axis."""
        arrays = (self.epsilon, self.attraction, self.alpha, self.ceiling, self.worth)
        epsilon, attraction, alpha, ceiling, worth = (np.ascontiguousarray(array[..., index]) for array in arrays)
        return Block(epsilon, attraction, alpha, ceiling, worth, self.wide)

    def twice(self) -> Block:
        """All markets, and then all once more."""
        arrays = (self.epsilon, self.attraction, self.alpha, self.ceiling, self.worth)
        epsilon, attraction, alpha, ceiling, worth = (np.concatenate([array, array], axis=-1) for array in arrays)
        return Block(epsilon, attraction, alpha, ceiling, worth, self.wide)

    def single(self) -> Block:
        """In single precision, where that neither over- nor underflows nor blurs the price index; else as it is."""
        if not fits_single(self.attraction, self.epsilon, self.ceiling, self.wide):
            return self
        arrays = (self.epsilon, self.attraction, self.alpha, self.ceiling, self.worth)
        epsilon, attraction, alpha, ceiling, worth = (cast("FloatArray", array.astype(np.float32)) for array in arrays)
        return Block(epsilon, attraction, alpha, ceiling, worth, self.wide)

    @property
    def tiny(self) -> float:
        """Keeps quotients defined where no RSU is in range; far below any sum at which a UAV buys."""
        return TINY if self.alpha.dtype == np.float64 else 1e-37

    @property
    def idle(self) -> float:
        """Sums below it lose digits where `tiny` is added."""
        return IDLE if self.alpha.dtype == np.float64 else 1e-31

    def shares(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """At log mark-ups ``x`` [M, B]: shares [M, N, B] of what a UAV spends; and d P / alpha [N, B], at most 1."""
        fall = x * -self.epsilon
        if self.wide:
            share = self.attraction + fall[:, None]
            top = np.maximum(share.max(axis=0), -1e300)
            share -= top
            np.exp(share, out=share)
        else:
            share = self.attraction * np.exp(fall)[:, None]
        total = share.sum(axis=0)
        total += self.tiny
        share /= total
        index = np.log(total, out=total)
        if self.wide:
            index += top
        index /= -self.epsilon
        np.minimum(index, 0.0, out=index)
        return share, np.exp(index, out=index)
