"""The tiny actor in numpy: observation to unbounded action to price."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]

MOST_STEEP = 30.0  # beyond, the sigmoid is 0 or 1 to all digits that count


class Actor:
    """A multilayer perceptron with ReLU between its layers and one linear output."""

    def __init__(self, layers: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]]) -> None:
        """`layers`: (weight [out, in], bias [out]) from the observation to the action."""
        self.layers: list[tuple[Single, Single]] = [
            (np.ascontiguousarray(weight, dtype=np.float32), np.ascontiguousarray(bias, dtype=np.float32))
            for weight, bias in layers
        ]
        self._transposed = [(np.ascontiguousarray(weight.T), bias) for weight, bias in self.layers]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Inputs, hidden neurons layer by layer, outputs."""
        return (self.layers[0][0].shape[1], *(weight.shape[0] for weight, _ in self.layers))

    @property
    def parameters(self) -> int:
        """Numbers in the network."""
        return sum(weight.size + bias.size for weight, bias in self.layers)

    def __call__(self, observation: npt.NDArray[Any]) -> Single:
        """Actions [...] for observations [..., inputs]."""
        x = observation
        for weight, bias in self._transposed[:-1]:
            x = np.maximum(x.dot(weight) + bias, 0.0)
        weight, bias = self._transposed[-1]
        out: Single = x.dot(weight) + bias
        return out[..., 0]


def price_of(action: npt.ArrayLike, unit_cost: npt.ArrayLike, price_cap: npt.ArrayLike) -> FloatArray:
    """`C (p_max / C)^sigmoid(a)`, credit/MHz: between cost and cap, whatever the action is. Everything broadcasts."""
    cost = np.asarray(unit_cost, dtype=np.float64)
    steep = np.minimum(
        np.maximum(action, -MOST_STEEP), MOST_STEEP, dtype=np.float64
    )  # np.clip takes four times as long
    price = cost * (np.asarray(price_cap) / cost) ** (1.0 / (1.0 + np.exp(-steep)))
    return np.asarray(np.minimum(np.maximum(price, cost), price_cap))


def action_of(price: npt.ArrayLike, unit_cost: npt.ArrayLike, price_cap: npt.ArrayLike) -> FloatArray:
    """The action that `price_of` turns into `price`; finite at cost and at cap, too."""
    cost = np.asarray(unit_cost, dtype=np.float64)
    span = np.maximum(np.log(np.asarray(price_cap) / cost), 1e-9)  # a cap at the cost leaves no choice
    share = np.log(np.asarray(price) / cost) / span
    edge = 1.0 / (1.0 + np.exp(MOST_STEEP))
    share = np.clip(share, edge, 1.0 - edge)
    return np.asarray(np.log(share) - np.log1p(-share))
