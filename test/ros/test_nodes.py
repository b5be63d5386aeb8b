"""Nodes doing what they are for: the world flies, links are measured, an RSU follows its lifecycle."""

from __future__ import annotations

import math
from pathlib import Path

from geometry_msgs.msg import Twist
from lifecycle_msgs.msg import Transition
from nav_msgs.msg import Odometry
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import NavSatFix
from uav_twin_migration.msg import LinkQuality

from test.ros.conftest import RSU, Probe, Processes
from uav_twin_migration.deployment import topics
from uav_twin_migration.nodes.ros import convert, qos_profiles
from uav_twin_migration.scenario.load import load
from uav_twin_migration.scenario.snapshot import Snapshot
from uav_twin_migration.vehicle.frames import TangentPlane
from uav_twin_migration.vehicle.motion import states_at


def test_the_world_is_the_clock_and_flies_the_routes(processes: Processes, probe: Probe) -> None:
    heard: list[Odometry] = []
    clocks: list[float] = []
    probe.create_subscription(Odometry, topics.odometry("uav_2"), heard.append, qos_profiles.ODOMETRY)

    def on_clock(message: Clock) -> None:
        clocks.append(convert.seconds(message.clock))

    probe.create_subscription(Clock, topics.CLOCK, on_clock, 10)
    processes.start("world", "", scenario="small", real_time_factor=5.0)
    probe.wait_for(lambda: clocks and clocks[-1] > 8.0 and len(heard) >= 3, "eight simulated seconds, and poses")
    assert clocks == sorted(clocks)
    scenario = load("small")
    index = [uav.id for uav in scenario.uavs].index("uav_2")
    for message in heard[-3:]:
        positions, velocities = states_at(scenario, convert.seconds(message.header.stamp))
        _, position, velocity = convert.motion_from_message(message)
        assert math.dist(position, positions[index]) < 1e-6
        assert math.dist(velocity, velocities[index]) < 1e-6
        assert message.header.frame_id == "map"
        assert message.child_frame_id == "uav_2/base_link"


def test_a_uav_of_the_world_takes_cmd_vel_and_returns_to_its_route(processes: Processes, probe: Probe) -> None:
    heard: list[Odometry] = []
    probe.create_subscription(Odometry, topics.odometry("uav_1"), heard.append, qos_profiles.ODOMETRY)
    command = Twist()
    command.linear.z = 2.0
    publisher = probe.create_publisher(Twist, topics.cmd_vel("uav_1"), 10)
    timer = probe.create_timer(0.05, lambda: publisher.publish(command))
    processes.start("world", "", scenario="small", real_time_factor=2.0)
    start = next(uav.altitude for uav in load("small").uavs if uav.id == "uav_1")

    def height() -> float:
        return float(heard[-1].pose.pose.position.z) if heard else 0.0

    probe.wait_for(lambda: height() > start + 3.0, "a climb")
    command.linear.z = math.nan  # refused; the last good one runs out
    timer.cancel()
    publisher.publish(command)
    probe.wait_for(lambda: height() < start + 1.0, "the return to the route's height")


def test_links_are_those_of_the_radio_model(processes: Processes, probe: Probe) -> None:
    scenario = load("small")
    heard: list[LinkQuality] = []
    probe.create_subscription(LinkQuality, topics.LINK_QUALITY, heard.append, qos_profiles.MEASUREMENT)
    place = Odometry()
    place.pose.pose.position.x, place.pose.pose.position.y, place.pose.pose.position.z = 30.0, -40.0, 100.0
    publisher = probe.create_publisher(Odometry, topics.odometry("uav_2"), qos_profiles.ODOMETRY)
    probe.create_timer(0.1, lambda: publisher.publish(place))
    fixes: list[NavSatFix] = []
    probe.create_subscription(NavSatFix, topics.fix("uav_2"), fixes.append, qos_profiles.ODOMETRY)
    processes.start("link", "", scenario="small", period=0.1)
    probe.wait_for(lambda: heard, "link quality")
    expected = Snapshot(scenario).links([[30.0, -40.0, 100.0]])
    message = heard[-1]
    assert message.uav_ids == ["uav_2"]  # the other has not been heard of
    assert message.rsu_ids == [rsu.id for rsu in scenario.rsus]
    for field, values in (
        (message.spectral_efficiency, expected.efficiency),
        (message.snr, expected.snr),
        (message.distance, expected.distance),
        (message.loss, expected.loss),
    ):
        assert all(math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-6) for a, b in zip(field, values[0], strict=True))
    assert list(message.line_of_sight) == expected.line_of_sight[0].tolist()
    probe.wait_for(lambda: fixes, "a fix")
    place_on_earth = TangentPlane(scenario.origin).to_geodetic((30.0, -40.0, 100.0))
    assert (fixes[0].latitude, fixes[0].longitude, fixes[0].altitude) == place_on_earth
    assert fixes[0].header.frame_id == "uav_2/base_link"


def test_an_rsu_sells_while_it_is_active(processes: Processes, probe: Probe, tmp_path: Path) -> None:
    store = {"twin_store": str(tmp_path / "rsu_0.db")}
    processes.start("rsu", "/rsu/rsu_0", **RSU | store, autostart=False)
    probe.change_state(Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)
    probe.wait_for(lambda: len(probe.offers) >= 2, "offers")
    probe.change_state(Transition.TRANSITION_DEACTIVATE)
    last = probe.offers[-1].round
    probe.change_state(Transition.TRANSITION_ACTIVATE)
    probe.wait_for(lambda: probe.offers[-1].round > last, "offers with higher rounds")
    last = probe.offers[-1].round
    probe.change_state(Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP)
    probe.change_state(Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)
    probe.wait_for(lambda: probe.offers[-1].round > last, "offers after a cleanup")
    rounds = [offer.round for offer in probe.offers]
    assert len(rounds) == len(set(rounds))  # nobody speaks twice
    probe.change_state(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    # the probe has a publisher of its own
    probe.wait_for(lambda: probe.count_publishers(topics.PRICE_OFFERS) == 1, "the end of the RSU's publisher")
