"""How one autopilot speaks MAVLink: its modes' numbers, its streams, the message that says how it knows where it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from uav_twin_migration.vehicle.signals import Control, Firmware, Mode


@dataclass(frozen=True)
class Dialect:
    """What differs in MAVLink from one autopilot to the other."""

    firmware: Firmware
    messages: str  # name of the set of message definitions, of pymavlink.dialects.v20
    modes: Mapping[int, Mode]  # by custom_mode of its heartbeat
    asked: Mapping[Control, tuple[int, ...]]  # parameters of MAV_CMD_DO_SET_MODE, from the second on
    streams: Mapping[type, float]  # Hz, of events that are asked for as streams; others one by one
    estimator: str  # the message whose flags tell whether its position can be trusted
