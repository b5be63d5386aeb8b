"""What a scenario holds, as typed records. Units: metres in a local ENU frame (REP 103), seconds, MHz, credits."""

from __future__ import annotations

from dataclasses import dataclass, field

Point = tuple[float, float]


@dataclass(frozen=True)
class Origin:
    """Where the local frame's (0, 0, 0) lies on the WGS 84 ellipsoid."""

    latitude: float  # degrees north
    longitude: float  # degrees east
    altitude: float = 0.0  # m above the ellipsoid


@dataclass(frozen=True)
class Rsu:
    """A road-side unit: a leader of the game. ``unit_cost`` is private to it."""

    id: str
    position: Point  # m, east and north of the origin
    antenna_height: float  # m above ground
    range: float  # m, ground distance beyond which it serves nobody
    capacity: float  # MHz
    unit_cost: float  # credit/MHz
    price_cap: float  # credit/MHz


@dataclass(frozen=True)
class Uav:
    """A UAV: a follower of the game. ``immersion_weight`` and ``twin_size`` are private to it."""

    id: str
    route: tuple[Point, ...]  # m, waypoints; flown round and round where `loop`, else to and fro
    altitude: float  # m above ground
    speed: float  # m/s, cruise
    acceleration: float  # m/s^2, limit
    immersion_weight: float  # alpha_n, credit
    twin_size: float  # D_n, Mbit
    loop: bool = True


@dataclass(frozen=True)
class Building:
    """A prism over a simple polygon, convex or not."""

    footprint: tuple[Point, ...]  # m, without the closing repetition of the first corner
    height: float  # m above `base`
    base: float = 0.0  # m above ground


@dataclass(frozen=True)
class RadioParameters:
    """Link budget and channel model; docs/radio.md has the formulas."""

    environment: str  # "UMi-AV" or "UMa-AV" (3GPP TR 36.777)
    carrier_frequency: float  # GHz
    transmit_power: float  # dBm, over `bandwidth`
    antenna_gain: float  # dBi, both ends together
    noise_figure: float  # dB
    bandwidth: float  # MHz, the reference over which power and noise are counted
    interference_margin: float = 0.0  # dB


@dataclass(frozen=True)
class MarketParameters:
    """Rules of the market that everybody knows."""

    substitutability: float  # rho in (0, 1)
    round_period: float  # s between two offers of an RSU
    offer_window: float  # s in which an offer may be answered, less than `round_period`
    lease_rounds: float  # rounds that a grant stays valid without being renewed
    max_bids: int  # RSUs that a UAV bids to, its best ones
    min_stay: float  # s, bounds of T_n, the predicted stay in coverage
    max_stay: float  # s


@dataclass(frozen=True)
class Scenario:
    """One world with its market: what the scenario file says."""

    name: str
    origin: Origin
    rsus: tuple[Rsu, ...]
    uavs: tuple[Uav, ...]
    radio: RadioParameters
    market: MarketParameters
    buildings: tuple[Building, ...] = field(default=())
