"""Named distributions: how a scenario says what differs from one seed to the next.

``0.5`` is always 0.5; ``uniform(a, b)``, ``normal(mean, deviation)``, ``lognormal(median, sigma)`` with sigma of the
logarithm, and ``exponential(mean)`` are drawn. All draws are Python's own, whose sequence its documentation guarantees.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable

Draw = Callable[[], float]

NUMBER = r"[-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?"
TWO = "uniform|normal|lognormal"
DISTRIBUTION = rf"{NUMBER}|(?:{TWO})\( *{NUMBER} *, *{NUMBER} *\)|exponential\( *{NUMBER} *\)"
A_DISTRIBUTION = "a number, uniform(low, high), normal(mean, deviation), lognormal(median, sigma) or exponential(mean)"


def drawer(text: str, chance: random.Random, low: float = -math.inf, high: float = math.inf) -> Draw:
    """What draws from a distribution, each value brought into [low, high].

    Raises:
        ValueError: the text is none.
    """
    if re.fullmatch(DISTRIBUTION, text) is None:
        raise ValueError(f"{text!r} is not {A_DISTRIBUTION}")
    name, _, rest = text.partition("(")
    numbers = [float(one) for one in re.findall(NUMBER, rest)]
    draw = _DRAWS[name](chance, *numbers) if rest else _constant(float(text))
    if not rest:
        return _constant(min(max(draw(), low), high))

    def bounded() -> float:
        value = draw()
        return value if low <= value <= high else min(max(value, low), high)

    return bounded


def stream(seed: int, purpose: str) -> random.Random:
    """Random numbers for one purpose: others' draws do not move them."""
    return random.Random(f"{seed}/{purpose}")


def _constant(value: float) -> Draw:
    return lambda: value


def _lognormal(chance: random.Random, median: float, sigma: float) -> Draw:
    return lambda: median * math.exp(sigma * chance.gauss(0.0, 1.0))


_DRAWS: dict[str, Callable[..., Draw]] = {
    "uniform": lambda chance, low, high: lambda: low + (high - low) * chance.random(),
    "normal": lambda chance, mean, deviation: lambda: mean + deviation * chance.gauss(0.0, 1.0),
    "lognormal": _lognormal,
    "exponential": lambda chance, mean: lambda: -mean * math.log(1.0 - chance.random()),
}
