"""A market of the game, or a batch of them, as arrays; its validation and its JSON.

Shapes: N UAVs (followers), M RSUs (leaders), any leading batch axes ``...``.
Units: credits, MHz, Mbit/s, bit/s/Hz; so prices are credits per MHz.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from uav_twin_migration.errors import InputError

FloatArray = npt.NDArray[np.float64]
_SMALLEST = 1e-300
# Keys that a market's JSON may have besides those of `Market`: what `respond` answers to, and what editors read.
FURTHER_KEYS = ("prices", "$schema")


class Units(NamedTuple):
    """Powers of two [...] from numbers of a `Market.scaled` to the market's own: ``np.ldexp(x, units.credit)``."""

    credit: npt.NDArray[np.int_]
    rate: npt.NDArray[np.int_]  # Mbit/s
    hertz: npt.NDArray[np.int_]  # MHz

    @property
    def price(self) -> npt.NDArray[np.int_]:
        """Of credit/MHz."""
        return self.credit - self.hertz


@dataclass(frozen=True)
class Market:
    """What the players are given. Build it with `Market.of` or `Market.from_json`, which check every value.

    The plain constructor trusts its arrays: float64, and with the shapes below, where the batch axes ``...`` are equal.
    """

    alpha: FloatArray  # [..., N] immersion weight of a UAV's users, credit
    required_rate: FloatArray  # [..., N] d_n = D_n / T_n, Mbit/s
    efficiency: FloatArray  # [..., N, M] spectral efficiency e_nm, bit/s/Hz; 0 out of range
    unit_cost: FloatArray  # [..., M] C_m, credit/MHz
    capacity: FloatArray  # [..., M] B_m, MHz; inf where unlimited
    price_cap: FloatArray  # [..., M] p_max, credit/MHz
    rho: FloatArray  # [...] substitutability of RSUs, in (0, 1)

    @property
    def uavs(self) -> int:
        """N, the number of followers."""
        return int(self.efficiency.shape[-2])

    @property
    def rsus(self) -> int:
        """M, the number of leaders."""
        return int(self.efficiency.shape[-1])

    @property
    def batch(self) -> tuple[int, ...]:
        """The leading axes; () for one market."""
        return self.rho.shape

    @property
    def sigma(self) -> FloatArray:
        """[...] elasticity of substitution between RSUs, 1 / (1 - rho)."""
        return np.asarray(1.0 / (1.0 - self.rho))

    def __getitem__(self, index: Any) -> Market:
        """Markets of a batch, by any numpy index of the batch axes."""
        return Market(*(np.asarray(array[index]) for array in self.arrays()))

    def arrays(self) -> tuple[FloatArray, ...]:
        """Field by field, in their order."""
        return tuple(getattr(self, name) for name in _NAMES)

    def flat(self) -> Market:
        """The same markets with one batch axis."""
        depths = (1, 1, 2, 1, 1, 1, 0)  # axes that are none of the batch's, field by field
        count, arrays = self.rho.size, zip(self.arrays(), depths, strict=True)
        return Market(*[array.reshape(count, *array.shape[array.ndim - n :]) for array, n in arrays])

    def scaled(self) -> tuple[Market, Units]:
        """The same batch in units that suit it, so that no sum or product of its numbers leaves the range of doubles.

        The largest alpha, required rate and efficiency of each market become about 1. Powers of two: not a bit is lost.
        """
        credit = _exponent(self.alpha)
        rate = _exponent(self.required_rate)
        hertz = rate - _exponent(self.efficiency.reshape(*self.batch, -1))
        units = Units(credit, rate, hertz)
        price = hertz - credit
        market = Market(
            alpha=np.ldexp(self.alpha, -credit[..., None]),
            required_rate=np.ldexp(self.required_rate, -rate[..., None]),
            efficiency=np.ldexp(self.efficiency, (hertz - rate)[..., None, None]),
            unit_cost=np.maximum(np.ldexp(self.unit_cost, price[..., None]), _SMALLEST),
            capacity=np.ldexp(self.capacity, -hertz[..., None]),
            price_cap=np.maximum(np.ldexp(self.price_cap, price[..., None]), _SMALLEST),
            rho=self.rho,
        )
        return market, units

    @classmethod
    def of(
        cls,
        *,
        alpha: npt.ArrayLike,
        required_rate: npt.ArrayLike,
        efficiency: npt.ArrayLike,
        unit_cost: npt.ArrayLike,
        price_cap: npt.ArrayLike,
        rho: npt.ArrayLike,
        capacity: npt.ArrayLike | None = None,
        source: str = "market",
    ) -> Market:
        """A checked market or batch. Batch axes broadcast, and so do scalars over the UAVs or RSUs.

        ``capacity`` None means unlimited. Raises InputError that names ``source`` and the key.
        """
        efficiency_ = np.asarray(efficiency, dtype=np.float64)
        if efficiency_.ndim < 2:
            raise InputError(source, "efficiency", efficiency, "an array [..., UAVs, RSUs]")
        uavs, rsus = efficiency_.shape[-2:]
        given: dict[str, tuple[npt.ArrayLike, tuple[int, ...]]] = {
            "alpha": (alpha, (uavs,)),
            "required_rate": (required_rate, (uavs,)),
            "efficiency": (efficiency_, (uavs, rsus)),
            "unit_cost": (unit_cost, (rsus,)),
            "capacity": (np.inf if capacity is None else capacity, (rsus,)),
            "price_cap": (price_cap, (rsus,)),
            "rho": (rho, ()),
        }
        arrays = {key: np.asarray(value, dtype=np.float64) for key, (value, _) in given.items()}
        try:
            batch = np.broadcast_shapes(*(a.shape[: max(a.ndim - len(given[k][1]), 0)] for k, a in arrays.items()))
        except ValueError:
            shapes = ", ".join(f"{key} {array.shape}" for key, array in arrays.items())
            raise InputError(source, "batch axes", shapes, "axes that broadcast") from None
        for key, (_, core) in given.items():
            try:
                arrays[key] = np.array(np.broadcast_to(arrays[key], batch + core), order="C")
            except ValueError:
                raise InputError(source, key, arrays[key].shape, f"a shape that broadcasts to {batch + core}") from None
        market = cls(**arrays)
        market.check(source)
        return market

    def check(self, source: str = "market") -> None:
        """Raises InputError that names the first bad entry: not a number, negative, above the cap, out of (0, 1)."""
        if self.rsus == 0:
            raise InputError(source, "unit_cost", [], "at least one RSU")
        above = {"required_rate": 0.0, "unit_cost": 0.0, "price_cap": 0.0, "rho": 0.0}
        for field in fields(self):
            values: FloatArray = getattr(self, field.name)
            if field.name in above:
                good, wanted = values > above[field.name], "a finite number > 0"
            else:
                good, wanted = values >= 0.0, "a finite number >= 0"
            if field.name == "capacity":
                wanted = "a number >= 0, or null for unlimited"
            else:
                good = good & np.isfinite(values)
            if field.name == "rho":
                good, wanted = good & (values < 1.0), "a number in (0, 1), both ends excluded"
            _require(good, values, source, field.name, wanted)
        _require(
            self.unit_cost <= self.price_cap,
            self.unit_cost,
            source,
            "unit_cost",
            "at most the price cap {limit}",
            self.price_cap,
        )

    @classmethod
    def from_json(cls, document: object, source: str) -> Market:
        """One market from decoded JSON: the keys of this class, ``capacity`` null or with nulls for unlimited.

        ``price_cap`` is one number for all RSUs or one each. `FURTHER_KEYS` are left alone, any other is refused.
        Raises InputError that names ``source``, the key and the entry.
        """
        if not isinstance(document, Mapping):
            raise InputError(source, "market", document, "an object with the keys of a market")
        names = [field.name for field in fields(cls)]
        for name in names:
            if name not in document:
                raise InputError(source, name, "nothing", "this key, which every market has")
        for key in document:
            if key not in names and key not in FURTHER_KEYS:
                near = get_close_matches(str(key), [*names, *FURTHER_KEYS], 1)
                raise InputError(source, str(key), "a key that no market has", near[0] if near else ", ".join(names))
        unit_cost = numbers(document["unit_cost"], source, "unit_cost")
        alpha = numbers(document["alpha"], source, "alpha")
        rsus, uavs = len(unit_cost), len(alpha)
        if not isinstance(document["efficiency"], list):
            raise InputError(source, "efficiency", document["efficiency"], "a list of rows, one per UAV")
        if len(document["efficiency"]) != uavs:
            raise InputError(source, "efficiency", f"{len(document['efficiency'])} rows", f"{uavs}, as alpha has")
        rows = [
            numbers(row, source, f"efficiency[{n}]", rsus, "unit_cost") for n, row in enumerate(document["efficiency"])
        ]
        capacity, cap = document["capacity"], document["price_cap"]
        if capacity is not None:
            if not isinstance(capacity, list):
                raise InputError(source, "capacity", capacity, "a list of numbers, one per RSU, or null")
            finite = [np.inf if value is None else value for value in capacity]
            capacity = numbers(finite, source, "capacity", rsus, "unit_cost")
        return cls.of(
            alpha=alpha,
            required_rate=numbers(document["required_rate"], source, "required_rate", uavs, "alpha"),
            efficiency=np.array(rows, dtype=np.float64).reshape(uavs, rsus),
            unit_cost=unit_cost,
            capacity=capacity,
            price_cap=numbers(cap, source, "price_cap", rsus, "unit_cost")
            if isinstance(cap, list)
            else number(cap, source, "price_cap"),
            rho=number(document["rho"], source, "rho"),
            source=source,
        )

    def to_json(self) -> dict[str, object]:
        """One market as JSON that `from_json` reads back to the last bit."""
        document: dict[str, object] = {field.name: getattr(self, field.name).tolist() for field in fields(self)}
        document["capacity"] = [value if np.isfinite(value) else None for value in self.capacity]
        return document


def stack(markets: Sequence[Market]) -> Market:
    """Markets of one size as one batch, along a new first axis."""
    return Market(*(np.stack([getattr(market, field.name) for market in markets]) for field in fields(Market)))


def number(value: object, source: str, key: str) -> float:
    """A JSON number as float. Raises InputError for anything else, also for true and false."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(source, key, value, "a number")
    try:
        return float(value)
    except OverflowError:
        raise InputError(source, key, "an integer beyond the range of a double", "a number") from None


_NAMES = tuple(field.name for field in fields(Market))


def numbers(
    values: object, source: str, key: str, length: int | None = None, like: str | None = None
) -> npt.NDArray[np.float64]:
    """A JSON list of numbers as a vector, of ``length`` entries as key ``like`` has, where given."""
    if not isinstance(values, (list, tuple)):
        raise InputError(source, key, values, "a list of numbers")
    if length is not None and len(values) != length:
        raise InputError(source, key, f"{len(values)} entries", f"{length}, as {like} has")
    return np.array([number(value, source, f"{key}[{i}]") for i, value in enumerate(values)], dtype=np.float64)


def _exponent(values: FloatArray) -> npt.NDArray[np.int_]:
    """[...] the power of two of the largest of values [..., K]; 0 where there is none above 0."""
    return np.asarray(np.frexp(values.max(axis=-1, initial=0.0))[1], dtype=np.int_)


def _require(
    good: npt.NDArray[np.bool_], values: FloatArray, source: str, key: str, wanted: str, limit: FloatArray | None = None
) -> None:
    """Raises InputError for the first entry that is not ``good``."""
    if good.all():
        return
    where = tuple(int(i) for i in np.argwhere(~good)[0])
    shown = key + "".join(f"[{i}]" for i in where)
    if limit is not None:
        wanted = wanted.format(limit=float(limit[where]))
    raise InputError(source, shown, float(values[where]), wanted)
