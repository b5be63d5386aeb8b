"""SROS2 policies: what each role may publish, subscribe to, serve and call, and nothing else.

`uavtwin rsu init` writes an RSU's; for the others, `python3 -m uav_twin_migration.deployment.sros2 ROLE ID`. The name
of an enclave is /ROLE/ID; docs/security.md tells how to switch SROS2 on. A test compares this table with what nodes
open.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
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


def policy(role: str, id_: str) -> str:
    """The policy file of one node. Raises InputError for a role or an id that is none."""
    if role not in ROLES:
        raise InputError("sros2", "role", role, f"one of {', '.join(ROLES)}")
    if not is_id(id_):
        raise InputError("sros2", "id", id_, "a ROS name token of at most 64 characters")
    rights = ROLES[role]
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


if __name__ == "__main__":
    print(policy(sys.argv[1], sys.argv[2]), end="")
