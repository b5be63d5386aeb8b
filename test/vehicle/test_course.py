"""When a drone is said not to fly what it is told."""

from __future__ import annotations

import numpy as np
import pytest

from test.vehicle.harness import UAV
from uav_twin_migration.vehicle.flight_limits import FlightLimits
from uav_twin_migration.vehicle.guidance import Guidance
from uav_twin_migration.vehicle.vehicle_state import Odometry

ELAPSED = 0.1  # s


@pytest.mark.parametrize(
    ("share", "aside", "said"),
    [
        (1.0, 0.0, False),
        (0.6, 0.0, False),  # an airframe that flies 6 m/s where 10 are wanted: four PX4s of a city were, for 300 s
        (0.0, 0.0, True),  # it hovers
        (0.7, 6.0, True),  # somebody else wants it elsewhere
    ],
)
def test_slower_is_not_off_course(share: float, aside: float, said: bool) -> None:
    guidance = Guidance(UAV, FlightLimits())
    position, velocity, warnings = np.array([-400.0, 10.0, UAV.altitude]), np.zeros(3), set()
    for step in range(200):
        now = step * ELAPSED
        odometry = Odometry(position, np.array([1.0, 0, 0, 0]), velocity, np.zeros(3), now)
        wanted = guidance.setpoint(odometry, (0.0, 0.0, 0.0), 0.0, ELAPSED, now, under_way=True).velocity
        warnings.add(guidance.warning)
        velocity = share * np.array(wanted) + (0.0, 0.0 if step < 50 else aside, 0.0)
        position = position + velocity * ELAPSED
    assert any("does not fly what it is told" in warning for warning in warnings) is said
