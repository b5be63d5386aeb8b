"""Parameters of running nodes: some change with the next round and stay so, the others are refused with a reason."""

from __future__ import annotations

from typing import Any

from lifecycle_msgs.msg import Transition
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParameters
from rclpy.parameter import Parameter

from test.ros.conftest import RSU, UAV, Probe, Processes

NODE = "/rsu/rsu_0/rsu"


def put(probe: Probe, node: str, name: str, value: Any) -> str:
    """Why a parameter was not set; empty where it was."""
    request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
    (result,) = probe.call(SetParameters, f"{node}/set_parameters", request).results
    assert result.successful or result.reason
    return "" if result.successful else str(result.reason)


def test_what_an_rsu_sells_changes_with_its_next_round_and_is_kept(processes: Processes, probe: Probe) -> None:
    processes.start("rsu", "/rsu/rsu_0", **RSU, policy="none")
    probe.wait_for(lambda: probe.offers, "an offer")
    probe.answer_every_offer(uav_1=50.0, other_1=50.0)
    changes = {"capacity": 4.0, "unit_cost": 30.0, "price_cap": 40.0, "admitted_uavs": ["other_*"]}
    assert "price_cap" in put(probe, NODE, "unit_cost", 30.0)  # above the price cap of 20
    for name in ("price_cap", "unit_cost", "capacity", "admitted_uavs"):
        assert put(probe, NODE, name, changes[name]) == ""
    probe.wait_for(lambda: probe.offers[-1].price >= 30.0, "a price of the new cost")
    probe.wait_for(lambda: any("other_1" in got for got in probe.shares()), "a grant to whom is admitted now")
    start = len(probe.grants)

    def new() -> list[float]:
        """What was granted in rounds with the new capacity."""
        rounds = {told.round for told in probe.interactions if told.capacity == 4.0}
        return [sum(grant.bandwidth) for grant in probe.grants[start:] if grant.round in rounds]

    probe.wait_for(lambda: any(new()), "a round with the new capacity")
    assert probe.interactions[-1].unit_cost == 30.0
    assert max(new()) <= 4.0

    probe.change_state(Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP)
    heard = len(probe.offers)
    probe.change_state(Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)
    probe.wait_for(lambda: len(probe.offers) > heard, "an offer of the next life")
    assert probe.offers[-1].price >= 30.0
    values = probe.call(GetParameters, f"{NODE}/get_parameters", GetParameters.Request(names=["capacity"])).values
    assert values[0].double_value == 4.0


def test_everything_else_is_refused_with_the_reason(processes: Processes, probe: Probe) -> None:
    processes.start("rsu", "/rsu/rsu_0", **RSU)
    processes.start("uav", "/uav/uav_0", **UAV)
    for name, value, reason in (
        ("capacity", -1.0, "out of range"),
        ("capacity", 1e9, "out of range"),
        ("offer_window", 0.5, "less than the round_period 0.5"),
        ("rho", 0.5, "must agree"),
        ("rsu_id", "rsu_9", "when the node starts"),
        ("position", [1.0, 2.0, 3.0], "when the node starts"),
    ):
        assert reason in put(probe, NODE, name, value)
    assert "must agree" in put(probe, "/uav/uav_0/uav", "twin_lease", 9.0)
    assert "at most 0.5 times" in put(probe, "/uav/uav_0/uav", "heartbeat_period", 2.0)
    assert put(probe, "/uav/uav_0/uav", "heartbeat_period", 0.5) == ""
    request = DescribeParameters.Request(names=["capacity", "rho"])
    capacity, rho = probe.call(DescribeParameters, f"{NODE}/describe_parameters", request).descriptors
    assert not capacity.read_only
    assert rho.read_only
    assert capacity.floating_point_range[0].to_value == 1e6
    assert "MHz" in capacity.description
