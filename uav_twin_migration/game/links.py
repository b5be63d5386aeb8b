"""A large market as its links: who reaches whom, instead of all pairs of UAVs and RSUs.

In a city a UAV reaches a handful of RSUs, however many there are. 100,000 UAVs and 1,000 RSUs are 10^8 pairs and half a
million links.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from uav_twin_migration.errors import InputError
from uav_twin_migration.game.market import FloatArray, Market

IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class LinkMarket:
    """One market of N UAVs, M RSUs and L links, these in the order of their UAVs. Build it with `LinkMarket.of`."""

    alpha: FloatArray  # [N] immersion weight of a UAV's users, credit
    required_rate: FloatArray  # [N] Mbit/s
    uav: IntArray  # [L] of a link, rising
    rsu: IntArray  # [L] of a link
    efficiency: FloatArray  # [L] spectral efficiency of a link, bit/s/Hz, above 0
    unit_cost: FloatArray  # [M] credit/MHz
    capacity: FloatArray  # [M] MHz; inf where unlimited
    price_cap: FloatArray  # [M] credit/MHz
    rho: float

    @property
    def uavs(self) -> int:
        """N, the number of followers."""
        return len(self.alpha)

    @property
    def rsus(self) -> int:
        """M, the number of leaders."""
        return len(self.unit_cost)

    @classmethod
    def of(
        cls,
        *,
        alpha: npt.ArrayLike,
        required_rate: npt.ArrayLike,
        uav: npt.ArrayLike,
        rsu: npt.ArrayLike,
        efficiency: npt.ArrayLike,
        unit_cost: npt.ArrayLike,
        price_cap: npt.ArrayLike,
        rho: float,
        capacity: npt.ArrayLike | None = None,
        source: str = "market",
    ) -> LinkMarket:
        """A checked market; links in any order, those of efficiency 0 are left out.

        Raises InputError that names ``source`` and the key: as `Market.of` does, and for a UAV or an RSU that is none,
        and for two links between the same two.
        """
        ends = {key: np.asarray(value) for key, value in (("uav", uav), ("rsu", rsu))}
        quality = np.asarray(efficiency, dtype=np.float64)
        # All but the links is checked as a market in which nobody reaches anybody.
        rest = Market.of(
            alpha=alpha, required_rate=required_rate, efficiency=np.zeros((np.size(alpha), 1)), unit_cost=[1e-300],
            price_cap=1.0, rho=rho, source=source,
        )  # fmt: skip
        sellers = Market.of(
            alpha=[], required_rate=[], efficiency=np.zeros((0, np.size(unit_cost))), unit_cost=unit_cost,
            capacity=capacity, price_cap=price_cap, rho=rho, source=source,
        )  # fmt: skip
        for key, limit in (("uav", rest.uavs), ("rsu", sellers.rsus)):
            index = ends[key]
            if index.shape != quality.shape or index.ndim != 1:
                raise InputError(source, key, f"shape {index.shape}", f"a list as long as efficiency, {quality.shape}")
            if len(index) and (index.dtype.kind not in "iu" or index.min() < 0 or index.max() >= limit):
                raise InputError(source, key, float(index.max()), f"whole numbers from 0 to {limit - 1}")
        if not (np.isfinite(quality) & (quality >= 0.0)).all():
            bad = int(np.argmin(np.isfinite(quality) & (quality >= 0.0)))
            raise InputError(source, f"efficiency[{bad}]", float(quality[bad]), "a finite number >= 0")
        key_of = ends["uav"].astype(np.intp) * sellers.rsus + ends["rsu"].astype(np.intp)
        order = np.argsort(key_of, kind="stable")
        order = order[quality[order] > 0.0]
        twice = np.flatnonzero(np.diff(key_of[order]) == 0)
        if len(twice):
            n, m = divmod(int(key_of[order[twice[0]]]), sellers.rsus)
            raise InputError(source, "links", f"UAV {n} and RSU {m} twice", "one link between two")
        return cls(
            alpha=rest.alpha,
            required_rate=rest.required_rate,
            uav=ends["uav"].astype(np.intp)[order],
            rsu=ends["rsu"].astype(np.intp)[order],
            efficiency=quality[order],
            unit_cost=sellers.unit_cost,
            capacity=sellers.capacity,
            price_cap=sellers.price_cap,
            rho=float(rest.rho),
        )

    @classmethod
    def of_pairs(cls, market: Market) -> LinkMarket:
        """One market without batch axes as its links."""
        uav, rsu = np.nonzero(market.efficiency)
        arrays = (market.unit_cost, market.capacity, market.price_cap)
        return cls(
            market.alpha, market.required_rate, uav, rsu, market.efficiency[uav, rsu], *arrays, float(market.rho)
        )

    def dense(self, values: FloatArray) -> FloatArray:
        """[N, M] of values [L] of the links, 0 where there is none."""
        pairs = np.zeros((self.uavs, self.rsus))
        pairs[self.uav, self.rsu] = values
        return pairs

    def scaled(self) -> tuple[LinkMarket, int, int]:
        """In units in which all is about 1 (see `Market.scaled`), and the powers of two of credit and of MHz."""
        credit, rate, quality = (
            int(np.frexp(values.max(initial=0.0))[1]) for values in (self.alpha, self.required_rate, self.efficiency)
        )
        hertz = rate - quality
        scaled = LinkMarket(
            alpha=np.ldexp(self.alpha, -credit),
            required_rate=np.ldexp(self.required_rate, -rate),
            uav=self.uav,
            rsu=self.rsu,
            efficiency=np.ldexp(self.efficiency, -quality),
            unit_cost=np.ldexp(self.unit_cost, hertz - credit),
            capacity=np.ldexp(self.capacity, -hertz),
            price_cap=np.ldexp(self.price_cap, hertz - credit),
            rho=self.rho,
        )
        return scaled, credit, hertz
