"""What to do about what is refused, by the reasons of `/diagnostics`: the second half of a line in the log."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uav_twin_migration.scenario.model import Scenario

EXAMINE = "examine its sender: it is broken, of another version, or means harm"
SLOW = "now and then this is harmless; often, its sender's network or CPU is too slow for the offer_window"
TOO_SLOW = (
    "the machine is too slow, or too busy: lower --real-time-factor, take --compose composed or uav_container, "
    "fewer UAVs, or a longer round_period and offer_window"
)

HINTS: Mapping[str, str] = MappingProxyType(
    {
        "bad_id": EXAMINE,
        "twin_bad_epoch": "somebody says epochs of the far future, or this machine's clock is decades off",
        "unexpected": "no reader expected it: please report it, with the line that the log has of it",
        "twin_unexpected_error": "no reader expected it: please report it",
        "twin_unresolved": "the other RSU's address is a name that nobody answers for: give it twin_advertise",
        "twin_duplicate_id": "another process runs as this RSU, on a copy of its store: stop one of them; "
        "or somebody without keys says so, which market_key prevents",
        "unknown_uav": "add it to admitted_uavs, or find out who sends there",
        "not_finite": EXAMINE,
        "negative": EXAMINE,
        "absurd": EXAMINE,
        "length_mismatch": EXAMINE,
        "past_round": SLOW,
        "overdue": SLOW,
        "future_round": EXAMINE,
        "replayed": "two senders use one id, or somebody sends again what he has recorded",
        "flooding": EXAMINE,
        "crowded": "more take part than one node serves: divide the region",
        "duplicate_id": "another RSU uses this id: find it, and end one of the two",
        "unasked": "the RSU is broken, or somebody speaks in its name: have the market signed (market_key)",
        "overcharged": "the RSU is broken, or somebody speaks in its name: have the market signed (market_key)",
        "oversold": "the RSU that granted it sold more than it had: examine it",
        "stale": "a UAV hands over old grants: it is broken, or the clocks of two regions' RSUs disagree",
        "twin_unproven_rate": "now and then this is harmless; often, a UAV claims more than it was granted",
        "unsigned": "give the RSU or UAV its signing key (uavtwin keys), unless somebody speaks in its name",
        "forged": "somebody speaks in its name, or its signature is another authority's",
        "expired": "uavtwin keys KEYS --rsus ID --renew, and copy its signing key",
        "revoked": "somebody uses a stolen key; its rightful owner needs a new one (uavtwin keys)",
        "twin_store_failed": "examine the disk: uavtwin doctor, uavtwin twins",
        "twin_unreachable": "the other RSU or its network is down, or its TCP port is closed",
        "twin_unknown_peer": "the other RSU has not been heard: is it running, in this ROS domain?",
        "twin_tls": "the other side's certificate is of another authority or has run out, or it is no RSU",
        "twin_accept_failed": "too few file descriptors: raise LimitNOFILE",
        "twin_too_many_links": "more RSUs connect than one serves, or somebody means harm",
        "twin_too_many_unauthenticated": "somebody connects who shows no certificate: close the TCP port to him",
    }
)
OTHERWISE = "docs/market.md and docs/migration.md tell the reasons; uavtwin doctor examines this host"


def hint(reason: str) -> str:
    """What to do."""
    return HINTS.get(reason, OTHERWISE)


def about_to_run(scenario: Scenario, processes: int, seed: int) -> str:
    """What a simulation is that starts."""
    size = f"{len(scenario.rsus)} RSUs, {len(scenario.uavs)} UAVs, {processes} process{'es' * (processes != 1)}"
    return f"scenario {scenario.name}: {size}, seed {seed}"
