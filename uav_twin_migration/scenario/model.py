"""What a scenario holds, as typed records, and with it the table of its settings; see settings.py.

Units: metres in a local ENU frame (REP 103), seconds, MHz, Mbit, credits. A credit is any currency.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from uav_twin_migration.scenario.chance import A_DISTRIBUTION, DISTRIBUTION
from uav_twin_migration.scenario.settings import (
    AN_ID,
    ID,
    NEXT_ROUND,
    NOBODY_OR_ID,
    RSU,
    SCENARIO,
    UAV,
    Points,
    Setting,
    Texts,
    Track,
    plugin,
)
from uav_twin_migration.scenario.settings import Point as Point

FAULTS = "a list of texts like 'at 30 s: kill rsu_2'"
MATERIALS = ("concrete", "brick", "wood", "glass", "metal", "marble")  # of ITU-R P.2040
REPLICA_SHARE = 0.1  # of what a UAV buys, for the replica while its twin moves

FARTHEST = 1e5  # m from the origin: the local plane is a good map of the Earth within some ten kilometres only
PLACE = (-FARTHEST, FARTHEST)
HIGHEST = 300.0  # m; TR 36.777 ends there
MONEY = (1e-12, 1e18)  # of any currency; beyond, sums lose their digits
BANDWIDTH = (1e-3, 1e6)  # MHz: 1 kHz, and more than all of the radio spectrum
MOST_RSUS = 256  # whose offers a UAV follows
MOST_RATE = 1e10  # Mbit/s: more than all that can be bought carries; an infinite rate would mean: without a limit

TO_RSU, TO_UAV, TO_BOTH = (SCENARIO, RSU), (SCENARIO, UAV), (SCENARIO, RSU, UAV)


def drawn(meaning: str, unit: str = "") -> Setting:
    """A setting that is a distribution."""
    return Setting(meaning, unit, pattern=DISTRIBUTION, wanted=A_DISTRIBUTION)


@dataclass(frozen=True)
class Origin:
    """Where the local frame's (0, 0, 0) lies on the WGS 84 ellipsoid."""

    latitude: Annotated[float, Setting("degrees north", "degrees", -90, 90)]
    longitude: Annotated[float, Setting("degrees east", "degrees", -180, 180)]
    altitude: Annotated[float, Setting("above the ellipsoid", "m", -1_000, 10_000)] = 0.0


@dataclass(frozen=True)
class Rsu:
    """A road-side unit: a leader of the game. ``unit_cost`` is private to it."""

    id: Annotated[str, Setting("no two RSUs have the same", pattern=ID, wanted=AN_ID)]
    position: Annotated[Point, Setting("`[east, north]`", "m", *PLACE)]
    antenna_height: Annotated[float, Setting("above ground", "m", 0.1, HIGHEST)]
    range: Annotated[float, Setting("ground distance beyond which it serves nobody", "m", 1e-3, 1e5, TO_RSU)]
    capacity: Annotated[float, Setting("bandwidth it can sell at a time, B_m", "MHz", *BANDWIDTH, TO_RSU, NEXT_ROUND)]
    unit_cost: Annotated[
        float, Setting("what a MHz costs it, C_m; private to it", "credit/MHz", *MONEY, TO_RSU, NEXT_ROUND)
    ]
    price_cap: Annotated[
        float, Setting("highest price, p_max; more than `unit_cost`", "credit/MHz", *MONEY, TO_RSU, NEXT_ROUND)
    ]
    region: Annotated[
        str,
        Setting(
            "whose market it is in; RSUs hear the prices of their own and of those that overlap with it",
            known_to=TO_RSU,
            pattern=NOBODY_OR_ID,
            wanted="a ROS name token of at most 64 characters, or nothing",
        ),
    ] = ""
    pricing: Annotated[str, plugin("pricing", TO_RSU)] = ""
    admission: Annotated[str, plugin("admission", TO_RSU)] = ""
    transfer: Annotated[str, plugin("transfer", TO_RSU)] = ""


@dataclass(frozen=True)
class Uav:
    """A UAV: a follower of the game. ``immersion_weight`` and ``twin_size`` are private to it."""

    id: Annotated[str, Setting("no two UAVs have the same", pattern=ID, wanted=AN_ID)]
    route: Annotated[
        Points,
        Setting(
            "waypoints `[east, north]`, none equal to the one before; one is held; or [a file](#routes-out-of-files)",
            "m",
            *PLACE,
            least=1,
            wanted="a list of at least one waypoint [east, north]",
        ),
    ]
    altitude: Annotated[float, Setting("above ground, within the radio model's heights", "m", 0.1, HIGHEST)]
    speed: Annotated[float, Setting("limit, and cruise", "m/s", 0.01, 100)]
    acceleration: Annotated[float, Setting("limit", "m/s^2", 0.01, 100)]
    immersion_weight: Annotated[
        float, Setting("what immersion is worth to its users, alpha_n; private to it", "credit", *MONEY, TO_UAV)
    ]
    twin_size: Annotated[float, Setting("size of its twin, D_n; private to it", "Mbit", 1e-3, 1e5, TO_UAV)]
    loop: Annotated[bool, Setting("whether the route is flown round and round, else to and fro")] = True
    utility: Annotated[str, plugin("utility", TO_UAV)] = ""
    hosting: Annotated[str, plugin("hosting", TO_UAV)] = ""
    mobility: Annotated[str, plugin("mobility")] = ""
    track: Annotated[
        Track,
        Setting(
            "a [recorded flight](#recorded-flights), flown as it was: fixes `[s, east, north, up]`, or a file; "
            "`route` and `altitude` then follow from it",
            "s, m",
            *PLACE,
            wanted="a list of fixes [s, east, north, up], whose times rise",
        ),
    ] = ()


@dataclass(frozen=True)
class Building:
    """A prism over a simple polygon, convex or not."""

    footprint: Annotated[
        Points,
        Setting(
            "corners `[east, north]` of a simple polygon, convex or not, either way round; the first is not repeated",
            "m",
            *PLACE,
            least=3,
            wanted="a list of at least three corners [east, north]",
        ),
    ]
    height: Annotated[float, Setting("above `base`", "m", 1e-3, 1_000)]
    base: Annotated[float, Setting("above ground; more than 0 for a bridge", "m", 0, 1_000)] = 0.0
    material: Annotated[
        str, Setting("of its walls and roof, for [radio maps](radio.md#radio-maps)", choices=MATERIALS)
    ] = "concrete"


@dataclass(frozen=True)
class RadioParameters:
    """Link budget and channel model; docs/radio.md has the formulas and what the defaults result in."""

    environment: Annotated[str, Setting("of 3GPP TR 36.777", choices=("UMi-AV", "UMa-AV"))] = "UMi-AV"
    carrier_frequency: Annotated[float, Setting("", "GHz", 0.5, 100)] = 3.5
    transmit_power: Annotated[float, Setting("over `bandwidth`", "dBm", -50, 100)] = 23.0
    antenna_gain: Annotated[float, Setting("both ends together", "dBi", -50, 100)] = 2.0
    noise_figure: Annotated[float, Setting("", "dB", 0, 50)] = 9.0
    bandwidth: Annotated[float, Setting("the reference over which power and noise are counted", "MHz", *BANDWIDTH)] = (
        20.0
    )
    interference_margin: Annotated[float, Setting("", "dB", 0, 100)] = 0.0
    implementation_loss: Annotated[float, Setting("by which real coding stays behind Shannon's bound", "dB", 0, 50)] = (
        3.0
    )
    neighbour_load: Annotated[
        float,
        Setting(
            "share of the time that every other RSU sends in the same band: [interference](radio.md#interference)",
            "",
            0,
            1,
        ),
    ] = 0.0
    small_scale: Annotated[
        str, Setting("[fading](radio.md#small-scale-fading) by many paths at once", choices=("none", "rician"))
    ] = "none"
    k_factor: Annotated[
        float, Setting("of `small_scale` fading in line of sight: steady path over all others", "dB", -20, 30)
    ] = 15.0
    map: Annotated[
        str, Setting("file of a [radio map](radio.md#radio-maps), beside the scenario; empty: 3GPP's model")
    ] = ""
    model: Annotated[str, plugin("radio")] = ""


@dataclass(frozen=True)
class MarketParameters:
    """Rules of the market that everybody knows."""

    rho: Annotated[
        float,
        Setting(
            "substitutability: how well RSUs replace each other; above 0.7 there may be no equilibrium",
            "",
            0.01,
            0.99,
            TO_BOTH,
        ),
    ] = 0.6
    round_period: Annotated[float, Setting("between two offers of an RSU", "s", 0.01, 3600, TO_BOTH)] = 1.0
    offer_window: Annotated[
        float,
        Setting("for answers to an offer; less than `round_period`", "s", 1e-3, 3600, TO_RSU, NEXT_ROUND),
    ] = 0.5
    lease_rounds: Annotated[
        float, Setting("that a grant holds without being renewed", "rounds", 1, 100, TO_RSU, NEXT_ROUND)
    ] = 2.0
    max_bids: Annotated[
        int, Setting("RSUs that a UAV bids to, those with its best links", "", 1, MOST_RSUS, TO_UAV)
    ] = 4
    min_stay: Annotated[
        float, Setting("lower bound of T_n, the predicted stay in coverage", "s", 1e-3, 1e5, TO_UAV)
    ] = 30.0
    max_stay: Annotated[float, Setting("upper bound of T_n; at least `min_stay`", "s", 1e-3, 1e5, TO_UAV)] = 100.0


@dataclass(frozen=True)
class TwinParameters:
    """How twins are kept."""

    replicas: Annotated[
        str,
        Setting(
            "one: a [replica](migration.md#replicas) on a second RSU; the UAV then buys for a ninth more",
            known_to=TO_UAV,
            choices=("none", "one"),
        ),
    ] = "none"
    application: Annotated[str, plugin("application", TO_RSU)] = ""


@dataclass(frozen=True)
class Randomness:
    """What differs from one seed to the next, each by a [distribution](virtual.md#seeds)."""

    start_shift: Annotated[
        str, drawn("by which a UAV's whole route lies elsewhere, east and north, each its own", "m")
    ] = "0"
    route_phase: Annotated[str, drawn("share of its round that a UAV has flown at the start")] = "0"
    immersion_weight: Annotated[str, drawn("factor on a UAV's immersion weight")] = "1"
    twin_size: Annotated[str, drawn("factor on the size of a UAV's twin")] = "1"
    fading: Annotated[str, drawn("`--virtual`: shadow fading, on the SNR of each link", "dB")] = "0"
    fading_distance: Annotated[
        float, Setting("`--virtual`: that a UAV flies until its fading is 1/e of what it was", "m", 0.1, 1e4)
    ] = 50.0
    message_delay: Annotated[str, drawn("`--virtual`: time that a message takes, each its own", "s")] = (
        "lognormal(0.002, 0.5)"
    )
    message_loss: Annotated[float, Setting("`--virtual`: share of the messages that is lost", "", 0, 0.9)] = 0.0
    disk_delay: Annotated[str, drawn("`--virtual`: time that an RSU's disk takes for a commit", "s")] = (
        "lognormal(0.002, 0.5)"
    )
    start_delay: Annotated[str, drawn("`--virtual`: time until an RSU or a UAV is up", "s")] = "uniform(0, 1)"


def transfer_size(twin_size: float, replicas: str) -> float:
    """D_n, what a UAV buys bandwidth for, Mbit: its twin, and beside it what keeps a replica up to date."""
    return twin_size / (1.0 - REPLICA_SHARE) if replicas == "one" else twin_size


@dataclass(frozen=True)
class Scenario:
    """One world with its market: what the scenario file says."""

    name: Annotated[str, Setting("", least=1, most=100, wanted="one line of at most 100 characters")]
    origin: Origin
    rsus: tuple[Rsu, ...]
    uavs: tuple[Uav, ...]
    radio: RadioParameters = RadioParameters()
    market: MarketParameters = MarketParameters()
    twins: TwinParameters = TwinParameters()
    randomness: Randomness = Randomness()
    buildings: tuple[Building, ...] = ()
    faults: Annotated[
        Texts,
        Setting("what goes wrong, and when, with `--virtual`: see [virtual time](virtual.md#faults)", wanted=FAULTS),
    ] = ()
