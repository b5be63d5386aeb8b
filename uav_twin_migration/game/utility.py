"""What a rate is worth to a UAV's users, where that is not the paper's Weber-Fechner immersion: a plug-in.

A UAV with a utility of its own still buys rates from RSUs that replace each other as the market's rho says: whatever a
rate is worth, the cheapest way to it costs the price index P for each Mbit/s (docs/game.md). So its best response is a
choice of one number, the rate X that maximises ``worth(X) - P X``; `numeric_rate` finds it for any function, concave or
not, by looking everywhere first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from uav_twin_migration.game import followers
from uav_twin_migration.game.followers import Response
from uav_twin_migration.game.market import FloatArray, Market
from uav_twin_migration.plugins import Plugged

SPAN = 1e6  # times the required rate: the least and the most that is looked at besides nothing
SAMPLES = 121  # rates between them, at equal ratios of 1.26
ZOOMS, PARTS = 12, 9  # times that the best one's surroundings are looked at again, in so many parts: to 1e-8
PIECE = 4096  # UAVs at once: stays in cache


class Utility(Protocol):
    """Implemented by plug-ins. Arrays broadcast; a function of single numbers does, too, but is slower.

    It may have ``best_rate(price_index, alpha, required_rate)`` besides: [...] the rate that maximises
    ``worth(rate) - price_index rate``, in closed form. Without, it is found numerically.
    """

    def worth(self, rate: Any, alpha: Any, required_rate: Any) -> Any:
        """[...] credit, of an effective rate [...] >= 0, Mbit/s. alpha: credit. required_rate: d = D/T, Mbit/s."""


class WeberFechner:
    """The built-in: ``alpha ln(1 + X/d)``, as the paper has it."""

    def worth(self, rate: Any, alpha: Any, required_rate: Any) -> FloatArray:
        """See `followers.immersion`."""
        return followers.immersion(rate, alpha, required_rate)

    def best_rate(self, price_index: Any, alpha: Any, required_rate: Any) -> FloatArray:
        """``max(alpha / P - d, 0)``."""
        return np.asarray(np.maximum(alpha / price_index - required_rate, 0.0))


WEBER_FECHNER = WeberFechner()


def plugged(text: str, tell: Callable[[str], None] | None = None) -> Plugged[Utility]:
    """A UAV's utility; see `Plugged` for what happens where it fails."""
    return Plugged[Utility]("utility", text, WEBER_FECHNER, tell)


def worth(utility: Utility, rate: npt.ArrayLike, alpha: npt.ArrayLike, required_rate: npt.ArrayLike) -> FloatArray:
    """[...] credit. Raises ValueError where the plug-in answers something that is no number."""
    x, weight, wanted = np.broadcast_arrays(
        *(np.asarray(one, dtype=np.float64) for one in (rate, alpha, required_rate))
    )
    try:
        told = np.asarray(utility.worth(x, weight, wanted), dtype=np.float64)
        shaped = told.shape == x.shape
    except (TypeError, ValueError):  # it takes one number at a time
        shaped = False
    if not shaped:
        one_by_one = np.vectorize(lambda *one: float(utility.worth(*one)), otypes=[np.float64])
        told = np.asarray(one_by_one(x, weight, wanted)) if x.size else np.zeros(x.shape)
    if not np.isfinite(told).all():
        bad = int(np.argmin(np.isfinite(told)))
        raise ValueError(f"worth({x.flat[bad]:g}, {weight.flat[bad]:g}, {wanted.flat[bad]:g}) is {told.flat[bad]}")
    return told


def best_response(
    utility: Utility,
    prices: npt.ArrayLike,
    efficiency: npt.ArrayLike,
    alpha: npt.ArrayLike,
    required_rate: npt.ArrayLike,
    rho: npt.ArrayLike,
) -> Response:
    """`followers.best_response` of a UAV with this utility. Raises ValueError where it answers no number."""
    if isinstance(utility, WeberFechner):
        return followers.best_response(prices, efficiency, alpha, required_rate, rho)
    index, share = followers.price_index_and_shares(prices, efficiency, rho)
    weight, wanted = (np.broadcast_to(np.asarray(one, dtype=np.float64), index.shape) for one in (alpha, required_rate))
    reached = np.isfinite(index)
    rate = np.zeros(index.shape)
    rate[reached] = _rate(utility, index[reached], weight[reached], wanted[reached])
    spent = np.where(reached, np.where(reached, index, 0.0) * rate, 0.0)
    return Response(share * (spent[..., None] / np.asarray(prices, dtype=np.float64)), rate, index)


def _rate(utility: Utility, index: FloatArray, alpha: FloatArray, wanted: FloatArray) -> FloatArray:
    closed_form = getattr(utility, "best_rate", None)
    if closed_form is None:
        return numeric_rate(utility, index, alpha, wanted)
    rate = np.broadcast_to(np.asarray(closed_form(index, alpha, wanted), dtype=np.float64), index.shape)
    if not (np.isfinite(rate) & (rate >= 0.0)).all():
        raise ValueError(f"best_rate gives {rate[~(np.isfinite(rate) & (rate >= 0.0))][0]}")
    return np.minimum(rate, SPAN * wanted)


def numeric_rate(utility: Utility, index: FloatArray, alpha: FloatArray, wanted: FloatArray) -> FloatArray:
    """[K] the rate at which ``worth(X) - P X`` is highest: 0, or one from d/`SPAN` to d `SPAN`.

    The whole range is sampled, then the surroundings of the best sample again and again: right to eight digits for any
    function that has no peak narrower than two samples. Raises ValueError where the utility answers no number.
    """
    if len(index) > PIECE:
        pieces = [slice(start, start + PIECE) for start in range(0, len(index), PIECE)]
        return np.concatenate([numeric_rate(utility, index[one], alpha[one], wanted[one]) for one in pieces])

    def gained(rate: FloatArray) -> FloatArray:
        return worth(utility, rate, alpha, wanted) - index * rate

    low, high = np.full(index.shape, -np.log(SPAN)), np.full(index.shape, np.log(SPAN))
    best = low
    for samples in (SAMPLES, *[PARTS] * ZOOMS):
        at = np.linspace(low, high, samples)
        top = gained(np.exp(at) * wanted).argmax(axis=0)
        best = np.take_along_axis(at, top[None], axis=0)[0]
        step = (high - low) / (samples - 1)
        low, high = np.maximum(best - step, low), np.minimum(best + step, high)
    rate = np.exp(best) * wanted
    return np.where(gained(rate) > gained(np.zeros(index.shape)), rate, 0.0)


class Utilities:
    """The utilities of a market's UAVs, by what the scenario names for each."""

    def __init__(self, texts: Sequence[str], tell: Callable[[str], None] | None = None) -> None:
        """texts: one a UAV, or one for all however many they are. Raises PluginError without `tell`."""
        self.for_all = len(set(texts)) == 1
        alike: dict[str, list[int]] = {}
        for number, text in enumerate(texts):
            alike.setdefault(text, []).append(number)
        self._groups = [(np.array(whose), plugged(text, tell)) for text, whose in alike.items()]

    @property
    def plain(self) -> bool:
        """Whether they are all the paper's."""
        return all(not one.text for _, one in self._groups)

    @property
    def plugged(self) -> list[Plugged[Utility]]:
        """The plug-ins."""
        return [one for _, one in self._groups]

    def worth(self, market: Market, rate: npt.ArrayLike) -> FloatArray:
        """[..., N] credit, of rates [..., N]."""
        rate = np.asarray(rate, dtype=np.float64)
        x, alpha, wanted = np.broadcast_arrays(rate, market.alpha, market.required_rate)
        told = np.empty(x.shape)
        for whose, one in self._each():
            told[..., whose] = one.ask(partial(worth, rate=x[..., whose], **_of(whose, alpha, wanted)))
        return told

    def respond(self, market: Market, prices: npt.ArrayLike) -> Response:
        """`followers.respond`: bandwidth [..., N, M], rate and price index [..., N] at prices [..., M]."""
        if self.plain:
            return followers.respond(market, prices)
        asked: dict[str, Any] = {
            "prices": np.asarray(prices, dtype=np.float64)[..., None, :],
            "rho": market.rho[..., None],
        }
        parts = [
            one.ask(
                partial(
                    best_response,
                    efficiency=market.efficiency[..., whose, :],
                    **_of(whose, market.alpha, market.required_rate),
                    **asked,
                )
            )
            for whose, one in self._each()
        ]
        if self.for_all:
            return parts[0]
        order = np.argsort(np.concatenate([whose for whose, _ in self._groups]))
        bandwidth = np.concatenate([part.bandwidth for part in parts], axis=-2)[..., order, :]
        rate, index = (np.concatenate([part[k] for part in parts], axis=-1)[..., order] for k in (1, 2))
        return Response(bandwidth, rate, index)

    def utilities(self, market: Market, prices: npt.ArrayLike, bandwidth: FloatArray) -> FloatArray:
        """`followers.utilities`: [..., N] credit, of any bandwidth [..., N, M] at prices [..., M]."""
        rate = followers.effective_rate(bandwidth, market.efficiency, market.rho[..., None])
        spent = np.asarray(prices, dtype=np.float64)[..., None, :] * bandwidth
        return np.asarray(self.worth(market, rate) - spent.sum(axis=-1))

    def _each(self) -> list[tuple[Any, Plugged[Utility]]]:
        return [(slice(None), one) for _, one in self._groups] if self.for_all else list(self._groups)


def _of(whose: Any, alpha: FloatArray, required_rate: FloatArray) -> dict[str, Any]:
    return {"alpha": alpha[..., whose], "required_rate": required_rate[..., whose]}
