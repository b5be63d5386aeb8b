"""SROS2 policies: what each role may publish, subscribe to, serve and call, and nothing else.

`uavtwin rsu init` writes an RSU's; for others, `python3 -m uav_twin_migration.deployment.sros2 ROLE ID [REGION ...]`.
The name of an enclave is /ROLE/ID; docs/security.md tells how to switch SROS2 on. A test compares this table with what
nodes open.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from xml.sax.saxutils import escape

from uav_twin_migration.deployment import topics
from uav_twin_migration.errors import InputError
from uav_twin_migration.market.messages import is_id

# What every rclpy node has of its own; {node} is its full name.
OWN_PUBLISH = ("/parameter_events", "/rosout")
OWN_SERVICES = tuple(
    f"{{node}}/{name}"
    for name in (
        *("describe_parameters", "get_parameter_types", "get_parameters", "get_type_description", "list_parameters"),
        *("set_parameters", "set_parameters_atomically"),
    )
)
LIFECYCLE_SERVICES = tuple(
    f"{{node}}/{name}"
    for name in (
        *("change_state", "get_available_states", "get_available_transitions", "get_state", "get_transition_graph"),
    )
)


@dataclass(frozen=True)
class Role:
    """The rights of one kind of node. {id} is its own id, {node} its node's full name, * any RSU's or UAV's id."""

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    reply: tuple[str, ...] = ()  # services that it serves
    execute: tuple[str, ...] = ()  # actions that it serves
    call: tuple[str, ...] = ()  # actions that it calls
    namespaced: bool = True  # whether its node lives in /<role>/<id>


ROLES: dict[str, Role] = {
    "rsu": Role(
        publish=(
            *(topics.PRICE_OFFERS, topics.BANDWIDTH_GRANTS, topics.INTERACTIONS, topics.DIAGNOSTICS),
            *(
                topics.TWIN_HOSTS,
                topics.MIGRATIONS,
                topics.TWIN_HOST_HEARTBEATS,
                topics.TWIN_REPLIES,
                topics.TWIN_STATES,
            ),
            "{node}/transition_event",
        ),
        subscribe=(
            *(topics.PRICE_OFFERS, topics.BANDWIDTH_DEMANDS, topics.POLICY_UPDATES),
            *(topics.TWIN_UAV_HEARTBEATS, topics.TWIN_HOST_HEARTBEATS, topics.TWIN_HOSTS, topics.TWIN_REQUESTS),
        ),
        reply=LIFECYCLE_SERVICES,
        execute=(topics.migrate_twin("{id}"),),
    ),
    "uav": Role(
        publish=(
            *(topics.BANDWIDTH_DEMANDS, topics.HOSTING_DECISIONS, topics.DIAGNOSTICS),
            *(topics.TWIN_UAV_HEARTBEATS, topics.TWIN_REQUESTS),
        ),
        subscribe=(
            *(topics.PRICE_OFFERS, topics.BANDWIDTH_GRANTS, topics.LINK_QUALITY, topics.odometry("{id}")),
            *(topics.TWIN_HOSTS, topics.TWIN_HOST_HEARTBEATS, topics.TWIN_REPLIES),
        ),
        call=(topics.migrate_twin("*"),),
    ),
    "learner": Role(
        publish=(topics.POLICY_UPDATES, topics.DIAGNOSTICS),
        subscribe=(topics.INTERACTIONS, topics.POLICY_UPDATES),
        namespaced=False,
    ),
    "recorder": Role(subscribe=("*",), namespaced=False),
}


def policy(role: str, id_: str, regions: Sequence[str] = ("",)) -> str:
    """The policy file of one node. Raises InputError for a role or an id that is none.

    regions: an RSU's own, and then those whose prices it hears; all that a UAV may come to.
    """
    if role not in ROLES:
        raise InputError("sros2", "role", role, f"one of {', '.join(ROLES)}")
    if not is_id(id_):
        raise InputError("sros2", "id", id_, "a ROS name token of at most 64 characters")
    rights = in_regions(ROLES[role], regions, is_rsu=role == "rsu")
    namespace = f"/{role}/{id_}" if rights.namespaced else ""
    node = f"{namespace}/{role}"
    blocks = (
        ("topics", "topic", "publish", (*OWN_PUBLISH, *rights.publish)),
        ("topics", "topic", "subscribe", rights.subscribe),
        ("services", "service", "reply", (*OWN_SERVICES, *rights.reply)),
        ("actions", "action", "execute", rights.execute),
        ("actions", "action", "call", rights.call),
    )
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<policy version="0.2.0">',
        "  <enclaves>",
        f'    <enclave path="/{role}/{id_}">',
        "      <profiles>",
        f'        <profile ns="{namespace or "/"}" node="{role}">',
    ]
    for tag, entry, right, names in blocks:
        if names:
            filled = sorted(escape(name.format(id=id_, node=node)) for name in names)
            lines.append(f'          <{tag} {right}="ALLOW">')
            lines += [f"            <{entry}>{name}</{entry}>" for name in filled]
            lines.append(f"          </{tag}>")
    closing = ("        </profile>", "      </profiles>", "    </enclave>", "  </enclaves>", "</policy>")
    return "\n".join((*lines, *closing, ""))


def in_regions(rights: Role, regions: Sequence[str], is_rsu: bool) -> Role:
    """The same rights, on the topics of regions. An RSU is in the first, and hears the prices of the others."""
    own = regions[:1] if is_rsu else regions
    publish, subscribe = (
        tuple(dict.fromkeys(topics.in_region(region, topic) for topic in named for region in own))
        for named in (rights.publish, rights.subscribe)
    )
    if is_rsu:
        subscribe += tuple(topics.in_region(region, topics.PRICE_OFFERS) for region in regions[1:])
    return replace(rights, publish=publish, subscribe=subscribe)


if __name__ == "__main__":
    print(policy(sys.argv[1], sys.argv[2], sys.argv[3:] or ("",)), end="")
