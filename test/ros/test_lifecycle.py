"""Every transition of an RSU from every state: to where the ROS 2 life cycle says, or refused with nothing changed."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

import rclpy
from rclpy._rclpy_pybind11 import RCLError
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from test.ros.conftest import RSU
from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.market.leader import NEVER, Leader
from uav_twin_migration.nodes.rsu import RsuNode
from uav_twin_migration.twin.hosting.store import Store

# where each transition leads, state by state; all others are refused
LEADS = {
    "unconfigured": {"configure": "inactive", "shutdown": "finalized"},
    "inactive": {"activate": "active", "cleanup": "unconfigured", "shutdown": "finalized"},
    "active": {"deactivate": "inactive", "shutdown": "finalized"},
    "finalized": {},
}
WAY = {
    "unconfigured": (),
    "inactive": ("configure",),
    "active": ("configure", "activate"),
    "finalized": ("configure", "activate", "shutdown"),
}
TRANSITIONS = ("configure", "activate", "deactivate", "cleanup", "shutdown")


@pytest.fixture
def rsu(domain: int, tmp_path: Path) -> Iterator[RsuNode]:
    """An RSU that hosts twins and waits to be configured."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    values: dict[str, Any] = {**RSU, "autostart": False, "twin_store": str(tmp_path / "twins.db")}
    node = RsuNode(
        context=context, parameter_overrides=[Parameter(name, value=value) for name, value in values.items()]
    )
    yield node
    node.destroy_node()
    context.try_shutdown()
    gc.collect()  # what is left of it stays in ROS's graph until then


def trigger(node: RsuNode, transition: str) -> object:
    return getattr(node, f"trigger_{transition}")()


def is_refused(node: RsuNode, transition: str) -> bool:
    """Jazzy's rclpy raises where there is no such transition from here, Kilted's returns (its wheels, 2026-11-30)."""
    try:
        return trigger(node, transition) is TransitionCallbackReturn.ERROR
    except RCLError:
        return True


def state(node: RsuNode) -> str:
    return str(node._state_machine.current_state[1])


def sells(node: RsuNode) -> bool:
    return node._leader is not None and node._leader.wake_at < NEVER


def is_open(store: Path) -> bool:
    """Whether somebody has the store open: nobody else can then."""
    try:
        Store(store, "rsu_0").close()
    except UavTwinError:
        return True
    return False


@pytest.mark.parametrize("transition", TRANSITIONS)
@pytest.mark.parametrize("start", LEADS)
def test_every_transition_from_every_state(rsu: RsuNode, tmp_path: Path, start: str, transition: str) -> None:
    for step in WAY[start]:
        trigger(rsu, step)
    wanted = LEADS[start].get(transition)
    if wanted is None:
        assert is_refused(rsu, transition)
    else:
        trigger(rsu, transition)
    assert state(rsu) == (wanted or start)
    assert sells(rsu) == (state(rsu) == "active")
    assert is_open(tmp_path / "twins.db") == (state(rsu) in ("inactive", "active"))


def test_a_transition_that_fails_unexpectedly_leads_back_to_the_beginning(
    rsu: RsuNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trigger(rsu, "configure")

    def broken(leader: Leader) -> None:
        raise RuntimeError("nobody expects this")

    with monkeypatch.context() as patch:
        patch.setattr(Leader, "start", broken)
        trigger(rsu, "activate")
    assert state(rsu) == "unconfigured"
    assert not is_open(tmp_path / "twins.db")
    for step in WAY["active"]:
        trigger(rsu, step)
    assert sells(rsu)
