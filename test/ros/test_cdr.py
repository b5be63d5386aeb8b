"""What is read out of bytes is what rclpy reads."""

from __future__ import annotations

import contextlib

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from hypothesis import given, settings
from hypothesis import strategies as st
from nav_msgs.msg import Odometry
from rclpy.serialization import deserialize_message, serialize_message
from uav_twin_migration.msg import BandwidthGrant, UavHeartbeat

from uav_twin_migration.nodes.ros import cdr, convert, twin_convert
from uav_twin_migration.nodes.ros.twin_convert import Heartbeat
from uav_twin_migration.twin.hosting.estimate import Telemetry
from uav_twin_migration.twin.protocol.messages import LeaseRenewal, Stamp
from uav_twin_migration.vehicle import attitude

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)
WHOLE, NUMBERS = st.integers(0, (1 << 64) - 1), st.floats(allow_nan=False)
VECTORS = st.tuples(NUMBERS, NUMBERS, NUMBERS)
STAMPS = st.none() | st.builds(Stamp, st.integers(1, 1 << 40), NUMBERS)
RENEWALS = st.builds(LeaseRenewal, TEXTS, TEXTS, WHOLE, WHOLE, STAMPS, TEXTS)
TELEMETRY = st.none() | st.builds(Telemetry, st.integers(1, 1 << 62), NUMBERS, VECTORS, VECTORS)
HEARTBEATS = st.lists(st.builds(Heartbeat, RENEWALS, TELEMETRY, NUMBERS), max_size=4)


@given(HEARTBEATS, st.integers(0, 2))
@settings(max_examples=200, deadline=None)
def test_uav_heartbeats_are_read_out_of_bytes_as_rclpy_reads_them(heartbeats: list[Heartbeat], grants: int) -> None:
    message = twin_convert.uav_heartbeats_to_message(heartbeats, 1.5, [BandwidthGrant(rsu_id="rsu_0")] * grants)
    assert twin_convert.uav_heartbeats_from_bytes(serialize_message(message)) == (heartbeats, grants > 0)


@pytest.mark.parametrize("column", ["hosts", "epochs", "stamp_times", "positions", "velocities", "rates"])
@pytest.mark.parametrize("others", [0, 1, 5])
def test_uav_heartbeats_whose_arrays_do_not_fit_are_none(column: str, others: int) -> None:
    told = Heartbeat(LeaseRenewal("uav_0", "rsu_0", 1, 1), None, 0.0)
    message = twin_convert.uav_heartbeats_to_message([told, told], 0.0)
    setattr(message, column, [getattr(message, column)[0]] * others)
    assert twin_convert.uav_heartbeats_from_bytes(serialize_message(message)) == (None, False)


def test_bytes_that_are_no_plain_ones_are_left_to_rclpy(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Heartbeat(LeaseRenewal("uav_0", "rsu_0", 1, 1), None, 0.0)
    data = serialize_message(twin_convert.uav_heartbeats_to_message([told], 0.0))
    monkeypatch.setattr(cdr, "_PLAIN", b"\7\7")
    assert twin_convert.uav_heartbeats_from_bytes(data) == ([told], False)


@given(st.binary(max_size=400), st.booleans())
@settings(max_examples=200, deadline=None)
def test_bytes_of_whatever_kind_are_refused_in_one_way(data: bytes, plain: bool) -> None:
    with contextlib.suppress(ValueError):
        twin_convert._from_plain_bytes((b"\0\1\0\0" if plain else b"") + data)


@given(TEXTS, TEXTS, VECTORS, VECTORS, st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_motion_is_read_out_of_bytes_as_rclpy_reads_it(
    frame: str,
    child: str,
    position: tuple[float, float, float],
    velocity: tuple[float, float, float],
    turned: tuple[float, float, float, float],
    upright: bool,
) -> None:
    message = Odometry(child_frame_id=child)
    message.header.frame_id = frame
    message.header.stamp = convert.to_time(12.25)
    at, q, v = message.pose.pose.position, message.pose.pose.orientation, message.twist.twist.linear
    at.x, at.y, at.z = position
    v.x, v.y, v.z = velocity
    q.x, q.y, q.z, q.w = (0.6, 0.0, 0.0, 0.8) if upright else turned
    message.twist.covariance[35] = message.pose.covariance[0] = 7.0
    data = serialize_message(message)
    assert repr(convert.motion_from_bytes(data)) == repr(
        convert.motion_from_message(deserialize_message(data, Odometry))
    )


def test_a_velocity_turns_with_the_uav_as_transforms3d_turns_it() -> None:
    from transforms3d.euler import euler2quat
    from transforms3d.quaternions import rotate_vector

    w, x, y, z = euler2quat(0.3, -1.1, 2.4)
    expected = tuple(rotate_vector((3.0, -4.0, 5.0), (w, x, y, z)))
    assert attitude.turned((3.0, -4.0, 5.0), (x, y, z, w)) == pytest.approx(expected, abs=1e-12)


def test_the_messages_of_the_wire_are_as_they_are_read() -> None:
    fields = UavHeartbeat.get_fields_and_field_types()
    assert list(fields)[:4] == ["header", "uav_ids", "hosts", "replica_hosts"]
    assert list(fields)[4:] == [
        *("epochs", "newest_epochs", "stamp_incarnations", "stamp_times", "sequences", "telemetry_stamps"),
        *("positions", "velocities", "rates", "grants", "signature"),
    ]
