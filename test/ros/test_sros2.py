"""The SROS2 policy files give each role exactly what its node opens."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from rclpy.action import get_action_client_names_and_types_by_node, get_action_server_names_and_types_by_node

from test.ros.conftest import RSU, UAV, Probe, Processes
from uav_twin_migration.deployment.sros2 import ROLES, policy

TAGS = {
    ("topics", "publish"): "publish",
    ("topics", "subscribe"): "subscribe",
    ("services", "reply"): "reply",
    ("services", "request"): "request",
    ("actions", "execute"): "execute",
    ("actions", "call"): "call",
}


def granted(role: str, id_: str, others: tuple[str, ...] = (), regions: tuple[str, ...] = ("",)) -> dict[str, set[str]]:
    """What a policy file allows, by kind; wildcards for RSUs replaced by these."""
    names: dict[str, set[str]] = {kind: set() for kind in TAGS.values()}
    root = ElementTree.fromstring(policy(role, id_, regions))
    (profile,) = root.iter("profile")
    assert root.find("enclaves/enclave").attrib["path"] == f"/{role}/{id_}"  # type: ignore[union-attr]
    for (tag, right), kind in TAGS.items():
        for block in profile.iter(tag):
            if block.attrib.get(right) == "ALLOW":
                for entry in block:
                    text = str(entry.text)
                    names[kind] |= {text.replace("*", other) for other in others} if others else {text}
    return names


def opened(probe: Probe, name: str, namespace: str) -> dict[str, set[str]]:
    """What a node has really opened, by kind."""

    def names(found: list[Any]) -> set[str]:
        return {name for name, _ in found}

    def plain(found: set[str]) -> set[str]:
        return {name for name in found if "/_action/" not in name}

    return {
        "publish": plain(names(probe.get_publisher_names_and_types_by_node(name, namespace))),
        "subscribe": plain(names(probe.get_subscriber_names_and_types_by_node(name, namespace))),
        "reply": plain(names(probe.get_service_names_and_types_by_node(name, namespace))),
        "request": plain(names(probe.get_client_names_and_types_by_node(name, namespace))),
        "execute": names(get_action_server_names_and_types_by_node(probe, name, namespace)),
        "call": names(get_action_client_names_and_types_by_node(probe, name, namespace)),
    }


def test_an_rsu_and_a_uav_open_what_their_policies_grant_and_no_more(
    processes: Processes, probe: Probe, tmp_path: Path
) -> None:
    probe.fly()
    processes.start("rsu", "/rsu/rsu_0", **RSU, twin_store=str(tmp_path / "rsu_0.db"))
    processes.start("uav", "/uav/uav_0", **UAV)
    near = {"rsu_id": "rsu_1", "region": "north", "rival_regions": ["south"]}
    processes.start("rsu", "/rsu/rsu_1", **RSU | near, twin_store=str(tmp_path / "rsu_1.db"))
    for role, id_, regions in (
        ("rsu", "rsu_0", ("",)),
        ("uav", "uav_0", ("",)),
        ("rsu", "rsu_1", ("north", "south")),
    ):
        wanted = granted(role, id_, others=("rsu_0",), regions=regions)

        def complete(role: str = role, id_: str = id_, wanted: dict[str, set[str]] = wanted) -> bool:
            nodes = {node for node, namespace in probe.get_node_names_and_namespaces() if namespace == f"/{role}/{id_}"}
            return role in nodes and opened(probe, role, f"/{role}/{id_}") == wanted

        try:
            probe.wait_for(complete, "exactly what the policy grants")
        except AssertionError:
            assert opened(probe, role, f"/{role}/{id_}") == wanted
            raise


@pytest.mark.parametrize("role", ["learner", "recorder"])
def test_a_learner_and_a_recorder_open_no_more(role: str, processes: Processes, probe: Probe, tmp_path: Path) -> None:
    pytest.importorskip({"learner": "torch", "recorder": "mcap"}[role])
    processes.start(role, "", **({"directory": str(tmp_path / "bag")} if role == "recorder" else {}))
    wanted = granted(role, "one")

    def complete() -> bool:
        if role not in probe.get_node_names():
            return False
        found = opened(probe, role, "/")
        if role == "recorder":
            found["subscribe"] = {"*"} if found["subscribe"] else set()  # it follows whatever there is
        return found == wanted

    probe.wait_for(complete, "exactly what the policy grants")


@pytest.mark.parametrize("role", ROLES)
def test_no_role_may_speak_for_another(role: str) -> None:
    names = granted(role, "one")
    market = {"/market/price_offers", "/market/bandwidth_grants"}
    assert bool(names["publish"] & market) == (role == "rsu")
    assert ("/market/bandwidth_demands" in names["publish"]) == (role == "uav")
    assert ("/market/policy_updates" in names["publish"]) == (role == "learner")
    assert bool({"/market/interactions", "*"} & names["subscribe"]) == (role in ("learner", "recorder"))
