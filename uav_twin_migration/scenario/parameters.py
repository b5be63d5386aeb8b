"""What the nodes of RSUs and UAVs know beside the scenario, and which settings are a node's parameters."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any

from uav_twin_migration.scenario import model
from uav_twin_migration.scenario.settings import (
    AN_ID,
    AT_ONCE,
    ID,
    NEXT_ROUND,
    REQUIRED,
    RSU,
    UAV,
    Numbers,
    Position,
    Setting,
    Texts,
    settings_of,
)

WALL_TIME = (1e-3, 1e5)  # s
NOISE = "standard deviation of the noise on the action, for recordings to learn from; -1: what the policy says"


@dataclass(frozen=True)
class RsuPlace:
    """Who an RSU is, and where."""

    rsu_id: Annotated[str, Setting("id of this RSU", "", known_to=(RSU,), pattern=ID, wanted=AN_ID)]
    position: Annotated[Position, Setting("x, y, z of its antenna in the map frame", "m", *model.PLACE, (RSU,))]


@dataclass(frozen=True)
class RsuOperation:
    """How an RSU is run: whom it serves, and how it prices."""

    admitted_uavs: Annotated[
        Texts,
        Setting("patterns of ids of UAVs that it serves", known_to=(RSU,), changes=NEXT_ROUND),
    ] = ("*",)
    rival_regions: Annotated[
        Texts,
        Setting("other regions whose prices it hears: those whose RSUs' coverage overlaps its own", known_to=(RSU,)),
    ] = ()
    policy: Annotated[
        str,
        Setting(
            "what prices at first: default (the shipped policy), none (the rule), untrained, or an artifact's file",
            known_to=(RSU,),
        ),
    ] = "default"
    exploration: Annotated[float, Setting(NOISE, "", -1, 10, (RSU,))] = 0.0
    seed: Annotated[int, Setting("of the exploration", "", 0, 2**63 - 1, (RSU,))] = 0
    learners: Annotated[
        str, Setting("folder of the public keys of learners to believe; empty: unsigned policies, too", known_to=(RSU,))
    ] = ""
    policy_kept: Annotated[
        str, Setting("file that keeps the last policy it took, for its next start; empty: none", known_to=(RSU,))
    ] = ""
    require_uav_signatures: Annotated[
        bool, Setting("refuse what UAVs say without a signature that market_key verifies", known_to=(RSU,))
    ] = False
    autostart: Annotated[bool, Setting("configure and activate without a lifecycle manager", known_to=(RSU,))] = True


@dataclass(frozen=True)
class Signatures:
    """How RSUs and UAVs know each other's word."""

    signing_key: Annotated[
        str, Setting("file (ID.signing) with which to sign all that it says; empty: without", known_to=(RSU, UAV))
    ] = ""
    market_key: Annotated[
        str,
        Setting(
            "file (market.pub) that others' signatures are verified with; empty: unsigned is believed",
            known_to=(RSU, UAV),
        ),
    ] = ""


@dataclass(frozen=True)
class Receipts:
    """What RSUs and UAVs keep of what was bought and sold."""

    ledger: Annotated[
        str,
        Setting("file in which it keeps its grants, see docs/ledger.md; empty: none", known_to=(RSU, UAV)),
    ] = ""
    ledger_size: Annotated[
        float, Setting("room for it; the oldest grants go first", "MB", 0.1, 1e5, known_to=(RSU, UAV))
    ] = 64.0


@dataclass(frozen=True)
class TwinLease:
    """What RSUs and UAVs agree on about twins."""

    twin_lease: Annotated[
        float,
        Setting(
            "time for which an RSU serves the twin of a silent UAV, of wall time; all must agree",
            "s",
            *WALL_TIME,
            (RSU, UAV),
        ),
    ] = 3.0


@dataclass(frozen=True)
class TwinHosting:
    """How an RSU hosts twins."""

    twin_store: Annotated[str, Setting("file in which it keeps twins; empty: it hosts none", known_to=(RSU,))] = ""
    twin_keys: Annotated[
        str,
        Setting("folder of its TLS keys, made by `uavtwin keys`; empty: plain TCP, on loopback only", known_to=(RSU,)),
    ] = ""
    twin_address: Annotated[str, Setting("address at which it takes twins over from other RSUs", known_to=(RSU,))] = (
        "127.0.0.1"
    )
    twin_port: Annotated[int, Setting("port at that address; 0 for any free one", "", 0, 65535, (RSU,))] = 0
    twin_advertise: Annotated[
        str, Setting("address that other RSUs are told; empty: twin_address", known_to=(RSU,))
    ] = ""
    twin_beat: Annotated[
        float,
        Setting(
            "time between two host heartbeats, of wall time; at most half of twin_lease",
            "s",
            *WALL_TIME,
            (RSU,),
            AT_ONCE,
        ),
    ] = 0.5
    state_period: Annotated[
        float,
        Setting("time between two states of the twins for users, of wall time", "s", *WALL_TIME, (RSU,), AT_ONCE),
    ] = 0.1
    drain_rate: Annotated[
        float,
        Setting("rate of all its migrations when it goes down", "Mbit/s", 1e-3, model.MOST_RATE, (RSU,), AT_ONCE),
    ] = 100.0
    drain_limit: Annotated[
        float,
        Setting("time after which it stops waiting for its twins to have moved then", "s", *WALL_TIME, (RSU,), AT_ONCE),
    ] = 30.0
    drain_on_stop: Annotated[
        bool,
        Setting("go down so on SIGTERM: sell nothing more and move the twins first", known_to=(RSU,), changes=AT_ONCE),
    ] = False
    flush_period: Annotated[
        float,
        Setting(
            "time between two writings of what changed in its twins, of wall time: what a crash loses of telemetry",
            "s",
            0.05,
            60.0,
            (RSU,),
        ),
    ] = 0.5
    twin_kept: Annotated[
        float,
        Setting(
            "time for which it keeps the twin of a UAV that is silent, of wall time in which it runs; then it says so "
            "and drops it",
            "s",
            3600.0,
            1e9,
            (RSU,),
        ),
    ] = 30 * 86_400.0
    highest_efficiency: Annotated[
        float,
        Setting(
            "spectral efficiency of the best link that its radio can have: a UAV's rate is believed up to this times "
            "the bandwidth that it was granted",
            "bit/s/Hz",
            1e-3,
            32,
            (RSU,),
            AT_ONCE,
        ),
    ] = 948 / 1024 * 8  # 256QAM, see radio/link.py
    replica_period: Annotated[
        float, Setting("time between two checkpoints of a twin's replica, of wall time", "s", *WALL_TIME, (RSU,))
    ] = 1.0
    replica_bound: Annotated[
        float, Setting("age from which a replica counts as late, of wall time", "s", *WALL_TIME, (RSU,), AT_ONCE)
    ] = 3.0
    time_scale: Annotated[
        float,
        Setting(
            "simulated seconds in a second: rates granted in simulated time are as much faster", "", 1e-3, 1e3, (RSU,)
        ),
    ] = 1.0


@dataclass(frozen=True)
class UavName:
    """Who a UAV is."""

    uav_id: Annotated[str, Setting("id of this UAV", known_to=(UAV,), pattern=ID, wanted=AN_ID)]


@dataclass(frozen=True)
class Radio:
    """How a UAV knows its links."""

    own_links: Annotated[
        bool,
        Setting(
            "hear their quality on link_quality in its namespace, where nothing else is said; "
            "false: on /radio/link_quality, with all others",
            known_to=(UAV,),
        ),
    ] = False


@dataclass(frozen=True)
class TwinFollowing:
    """How a UAV looks after its twin."""

    twin: Annotated[bool, Setting("have the twin hosted and moved; false: only trade", known_to=(UAV,))] = True
    rehost_after: Annotated[
        float,
        Setting(
            "silence of its twin's host after which the UAV asks another RSU, of wall time; 1.1 twin_lease or more",
            "s",
            *WALL_TIME,
            (UAV,),
        ),
    ] = 10.0
    begin_anew_after: Annotated[
        float,
        Setting(
            "silence of its twin's host after which the UAV gives up a replica that is out of reach, of wall time",
            "s",
            0,
            1e6,
            (UAV,),
        ),
    ] = 60.0
    heartbeat_period: Annotated[
        float,
        Setting(
            "time between two UAV heartbeats to RSUs, of wall time; at most half of twin_lease",
            "s",
            *WALL_TIME,
            (UAV,),
            AT_ONCE,
        ),
    ] = 0.25


NODE_RECORDS = {
    RSU: (
        RsuPlace,
        model.Rsu,
        model.MarketParameters,
        model.TwinParameters,
        RsuOperation,
        Signatures,
        Receipts,
        TwinLease,
        TwinHosting,
    ),
    UAV: (
        UavName,
        model.Uav,
        model.MarketParameters,
        model.TwinParameters,
        Signatures,
        Receipts,
        Radio,
        TwinLease,
        TwinFollowing,
    ),
}
OF_EACH_UAV = (UavName, model.Uav)  # a UAV container has lists of these


def parameters_of(who: str) -> tuple[Setting, ...]:
    """The parameters of an RSU's or a UAV's node: what it may know."""
    return tuple(one for record in NODE_RECORDS[who] for one in settings_of(record) if who in one.known_to)


def own_settings() -> tuple[Setting, ...]:
    """What is each UAV's own."""
    return tuple(one for record in OF_EACH_UAV for one in settings_of(record) if UAV in one.known_to)


def container_parameters() -> tuple[Setting, ...]:
    """The parameters of a UAV container: lists of what is each UAV's own (`twin_sizes`), and what all share."""
    own = {one.name for one in own_settings()}
    return tuple(_list_of(one) if one.name in own else one for one in parameters_of(UAV))


def _list_of(setting: Setting) -> Setting:
    kind: Any = {str: Texts, float: Numbers}[setting.kind]
    return dataclasses.replace(
        setting,
        name=listed(setting.name),
        kind=kind,
        meaning=f"{setting.meaning}, of each UAV" + ("" if setting.required else ", or one for all"),
        default=REQUIRED if setting.required else (setting.default,),
        wanted="",
        least=1,
    )


def listed(name: str) -> str:
    """What a UAV container calls the list of what is each UAV's own: `twin_sizes`, `utilities`."""
    return f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"
