"""What a scenario holds, as typed records. Units: metres in a local ENU frame (REP 103), seconds, MHz, credits."""

from __future__ import annotations

from dataclasses import dataclass

Point = tuple[float, float]
REPLICA_SHARE = 0.1  # of what a UAV buys, for the replica while its twin moves


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
    region: str = ""  # whose market it is in; RSUs of different regions do not hear each other


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
    """Link budget and channel model; docs/radio.md has the formulas and what the defaults result in."""

    environment: str = "UMi-AV"  # or "UMa-AV" (3GPP TR 36.777)
    carrier_frequency: float = 3.5  # GHz
    transmit_power: float = 23.0  # dBm, over `bandwidth`
    antenna_gain: float = 2.0  # dBi, both ends together
    noise_figure: float = 9.0  # dB
    bandwidth: float = 20.0  # MHz, the reference over which power and noise are counted
    interference_margin: float = 0.0  # dB
    implementation_loss: float = 3.0  # dB, by which real coding stays behind Shannon's bound


@dataclass(frozen=True)
class MarketParameters:
    """Rules of the market that everybody knows."""

    rho: float = 0.6  # rho in (0, 1)
    round_period: float = 1.0  # s between two offers of an RSU
    offer_window: float = 0.5  # s in which an offer may be answered, less than `round_period`
    lease_rounds: float = 2.0  # rounds that a grant stays valid without being renewed
    max_bids: int = 4  # RSUs that a UAV bids to, its best ones
    min_stay: float = 30.0  # s, bounds of T_n, the predicted stay in coverage
    max_stay: float = 100.0  # s


@dataclass(frozen=True)
class TwinParameters:
    """How twins are kept."""

    replicas: str = "none"  # or "one": a replica on a second RSU


def transfer_size(twin_size: float, replicas: str) -> float:
    """D_n, what a UAV buys bandwidth for, Mbit: its twin, and beside it what keeps a replica up to date."""
    return twin_size / (1.0 - REPLICA_SHARE) if replicas == "one" else twin_size


@dataclass(frozen=True)
class Scenario:
    """One world with its market: what the scenario file says."""

    name: str
    origin: Origin
    rsus: tuple[Rsu, ...]
    uavs: tuple[Uav, ...]
    radio: RadioParameters = RadioParameters()
    market: MarketParameters = MarketParameters()
    twins: TwinParameters = TwinParameters()
    buildings: tuple[Building, ...] = ()
