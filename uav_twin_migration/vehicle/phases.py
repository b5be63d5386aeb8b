"""Where in a flight a drone is, and how an order is answered."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from uav_twin_migration.vehicle.signals import Control, SetMode


class Phase(Enum):
    """Where in a flight we are; the value is a word for people."""

    SILENT = "silent"  # no heartbeat
    NOT_READY = "not ready"  # heartbeats, but no position yet: no GPS, or the estimator still converges
    IDLE = "idle"  # ready, on the ground or hovering by itself; nobody asked us to fly
    STARTING = "starting"  # set-points stream; OFFBOARD and arming are asked for
    CLIMBING = "climbing"  # straight up to the safe height
    FLYING = "flying"  # the vehicle follows our set-points
    LANDING = "landing"  # the autopilot lands it, as we asked
    RETURNING = "returning"  # the autopilot brings it back, as we asked
    TAKEN_OVER = "taken over"  # someone else commands: a failsafe, a pilot, a ground station
    REFUSED = "refused"  # OFFBOARD or arming was refused too often


STEERED = (Phase.CLIMBING, Phase.FLYING)
COMMANDING = (Phase.STARTING, *STEERED)
LEFT_TO = {Phase.LANDING: Control.LAND, Phase.RETURNING: Control.RETURN}  # whose flying is the autopilot's, as we asked


class Exit(NamedTuple):
    """What a drone under our command is told when we end."""

    said: str
    commands: tuple[SetMode, ...]


ON_EXIT = {
    "return": Exit("told to return", (SetMode(Control.RETURN),)),
    "land": Exit("told to land here", (SetMode(Control.LAND),)),
    "leave": Exit("left to its own failsafe", ()),  # PX4 turns for home, or what else it is set to, after a second
}


class Answer(NamedTuple):
    """Whether an order is carried out, and what happens or why not."""

    ok: bool
    message: str


def outcome(order: str, phase: Phase, pending: bool) -> bool | None:
    """Whether an order (takeoff, fly, land or return) is done; None where it is under way, False where it will not be.

    `pending`: whether the order has yet to begin.
    """
    if order in ("takeoff", "fly"):
        if phase is Phase.FLYING:
            return True
        return None if pending or phase in COMMANDING else False
    wanted = Phase.LANDING if order == "land" else Phase.RETURNING
    if phase is wanted:
        return None
    return phase is Phase.IDLE
