"""What real PX4 is brought into, and what is promised for each case: the first line of its docstring.

A case returns what was measured, its unit, and what was seen in words. It raises UavTwinError where the promise is not
kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.scenario.model import Origin
from uav_twin_migration.studies.harnesses.px4_flight import ORIGIN, UAV, Rig, is_setpoint
from uav_twin_migration.vehicle.flight_limits import FlightLimits
from uav_twin_migration.vehicle.phases import Phase

READY_WITHIN = 2.0  # s
UP_FIRST_WITHIN = 2.0  # m aside, until it is at its safe height
LIMITS = FlightLimits()

Result = tuple[float, str, str]  # what was measured, its unit, and in words
Case = Callable[[Rig], Result]


class NotTriedError(UavTwinError):
    """A case that this PX4, or this link, does not know; why."""


def within(value: float, limit: float, what: str) -> None:
    """Raises UavTwinError where a value is beyond a limit."""
    if not value <= limit:
        raise UavTwinError(f"{what}: {value:.2f}, beyond {limit:g}")


# --- ready -----------------------------------------------------------------------------------------------------------


def a_late_start(rig: Rig) -> Result:
    """A node that starts 10 s after PX4 knows where the drone is within 2 s."""
    rig.px4()
    time.sleep(10)
    took = rig.drone().ready()
    within(took, READY_WITHIN, "ready after s")
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
    within(took, READY_WITHIN, "ready after s")
    return took, "s", f"after {took:.2f} s"


def a_restarted_node(rig: Rig) -> Result:
    """A node that starts anew finds its vehicle again within 2 s."""
    rig.px4()
    first = rig.drone()
    first.ready()
    first.close()
    took = rig.drone().ready()
    within(took, READY_WITHIN, "ready after s")
    return took, "s", f"after {took:.2f} s"


def instance_12(rig: Rig) -> Result:
    """Instance 12, whose port all above 9 share, is ready within 2 s, and again after a restart of the node."""
    rig.px4(12)
    time.sleep(6)
    took = rig.drone(12).ready()
    rig.let_go()
    again = rig.drone(12).ready()
    within(max(took, again), READY_WITHIN, "ready after s")
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
    within(aside, UP_FIRST_WITHIN, "m aside on the way up")
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
    within(aside, UP_FIRST_WITHIN, "m aside on the way up")
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
    """Steered by cmd_vel as hard as can be, it keeps the climb limit and stays above the floor."""
    _, drone = rig.flying()
    began = time.monotonic()
    wanted = [(40.0, 0.0, 30.0), (-40.0, 0.0, -30.0), (0.0, 40.0, -30.0), (0.0, 0.0, -30.0)]
    drone.beside.append(lambda now: drone.flight.steer(wanted[min(int((now - began) / 5), 3)], now + 0.5))
    drone.run(25)
    heights = [p[2] for at, p, _ in drone.track if at > began]
    climbs = [abs(v[2]) for at, _, v in drone.track if at > began]
    if min(heights) < LIMITS.floor - 1:
        raise UavTwinError(f"sank to {min(heights):.1f} m")
    within(max(climbs), LIMITS.climb + 0.5, "m/s up or down")
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
)
