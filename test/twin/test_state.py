"""The twin itself: estimate, history, payload."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uav_twin_migration.twin.hosting.application import Piece
from uav_twin_migration.twin.hosting.estimate import (
    Axis,
    Noise,
    Telemetry,
    Tracker,
)
from uav_twin_migration.twin.hosting.twin import (
    BLOCK_RECORDS,
    HISTORY,
    HISTORY_BLOCKS,
    PAYLOAD_AT,
    UavTwin,
)
from uav_twin_migration.twin.protocol.records import replace
from uav_twin_migration.twin.protocol.replica_state import Record, Status


def telemetry(sequence: int, stamp: float | None = None, x: float = 0.0) -> Telemetry:
    return Telemetry(sequence, 0.1 * sequence if stamp is None else stamp, (x, 2.0, 90.0), (10.0, 0.0, 0.0))


class Disk:
    """Chunks as a host stores them."""

    def __init__(self, twin: UavTwin) -> None:
        self.chunks = {piece.number: piece.content for piece in twin.snapshot()}
        self.version = twin.version()

    def take(self, twin: UavTwin) -> list[Piece]:
        changes = twin.changes_since(self.version)
        self.version = changes.version
        self.chunks |= {piece.number: piece.content for piece in changes.pieces}
        return list(changes.pieces)

    def restored(self) -> UavTwin:
        return UavTwin.restored("u1", self.chunks.get)


@settings(max_examples=25)
@given(count=st.integers(0, 2 * HISTORY + 600), flush=st.integers(1, 700))
def test_a_restored_twin_remembers_what_the_twin_does(count: int, flush: int) -> None:
    twin = UavTwin("u1", 1000)
    disk = Disk(twin)
    for number in range(count):
        assert twin.observe(telemetry(number, x=float(number)), 0.1 * number) is None
        if number % flush == 0:
            disk.take(twin)
    disk.take(twin)
    again = disk.restored()
    history = again.history(disk.chunks.get)
    assert history == twin.history(disk.chunks.get)
    assert [one.sequence for one in history] == list(range(count - len(history), count))
    assert len(history) >= min(count, HISTORY - BLOCK_RECORDS)
    assert again.estimate(1e4) == twin.estimate(1e4) or count == 0
    assert again.tracker.sequence == count - 1


def test_no_more_than_a_block_of_history_stays_in_memory_once_it_is_stored() -> None:
    twin = UavTwin("u1", 1000)
    disk = Disk(twin)
    for number in range(5 * BLOCK_RECORDS):
        twin.observe(telemetry(number), 0.1 * number)
        disk.take(twin)
        assert len(twin._blocks) <= 2
    disk.take(twin)
    assert len(twin._blocks) == len(disk.restored()._blocks) == 1
    with pytest.raises(ValueError, match="has not the 1280 records"):
        twin.history()


def test_only_what_changed_is_written() -> None:
    twin = UavTwin("u1", 100_000)
    disk = Disk(twin)
    assert disk.take(twin) == []
    twin.observe(telemetry(1), 0.0)
    assert {piece.number for piece in disk.take(twin)} == {0, 1}
    twin.write_payload(3, bytes(twin.size_of(3)))
    assert [piece.number for piece in disk.take(twin)] == [PAYLOAD_AT + 3]
    assert disk.take(twin) == []


def test_a_change_is_reported_until_it_is_on_the_disk() -> None:
    twin = UavTwin("u1", 100_000)
    version = twin.version()
    twin.write_payload(0, b"a" * twin.size_of(0))
    assert len(twin.changes_since(version).pieces) == len(twin.changes_since(version).pieces) == 1


def test_payload_has_the_size_that_was_asked_for_and_does_not_compress() -> None:
    twin = UavTwin("u1", 50_001)
    pieces = [piece for piece in twin.snapshot() if piece.number >= PAYLOAD_AT]
    assert sum(len(piece.content) for piece in pieces) == 50_001
    assert len(set(b"".join(piece.content for piece in pieces))) == 256
    assert [piece.content for piece in UavTwin("u2", 50_001).snapshot()] != [p.content for p in twin.snapshot()]
    for number, content in ((-1, b""), (twin.pieces, b""), (0, b"short")):
        with pytest.raises(ValueError, match="has no piece"):
            twin.write_payload(number, content)


def test_a_history_that_does_not_fit_its_head_is_refused() -> None:
    twin = UavTwin("u1", 10)
    disk = Disk(twin)
    for number in range(300):
        twin.observe(telemetry(number), 0.0)
    disk.take(twin)
    for number in range(1, HISTORY_BLOCKS + 1):
        if number in disk.chunks:
            spoilt = disk.chunks | {number: disk.chunks[number][:-64]}
            with pytest.raises(ValueError, match="has not the 300 records"):
                UavTwin.restored("u1", spoilt.get)


# -- the estimate ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (telemetry(5), "out_of_order"),
        (telemetry(4), "out_of_order"),
        (telemetry(9, stamp=math.nan), "not_finite"),
        (Telemetry(9, 1.0, (math.inf, 0.0, 0.0), (0.0, 0.0, 0.0)), "not_finite"),
        (Telemetry(9, 1.0, (2e6, 0.0, 0.0), (0.0, 0.0, 0.0)), "absurd"),
        (Telemetry(9, 1.0, (0.0, 0.0, 0.0), (0.0, 2e3, 0.0)), "absurd"),
    ],
)
def test_telemetry_that_cannot_be_is_refused_and_changes_nothing(wrong: Telemetry, why: str) -> None:
    tracker = Tracker()
    tracker.observe(telemetry(5), 0.5)
    before = tracker.estimate(1.0)
    assert tracker.observe(wrong, 0.6) == why
    assert tracker.estimate(1.0) == before


def test_a_uav_that_flies_straight_is_known_between_updates() -> None:
    tracker = Tracker()
    for number in range(50):
        tracker.observe(telemetry(number, x=1.0 * number), 0.1 * number)
    estimate = tracker.estimate(4.9 + 0.7)
    assert estimate is not None
    assert estimate.age == pytest.approx(0.7)
    assert estimate.position[0] == pytest.approx(49.0 + 7.0, abs=0.01)
    later = tracker.estimate(10.0)
    assert later is not None
    assert later.position_deviation[0] > estimate.position_deviation[0] > 0.0


@given(
    dt=st.floats(1e-3, 10.0),
    measured=st.tuples(st.floats(-1e3, 1e3), st.floats(-50.0, 50.0)),
    early=st.tuples(st.floats(-1e3, 1e3), st.floats(-50.0, 50.0)),
)
def test_the_filter_is_kalmans(dt: float, measured: tuple[float, float], early: tuple[float, float]) -> None:
    noise = Noise()
    axis = Axis(*early, noise.position**2, 0.0, noise.velocity**2)
    updated = axis.predicted(dt, noise.acceleration).updated(*measured, noise)
    f = np.array([[1.0, dt], [0.0, 1.0]])
    q = noise.acceleration * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
    r = np.diag([noise.position**2, noise.velocity**2])
    state, covariance = f @ early, f @ np.diag([noise.position**2, noise.velocity**2]) @ f.T + q
    gain = covariance @ np.linalg.inv(covariance + r)
    state = state + gain @ (np.array(measured) - state)
    covariance = (np.eye(2) - gain) @ covariance
    assert [updated.position, updated.velocity] == pytest.approx(state.tolist(), rel=1e-6, abs=1e-6)
    assert [updated.pp, updated.pv, updated.vv] == pytest.approx(
        [covariance[0, 0], covariance[0, 1], covariance[1, 1]], rel=1e-6, abs=1e-9
    )


@pytest.mark.parametrize("behind", [-500.0, 0.0, 500.0])
def test_a_twin_that_came_from_elsewhere_learns_the_clocks_anew(behind: float) -> None:
    twin = UavTwin("u1", 10)
    disk = Disk(twin)
    twin.observe(telemetry(1, stamp=1000.0), 1000.0)
    disk.take(twin)
    again = disk.restored()
    again.observe(telemetry(2, stamp=1000.1), 1000.1 + behind)
    estimate = again.estimate(1000.3 + behind)
    assert estimate is not None
    assert estimate.age == pytest.approx(0.2)


def test_a_clock_that_was_set_back_starts_the_estimate_anew() -> None:
    tracker = Tracker()
    tracker.observe(telemetry(1, stamp=1000.0), 1000.0)
    assert tracker.observe(telemetry(2, stamp=10.0, x=77.0), 1000.1) is None
    estimate = tracker.estimate(1000.1)
    assert estimate is not None
    assert estimate.position[0] == pytest.approx(77.0, abs=1e-6)
    assert estimate.age < 1.0


def test_a_changed_record_is_that_of_dataclasses_and_an_unknown_field_is_refused() -> None:
    record = Record(Status.HOSTING, 7, 12)
    assert replace(record, version=13) == dataclasses.replace(record, version=13)
    assert record.version == 12
    with pytest.raises(TypeError, match="verison"):
        replace(record, verison=13)
