"""More of what real PX4 is brought into: others who command, clocks, restarts, other drones, the fence."""

from __future__ import annotations

import dataclasses
import time
from unittest import mock

import numpy as np

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.studies.harnesses.px4_cases import LIMITS, Case, NotTriedError, Result, within
from uav_twin_migration.studies.harnesses.px4_flight import UAV, Rig
from uav_twin_migration.vehicle.flight_limits import Fence
from uav_twin_migration.vehicle.phases import ON_EXIT, Phase
from uav_twin_migration.vehicle.signals import Control, SetMode, Setpoint

KEY = bytes(range(32))
ALWAYS_SIGNED = 2  # MAV_SIGN_CFG

# --- two of anything -------------------------------------------------------------------------------------------------


def somebody_else_s_set_points(rig: Rig) -> Result:
    """A second stream of set-points is noticed and said."""
    _, drone = rig.flying()
    other = rig.drone(port=0)  # a port of its own, speaking to the same vehicle

    def disturb(_: float) -> None:
        for _ in range(4):
            other.link.send(Setpoint((0.0, -12.0, 0.0), 0.0))

    drone.beside.append(disturb)
    took = drone.until(lambda: drone.flight.warning != "", 30, "a warning")
    return took, "s", f"after {took:.1f} s: {drone.flight.warning}"


# --- clocks and links ------------------------------------------------------------------------------------------------


def px4_killed_in_the_air(rig: Rig) -> Result:
    """PX4 that dies and starts again is found, and stays down until it is told to fly."""
    px4, drone = rig.flying()
    px4.kill()
    drone.until_phase(Phase.SILENT, 6)
    px4.start()
    took = drone.until_phase(Phase.IDLE, 40)
    drone.run(8)
    if drone.flight.phase is not Phase.IDLE:
        raise UavTwinError(drone.story())
    drone.up()
    return took, "s", f"ready {took:.1f} s after its restart, flew when told"


def px4_stopped_for_2_s(rig: Rig) -> Result:
    """PX4 stopped for 2 s is flown on with."""
    px4, drone = rig.flying()
    px4.pause(True)
    drone.run(2)
    px4.pause(False)
    drone.run(10)
    return 1, "flown on", drone.story()


def a_clock_that_steps(rig: Rig) -> Result:
    """The companion's clock may step by 5 s, forth and back: nothing changes."""
    _, drone = rig.flying()
    for step in (5.0, -5.0):
        with mock.patch("time.time", return_value=time.time() + step):
            drone.run(5)
    if drone.flight.phase is not Phase.FLYING:
        raise UavTwinError(drone.story())
    return 10, "s flown on", "flown on"


def a_second_node(rig: Rig) -> Result:
    """A second node on the same vehicle cannot start, since the port is the vehicle's; over DDS it does not fly."""
    rig.px4()
    first = rig.drone()
    try:
        second = rig.drone()
    except OSError as error:
        return 1, "refused", str(error)
    first.beside.append(lambda _: second.tick())
    second.ready()
    first.run(3)
    return 1, "refused", second.no("fly")


def a_node_that_ends_in_flight(rig: Rig) -> Result:
    """A node that ends tells its drone to return, and one that starts then leaves it alone."""
    return _end_in_flight(rig, "return")


def a_node_that_ends_and_lands(rig: Rig) -> Result:
    """With `on_exit` land the drone lands where it is."""
    return _end_in_flight(rig, "land")


def a_node_that_ends_and_says_nothing(rig: Rig) -> Result:
    """With `on_exit` leave PX4's own failsafe acts, for want of set-points."""
    return _end_in_flight(rig, "leave")


def _end_in_flight(rig: Rig, on_exit: str) -> Result:
    _, drone = rig.flying()
    for command in ON_EXIT[on_exit].commands:
        drone.link.send(command)
    rig.let_go()
    began = time.monotonic()
    again = rig.drone()
    again.until_phase(Phase.TAKEN_OVER)
    asked = again.flight.reason
    while "OFFBOARD" in asked and time.monotonic() < began + 10:  # it may begin to fail only now
        again.step()
        asked = f"found armed in {again.flight.status(time.monotonic())['mode']}"
    if on_exit != "leave":
        again.until_phase(Phase.IDLE, 90)
    return 1, "ended", f"{asked}; then {again.flight.reason}"


def unsigned_commands(rig: Rig) -> Result:
    """With a signing key PX4 follows us, and nobody whose commands are not signed with it."""
    if rig.over_dds:
        raise NotTriedError("signatures are MAVLink's")
    px4 = rig.px4(signing_key=KEY)
    try:
        px4.set("MAV_SIGN_CFG", ALWAYS_SIGNED)
    except UavTwinError:
        raise NotTriedError("this PX4 cannot sign: it is older than 1.18") from None
    drone, sticks, other = rig.drone(signing_key=KEY), rig.sticks(), rig.drone(port=0)
    drone.up()
    for tell in (lambda: sticks.mode(4, 6), lambda: other.link.send(SetMode(Control.LAND))):
        for _ in range(3):
            tell()
            drone.run(1)
    if drone.flight.phase is not Phase.FLYING:
        raise UavTwinError(f"it followed an unsigned command; {drone.story()}")
    drone.fly("land")
    took = drone.until_phase(Phase.IDLE, 60)
    return took, "s", f"unsigned orders to land were ignored; the signed one landed it; {drone.flight.reason}"


def one_waits_for_the_other(rig: Rig) -> Result:
    """Of two drones that fly towards each other one makes way, says so, and both go on."""
    against = dataclasses.replace(UAV, id="ant", route=UAV.route[::-1])
    rig.px4(0)
    rig.px4(1, against)
    bee, ant = rig.drone(0), rig.drone(1, uav=against)
    bee.beside.append(lambda _: ant.tick())
    nearest = [np.inf]

    def look(now: float) -> None:
        if bee.track and ant.track:
            bee.flight.see("ant", ant.position, now)
            ant.flight.see("bee", bee.position, now)
            distance = float(np.linalg.norm(bee.position - ant.position))
            nearest[0] = min(nearest[0], distance)

    bee.beside.append(look)
    ant.ready()
    ant.run(3)
    ant.fly()
    bee.up()
    bee.run(60)
    if not any("waits for" in warning for warning in bee.warnings):
        raise UavTwinError(f"nobody waited; nearest {nearest[0]:.1f} m")
    if nearest[0] < LIMITS.separation / 2:
        raise UavTwinError(f"at the nearest {nearest[0]:.1f} m")
    return nearest[0], "m", f"bee made way for ant; at the nearest {nearest[0]:.1f} m"


# --- hold, fence -----------------------------------------------------------------------------------------------------


def hold(rig: Rig) -> Result:
    """Held for 30 s, it stays where it is."""
    _, drone = rig.flying()
    drone.fly("hold")
    drone.run(6)
    began = time.monotonic()
    drone.run(30)
    aside = drone.aside(began)
    within(aside, 1.0, "m aside in 30 s")
    return aside, "m", f"{aside:.2f} m aside in 30 s"


def out_of_the_fence(rig: Rig) -> Result:
    """A drone that leaves the fence is brought back, and says so."""
    rig.px4()
    drone = rig.drone(fence=Fence((-80.0, -30.0), (0.0, 40.0), 60.0))
    drone.up()
    drone.until_phase(Phase.RETURNING, 40)
    reason = drone.flight.reason
    farthest = max(p[0] for _, p, _ in drone.track)
    drone.until(lambda: drone.flight._vehicle.beat.mode.control is Control.RETURN, 5, "return")  # type: ignore[union-attr]
    drone.run(15)
    if drone.position[0] > farthest:
        raise UavTwinError(f"it is at {drone.position[0]:.0f} m")
    return farthest, "m", f"{reason}; at most {max(p[0] for _, p, _ in drone.track):.0f} m east of a fence at 0 m"


CASES: tuple[Case, ...] = (
    somebody_else_s_set_points,
    px4_killed_in_the_air,
    px4_stopped_for_2_s,
    a_clock_that_steps,
    a_second_node,
    unsigned_commands,
    a_node_that_ends_in_flight,
    a_node_that_ends_and_lands,
    a_node_that_ends_and_says_nothing,
    one_waits_for_the_other,
    hold,
    out_of_the_fence,
)
