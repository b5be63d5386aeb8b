"""Whatever an autopilot says, in whatever order: nothing is commanded unasked, and set-points are safe."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from test.vehicle.harness import ORIGIN, UAV
from uav_twin_migration.vehicle.autopilot import PERIOD, Autopilot
from uav_twin_migration.vehicle.phases import STEERED
from uav_twin_migration.vehicle.px4_codes import CUSTOM_MODES
from uav_twin_migration.vehicle.signals import (
    UNKNOWN_MODE,
    Acknowledgement,
    Attitude,
    Battery,
    Control,
    Estimator,
    Event,
    FrameOrigin,
    Heartbeat,
    LocalPosition,
    RemoteControl,
    Request,
    SetMode,
    Setpoint,
    StatusText,
)

ORDERS = ("hold", "land", "return_home")  # that never lead into the air
modes = st.sampled_from([UNKNOWN_MODE, *CUSTOM_MODES.values()])
events: st.SearchStrategy[Event | str | None] = st.one_of(
    st.builds(Heartbeat, st.booleans(), modes, st.booleans()),
    st.builds(
        LocalPosition,
        st.integers(0, 20_000),
        st.tuples(*[st.floats(-1e4, 1e4)] * 3),
        st.tuples(*[st.floats(-30, 30)] * 3),
    ),
    st.builds(Attitude, st.integers(0, 20_000), st.just((1.0, 0.0, 0.0, 0.0)), st.just((0.0, 0.0, 0.0))),
    st.builds(FrameOrigin, st.floats(47, 48), st.floats(8, 9)),
    st.builds(Acknowledgement, st.just(SetMode), st.integers(0, 6)),
    st.builds(Estimator, st.booleans()),
    st.builds(Battery, st.floats(0, 1)),
    st.builds(RemoteControl, st.booleans()),
    st.builds(StatusText, st.text(max_size=50)),
    st.sampled_from([*ORDERS, "pause"]),
    st.none(),
)


@settings(max_examples=300)
@given(st.lists(events, max_size=80))
def test_whatever_comes_it_never_commands_unasked(sequence: list[Event | str | None]) -> None:
    """Without `fly()`, nothing is sent but questions, and LAND and RTL where they were asked for: it never arms."""
    autopilot, now = Autopilot(UAV, ORIGIN), 0.0
    for event in sequence:
        now += 4.0 if event == "pause" else PERIOD
        if event in ORDERS:
            getattr(autopilot, str(event))(now)
        elif event not in (None, "pause"):
            autopilot.receive(event, now)  # type: ignore[arg-type]
        sent = [command for command in autopilot.step(now) if not isinstance(command, Request)]
        assert all(
            isinstance(command, SetMode) and command.control in (Control.LAND, Control.RETURN) for command in sent
        )


@settings(max_examples=300)
@given(st.lists(events, max_size=80), st.integers(0, 79))
def test_whatever_comes_set_points_are_safe_and_a_leaving_vehicle_is_left_alone(
    sequence: list[Event | str | None], asked_at: int
) -> None:
    """Set-points are finite, within the limits, and once flying, a heartbeat in another mode ends them."""
    autopilot, now = Autopilot(UAV, ORIGIN), 0.0
    last = np.zeros(3)
    for index, event in enumerate(sequence):
        now += 4.0 if event == "pause" else PERIOD
        if index == asked_at:
            autopilot.fly(now)
        flying = autopilot.phase in STEERED
        if event in ORDERS:
            getattr(autopilot, str(event))(now)
        elif event not in (None, "pause"):
            autopilot.receive(event, now)  # type: ignore[arg-type]
        commands = autopilot.step(now)
        if flying and isinstance(event, Heartbeat) and not (event.armed and event.mode.control is Control.SETPOINTS):
            assert all(isinstance(command, Request) for command in commands)
        for command in commands:
            if isinstance(command, Setpoint):
                velocity = np.array(command.velocity)
                assert np.isfinite(velocity).all()
                assert np.linalg.norm(velocity) <= UAV.speed * 1.001
                assert np.linalg.norm(velocity - last) <= UAV.acceleration * 4 * PERIOD * 1.001
                last = velocity
