"""The log of a flight, over the scripted PX4, and what the summary says of it."""

from __future__ import annotations

import pytest

from test.vehicle.harness import UAV, Flight
from test.vehicle.scripted import RETURN
from uav_twin_migration.monitor.flights import Flights
from uav_twin_migration.vehicle.phases import Phase
from uav_twin_migration.vehicle.signals import StatusText


def figures(flight: Flight) -> dict[str, float | str]:
    flights = Flights()
    status = flight.autopilot.status(flight.now)
    flights.on_diagnostics(f"px4/{UAV.id}", {key: str(value) for key, value in status.items()})
    flights.on_diagnostics("px4/other", {"flown_m": "nonsense"})
    flights.on_diagnostics("rsu/rsu_1", {"flown_m": "3"})
    assert list(flights.by_uav) == [UAV.id]
    return flights.summary()[UAV.id]


def test_a_flight_is_added_up(flight: Flight) -> None:
    assert figures(flight)["ended"] == "did not fly"
    flight.until_phase(Phase.FLYING)
    start = flight.now
    flight.run(70)
    told = figures(flight)
    assert told["ended"] == ""
    assert float(told["rounds"]) > 1
    assert 0.5 * UAV.speed < float(told["flown_m"]) / (flight.now - start) <= UAV.speed
    assert float(told["aside_m"]) <= float(told["aside_most_m"]) < 10
    flight.order("land")
    flight.until_phase(Phase.IDLE)
    flight.step()
    assert figures(flight)["ended"] == "landing: told to land; then idle: landed"


def test_a_takeover_ends_it_and_is_counted(flight: Flight) -> None:
    flight.until_phase(Phase.FLYING)
    flight.run(5)
    flight.px4.mode = RETURN
    flight.until_phase(Phase.TAKEN_OVER)
    flight.step()
    told = figures(flight)
    assert told["takeovers"] == 1
    assert str(told["ended"]).startswith("taken over: a failsafe or somebody else switched to AUTO.RTL")
    assert told["aside_m"] == pytest.approx(0, abs=5)
    flight.autopilot.receive(StatusText("Failsafe activated"), flight.now)  # PX4's words come a moment after its mode
    flight.step()
    assert str(figures(flight)["ended"]).endswith("waiting to be told to fly (it says: Failsafe activated)")
    assert flight.autopilot.heard(flight.now)["autopilot_says"] == "Failsafe activated"
    flight.run(11)
    assert flight.autopilot.heard(flight.now)["autopilot_says"] == ""  # old words explain nothing


def test_reasons_that_come_together_are_told_together(flight: Flight) -> None:
    for late, text, severity in (
        (0.0, "no valid position", 3),
        (0.1, "failsafe", 2),
        (0.2, "failsafe", 2),
        (2.0, "no sticks are heard", 3),  # less severe than what still counts
    ):
        flight.autopilot.receive(StatusText(text, severity), 100.0 + late)
    assert flight.autopilot.heard(103.0)["autopilot_says"] == "no valid position; failsafe"
    flight.autopilot.receive(StatusText("no sticks are heard", 3), 111.0)
    assert flight.autopilot.heard(111.0)["autopilot_says"] == "no sticks are heard"
