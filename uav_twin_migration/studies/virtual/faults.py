"""Carries out a schedule of faults."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from uav_twin_migration.scenario.faults import Fault

if TYPE_CHECKING:
    from uav_twin_migration.studies.virtual.city import City


def carry_out(city: City, faults: Sequence[Fault]) -> None:
    """Have them happen, each at its time."""
    for fault in faults:
        city.events.at(fault.at, partial(_happen, city, fault))


def _happen(city: City, fault: Fault) -> None:
    rsu, network = city.air.rsus[fault.rsu], city.network
    city.listener.city.tell(city.air.clock, "health", f"{fault.rsu}: {fault.kind}, as the schedule says.")
    if fault.kind == "kill" and rsu.process.is_up:
        rsu.kill()
    elif fault.kind == "suspend":
        rsu.stop()
    elif fault.kind == "cut":
        network.cut(filter(None, (fault.rsu, fault.other)))
    elif fault.kind == "slow":
        network.slowness[fault.rsu] = fault.factor
    elif fault.kind == "back":
        network.mend(fault.rsu)
        network.slowness.pop(fault.rsu, None)
        if rsu.process.is_stopped:
            rsu.go_on()
        elif not rsu.process.is_up:
            rsu.start()
