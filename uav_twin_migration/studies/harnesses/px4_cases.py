"""What real PX4 is brought into, and what is promised for each case: the first line of its docstring.

A case returns what was measured, its unit, and what was seen in words. It raises UavTwinError where the promise is not
kept.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import numpy as np

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.scenario.model import Origin
from uav_twin_migration.studies.harnesses.px4_flight import ORIGIN, UAV, Rig, is_setpoint
from uav_twin_migration.vehicle.flight_limits import Fence, FlightLimits
from uav_twin_migration.vehicle.phases import Phase
from uav_twin_migration.vehicle.signals import Control, SetMode, Setpoint

READY_WITHIN = 2.0  # s
UP_FIRST_WITHIN = 2.0  # m aside, until it is at its safe height
LIMITS = FlightLimits()

Result = tuple[float, str, str]  # what was measured, its unit, and in words
Case = Callable[[Rig], Result]


def _within(value: float, limit: float, what: str) -> None:
    if not value <= limit:
        raise UavTwinError(f"{what}: {value:.2f}, beyond {limit:g}")


# --- ready -----------------------------------------------------------------------------------------------------------


def a_late_start(rig: Rig) -> Result:
    """A node that starts 10 s after PX4 knows where the drone is within 2 s."""
    rig.px4()
    time.sleep(10)
    took = rig.drone().ready()
    _within(took, READY_WITHIN, "ready after s")
    return took, "s", f"after {took:.2f} s"


def the_first_seconds_lost(rig: Rig) -> Result:
    """With all that PX4 says in the first 5 s lost, it is ready within 2 s of hearing it."""
    rig.px4()
    drone = rig.drone()
    time.sleep(4)
    drone.deaf = True
    drone.run(5)
    drone.deaf = False
    took = drone.ready()
    _within(took, READY_WITHIN, "ready after s")
    return took, "s", f"after {took:.2f} s"


def a_restarted_node(rig: Rig) -> Result:
    """A node that starts anew finds its vehicle again within 2 s."""
    rig.px4()
    first = rig.drone()
    first.ready()
    first.close()
    took = rig.drone().ready()
    _within(took, READY_WITHIN, "ready after s")
    return took, "s", f"after {took:.2f} s"


def instance_12(rig: Rig) -> Result:
    """Instance 12, whose port all above 9 share, is ready within 2 s, and again after a restart of the node."""
    rig.px4(12)
    time.sleep(6)
    took = rig.drone(12).ready()
    rig.let_go()
    again = rig.drone(12).ready()
    _within(max(took, again), READY_WITHIN, "ready after s")
    return again, "s", f"after {took:.2f} s, and {again:.2f} s"


# --- take-off --------------------------------------------------------------------------------------------------------


def up_first(rig: Rig) -> Result:
    """It climbs straight up to the safe height before it goes anywhere."""
    rig.px4()
    drone = rig.drone()
    drone.up()
    start = drone.track[0][1]
    low = [p for _, p, _ in drone.track if p[2] < LIMITS.safe_height - 1]
    aside = max(float(np.hypot(*(p[:2] - start[:2]))) for p in low)
    _within(aside, UP_FIRST_WITHIN, "m aside on the way up")
    return aside, "m", f"{aside:.1f} m aside on the way up"


def up_first_again_after_a_landing(rig: Rig) -> Result:
    """After a landing on the way it goes straight up again."""
    _, drone = rig.flying()
    drone.fly("land")
    drone.until_phase(Phase.IDLE, 60)
    start = drone.position
    began = time.monotonic()
    drone.up()
    low = [p for at, p, _ in drone.track if at > began and p[2] < LIMITS.safe_height - 1]
    aside = max(float(np.hypot(*(p[:2] - start[:2]))) for p in low)
    _within(aside, UP_FIRST_WITHIN, "m aside on the way up")
    return (
        aside,
        "m",
        f"{aside:.1f} m aside on the way up, {np.hypot(*start[:2] - UAV.route[0]):.0f} m from its first waypoint",
    )


def a_wrong_origin(rig: Rig) -> Result:
    """A scenario that lies elsewhere than the drone is refused, and why."""
    rig.px4()
    drone = rig.drone(origin=Origin(ORIGIN.latitude + 0.05, ORIGIN.longitude, ORIGIN.altitude))
    drone.ready()
    drone.run(3)
    why = drone.no("fly")
    if "origin" not in why:
        raise UavTwinError(why)
    return 1, "refused", why


def a_low_battery(rig: Rig) -> Result:
    """A battery below its limit is refused, and why."""
    rig.px4()
    drone = rig.drone(limits=FlightLimits(least_battery=0.95))
    drone.up()
    drone.run(20)
    drone.fly("hold")
    why = drone.no("fly")
    if "least_battery" not in why:
        raise UavTwinError(why)
    return 1, "refused", why


def no_position(rig: Rig) -> Result:
    """Without GPS an order to fly is refused, and why."""
    px4, drone = rig.px4(), rig.drone()
    drone.ready()
    px4.set("SIM_GPS_USED", 0)
    drone.until(lambda: not drone.knows(), 60, "no odometry")
    why = drone.no("fly")
    return 1, "refused", why


def limits_of_steering(rig: Rig) -> Result:
    """Steered by cmd_vel as hard as can be, acceleration, climb and floor hold."""
    _, drone = rig.flying()
    began = time.monotonic()
    wanted = [(40.0, 0.0, 30.0), (-40.0, 0.0, -30.0), (0.0, 40.0, -30.0), (0.0, 0.0, -30.0)]
    drone.beside.append(lambda now: drone.flight.steer(wanted[min(int((now - began) / 5), 3)], now + 0.5))
    drone.run(25)
    heights = [p[2] for at, p, _ in drone.track if at > began]
    climbs = [abs(v[2]) for at, _, v in drone.track if at > began]
    if min(heights) < LIMITS.floor - 1:
        raise UavTwinError(f"sank to {min(heights):.1f} m")
    _within(max(climbs), LIMITS.climb + 0.5, "m/s up or down")
    return min(heights), "m", f"never below {min(heights):.1f} m; at most {max(climbs):.1f} m/s up or down"


# --- orders ----------------------------------------------------------------------------------------------------------


def never_for_an_old_order(rig: Rig) -> Result:
    """An order that could not be followed within 2 s does not arm later."""
    px4, drone = rig.px4(), rig.drone()
    drone.ready()
    drone.run(3)
    drone.flight.fly(time.monotonic())
    px4.pause(True)
    drone.run(5)
    px4.pause(False)
    drone.run(12)
    armed = any(phase in (Phase.CLIMBING, Phase.FLYING) for _, phase, _ in drone.phases)
    if armed:
        raise UavTwinError(drone.story())
    return 1, "stayed down", drone.story()


def land_in_a_failsafe(rig: Rig) -> Result:
    """In a failsafe `land` is asked for once, and lands it."""
    _, drone = rig.flying()
    drone.mangle = lambda command: None if is_setpoint(command) else command
    took = drone.until_phase(Phase.TAKEN_OVER, 10)
    why = drone.flight.reason
    drone.mangle = lambda command: command
    drone.fly("land")
    drone.until_phase(Phase.IDLE, 60)
    return took, "s", f"noticed after {took:.1f} s: {why}; then {drone.flight.reason}"


def a_pilot_is_not_overruled(rig: Rig) -> Result:
    """A pilot who takes over by mode is left alone; every order is answered no."""
    px4 = rig.px4()
    px4.set("COM_RC_IN_MODE", 1)
    drone, sticks = rig.drone(), rig.sticks()
    drone.beside.append(sticks.step)
    drone.up()
    drone.run(5)
    sticks.mode(3)
    took = drone.until_phase(Phase.TAKEN_OVER, 10)
    answers = [drone.no(order) for order in ("fly", "land", "return_home", "takeoff", "hold")]
    drone.run(5)
    mode = drone.flight.status(time.monotonic())["mode"]
    if mode != "POSCTL":
        raise UavTwinError(f"it is in {mode}; {drone.story()}")
    return took, "s", f"noticed after {took:.1f} s; {answers[1]}"


def sticks_take_over(rig: Rig) -> Result:
    """A pilot who takes over by moving the sticks is left alone."""
    px4 = rig.px4()
    px4.set("COM_RC_IN_MODE", 1)
    px4.set("COM_RC_OVERRIDE", 3)
    drone, sticks = rig.drone(), rig.sticks()
    drone.beside.append(sticks.step)
    drone.up()
    drone.run(5)
    sticks.moved = True
    took = drone.until_phase(Phase.TAKEN_OVER, 10)
    drone.run(3)
    return took, "s", f"noticed after {took:.1f} s; {drone.story()}; land: {drone.no('land')}"


# --- truth -----------------------------------------------------------------------------------------------------------


def lost_gps(rig: Rig) -> Result:
    """When GPS is lost in flight, odometry stops."""
    px4, drone = rig.flying()
    px4.set("SIM_GPS_USED", 0)
    took = drone.until(lambda: not drone.knows(), 60, "no odometry")
    drone.run(2)
    said = drone.flight.status(time.monotonic())
    return took, "s", f"after {took:.1f} s: {said['missing']}; {said['phase']}; PX4 says: {said['autopilot_says']}"


def a_ground_station_is_no_foreign_vehicle(rig: Rig) -> Result:
    """A ground station beside it is not counted as another vehicle."""
    rig.px4()
    drone, sticks = rig.drone(), rig.sticks()
    drone.beside.append(sticks.step)
    drone.up()
    drone.run(5)
    foreign = drone.link.refused.get("other system", 0)
    if foreign or any(drone.warnings - {""}):
        raise UavTwinError(f"{drone.link.refused}, {drone.warnings}")
    return foreign, "messages", "none"


# --- two of anything -------------------------------------------------------------------------------------------------


def somebody_else_s_set_points(rig: Rig) -> Result:
    """A second stream of set-points is noticed and said."""
    _, drone = rig.flying()
    other = rig.drone(port=0)  # a port of its own, speaking to the same vehicle

    def disturb(_: float) -> None:
        for _ in range(4):
            other.link.send(Setpoint((0.0, -12.0, 0.0), 0.0))

    drone.beside.append(disturb)
    took = drone.until(lambda: "somebody else" in drone.flight.warning, 30, "a warning")
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
    true = time.time
    try:
        for step in (5.0, -5.0):
            time.time = lambda step=step: true() + step  # type: ignore[assignment]
            drone.run(5)
    finally:
        time.time = true
    if drone.flight.phase is not Phase.FLYING:
        raise UavTwinError(drone.story())
    return 10, "s flown on", "flown on"


def a_second_node(rig: Rig) -> Result:
    """A second node on the same vehicle cannot even start: the port is the vehicle's."""
    rig.px4()
    rig.drone()
    try:
        rig.drone()
    except OSError as error:
        return 1, "refused", str(error)
    raise UavTwinError("it started")


def a_node_that_ends_in_flight(rig: Rig) -> Result:
    """A node that ends tells its drone to return, and one that starts then leaves it alone."""
    _, drone = rig.flying()
    drone.link.send(SetMode(Control.RETURN))
    rig.let_go()
    again = rig.drone()
    again.until_phase(Phase.TAKEN_OVER)
    asked = again.flight.reason
    again.until_phase(Phase.IDLE, 90)
    return 1, "returned", f"{asked}; then {again.flight.reason}"


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
    _within(aside, 1.0, "m aside in 30 s")
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
    a_late_start,
    the_first_seconds_lost,
    a_restarted_node,
    instance_12,
    up_first,
    up_first_again_after_a_landing,
    a_wrong_origin,
    a_low_battery,
    no_position,
    limits_of_steering,
    never_for_an_old_order,
    land_in_a_failsafe,
    a_pilot_is_not_overruled,
    sticks_take_over,
    lost_gps,
    a_ground_station_is_no_foreign_vehicle,
    somebody_else_s_set_points,
    px4_killed_in_the_air,
    px4_stopped_for_2_s,
    a_clock_that_steps,
    a_second_node,
    a_node_that_ends_in_flight,
    one_waits_for_the_other,
    hold,
    out_of_the_fence,
)
