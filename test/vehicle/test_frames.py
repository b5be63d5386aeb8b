"""Frames: round trips, known directions, and two independent ways to the same place."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transforms3d.euler import euler2quat
from transforms3d.quaternions import quat2mat

from uav_twin_migration.scenario.model import Origin
from uav_twin_migration.vehicle.frames import (
    PX4_EARTH_RADIUS,
    LocalFrame,
    Px4Map,
    TangentPlane,
    attitude_to_px4,
    attitude_to_ros,
    enu_to_ned,
    flu_to_frd,
    frd_to_flu,
    heading_to_yaw,
    ned_to_enu,
    to_body,
    to_world,
)

components = st.floats(-1e4, 1e4)
vectors = st.tuples(components, components, components)
angles = st.floats(-math.pi, math.pi)
attitudes = st.tuples(angles, angles, angles).map(lambda rpy: euler2quat(*rpy))
origins = st.builds(Origin, st.floats(-80, 80), st.floats(-180, 180), st.floats(-100, 3000))
near = st.floats(-10_000, 10_000)


@given(vectors)
def test_vectors_there_and_back(vector: tuple[float, float, float]) -> None:
    assert enu_to_ned(ned_to_enu(vector)).tolist() == list(vector)
    assert flu_to_frd(frd_to_flu(vector)).tolist() == list(vector)


def test_known_directions() -> None:
    assert ned_to_enu([1, 2, 3]).tolist() == [2, 1, -3]
    assert frd_to_flu([1, 2, 3]).tolist() == [1, -2, -3]
    assert heading_to_yaw(0) == pytest.approx(math.pi / 2)  # east
    assert heading_to_yaw(math.pi / 2) == pytest.approx(0)  # north
    assert heading_to_yaw(-math.pi / 2) == pytest.approx(math.pi, abs=1e-9)  # south


@given(attitudes)
def test_attitudes_there_and_back(attitude: tuple[float, float, float, float]) -> None:
    back = attitude_to_px4(attitude_to_ros(attitude))
    assert abs(np.dot(back, attitude)) == pytest.approx(1)  # q and -q are the same attitude


@given(attitudes, vectors)
def test_attitude_and_vectors_tell_the_same(
    attitude: tuple[float, float, float, float], body: tuple[float, float, float]
) -> None:
    """A vector of the body, turned into the world in PX4's frames, is the one turned in those of ROS."""
    in_ned = quat2mat(attitude) @ np.array(body)
    in_enu = quat2mat(attitude_to_ros(attitude)) @ frd_to_flu(body)
    assert in_enu == pytest.approx(ned_to_enu(in_ned), abs=1e-8 * (1 + np.abs(body).max()))
    assert to_body(attitude, to_world(attitude, body)) == pytest.approx(body, abs=1e-8 * (1 + np.abs(body).max()))


def test_known_attitudes() -> None:
    """A drone that looks north and is level has its nose on the y axis of ENU; one that looks east, on the x axis."""
    north, east = euler2quat(0, 0, 0), euler2quat(0, 0, math.pi / 2)
    assert to_world(attitude_to_ros(north), [1, 0, 0]) == pytest.approx([0, 1, 0], abs=1e-12)
    assert to_world(attitude_to_ros(north), [0, 0, 1]) == pytest.approx([0, 0, 1], abs=1e-12)
    assert to_world(attitude_to_ros(east), [1, 0, 0]) == pytest.approx([1, 0, 0], abs=1e-12)


@given(origins, near, near, st.floats(-500, 5000))
def test_geodetic_there_and_back(origin: Origin, east: float, north: float, up: float) -> None:
    plane = TangentPlane(origin)
    back = plane.from_geodetic(*plane.to_geodetic((east, north, up)))
    assert back == pytest.approx([east, north, up], abs=1e-5)


def test_geodetic_of_known_places() -> None:
    """One minute of latitude is about a nautical mile; the tangent plane leaves the ground by d^2 / 2R."""
    plane = TangentPlane(Origin(0.0, 0.0, 0.0))
    east, north, up = plane.from_geodetic(1 / 60, 0.0, 0.0)
    assert [east, north] == pytest.approx([0, 1842.9], abs=0.1)  # 6335.4 km per radian
    assert up == pytest.approx(-(north**2) / 2 / 6_335_439, rel=1e-3)
    assert plane.from_geodetic(0.0, 1 / 60, 0.0)[0] == pytest.approx(1855.3, abs=0.1)  # 6378.1 km per radian
    assert TangentPlane(Origin(47.0, 8.0, 500.0)).from_geodetic(47.0, 8.0, 620.0) == pytest.approx(
        [0, 0, 120], abs=1e-6
    )


@given(st.floats(-80, 80), st.floats(-179, 179), near, near)
def test_px4_map_there_and_back(latitude: float, longitude: float, north: float, east: float) -> None:
    px4 = Px4Map(latitude, longitude)
    assert px4.from_geodetic(*px4.to_geodetic(north, east)) == pytest.approx((north, east), abs=1e-4)


def test_px4_map_is_equidistant() -> None:
    """Distances from its origin are great-circle distances on the sphere."""
    north, east = Px4Map(47.0, 8.0).from_geodetic(47.0 + 1 / 60, 8.0)
    assert [north, east] == pytest.approx([PX4_EARTH_RADIUS * math.radians(1 / 60), 0], abs=1e-6)
    assert Px4Map(47.0, 8.0).from_geodetic(47.0, 8.0) == (0, 0)


@given(origins, near, near, st.floats(0, 300), near, near)
def test_local_frame_there_and_back(origin: Origin, east: float, north: float, up: float, e0: float, n0: float) -> None:
    plane = TangentPlane(origin)
    latitude, longitude, _ = plane.to_geodetic((e0, n0, 0.0))
    frame = LocalFrame(plane, latitude, longitude)
    assert frame.to_scenario(frame.from_scenario((east, north, up))) == pytest.approx([east, north, up], abs=0.15)


@given(st.floats(-60, 60), st.floats(-180, 180))
def test_drones_that_started_apart_agree_on_a_place(latitude: float, longitude: float) -> None:
    """Taking PX4's metres for true ones would put them metres apart."""
    plane = TangentPlane(Origin(latitude, longitude, 0.0))
    frames = [LocalFrame(plane, *plane.to_geodetic((x, y, 0.0))[:2]) for x, y in ((-2000, 0), (2000, 1500))]
    place = np.array([300.0, -700.0, 50.0])
    for frame in frames:
        assert frame.to_scenario(frame.from_scenario(place)) == pytest.approx(place, abs=0.02)
    naive = frames[0].from_scenario(place)[[1, 0]] + (-2000, 0) - place[:2]
    assert np.linalg.norm(naive) > 1
