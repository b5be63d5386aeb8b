"""What a migration sends and when: order, window, freeze, pace."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from uav_twin_migration.twin.protocol.chunks import Chunk, Entry, digest
from uav_twin_migration.twin.protocol.flow import LEAST_WINDOW, Flow, frame_size
from uav_twin_migration.twin.protocol.pacing import UNLIMITED, TokenBucket

MB = 1e6


@given(
    present=st.integers(0, 20),
    writes=st.lists(st.lists(st.integers(0, 25), max_size=4), max_size=20),
    most=st.integers(1, 5000),
    version=st.integers(0, 25),
)
def test_every_chunk_goes_in_its_newest_version_and_in_order(
    present: int, writes: list[list[int]], most: int, version: int
) -> None:
    """A target that takes what is sent has, in the end, what the source has."""
    entries = [Entry(number, number + 1, digest(b"%d" % number), 500) for number in range(present)]
    flow = Flow(entries, version)
    there = {entry.number: entry for entry in entries if entry.version <= version}
    version, at = max(present, version), min(version, present)
    for numbers in [*writes, []]:
        chunks = []
        for number in numbers:
            version += 1
            chunks.append(Chunk(number, version, digest(b"%d" % version), b"x" * (version % 700)))
        flow.changed(chunks)
        for entry in flow.take(most):
            assert entry.version > at
            at, there[entry.number] = entry.version, entry
        flow.acknowledged(flow.sent)
        assert flow.size == sum(entry.size for entry in flow.latest.values())
    while not flow.is_empty:
        for entry in flow.take(most):
            assert entry.version > at
            at, there[entry.number] = entry.version, entry
    assert there == flow.latest
    flow.acknowledged(flow.sent)
    assert flow.remaining == 0


def test_no_more_is_on_its_way_than_the_window() -> None:
    flow = Flow([Entry(number, number + 1, b"", 64 * 1024) for number in range(1000)], 0)
    while flow.may_send(0, 1 * MB):
        flow.take(64 * 1024)
    assert LEAST_WINDOW <= flow.unacknowledged <= LEAST_WINDOW + 64 * 1024
    flow.acknowledged(flow.sent)
    assert flow.may_send(0, 1 * MB)
    assert not flow.may_send(1 << 30, 1 * MB)


def test_a_twin_freezes_when_the_rest_is_a_short_pause_and_the_pause_grows() -> None:
    flow = Flow([Entry(number, number + 1, b"", 10_000) for number in range(10)], 0)
    assert not flow.may_freeze(0.0, 1 * MB)  # not everything was sent once
    flow.take(1 << 30)
    assert not flow.may_freeze(0.0, 1 * MB)  # 100 kB on their way would be a pause of 100 ms
    assert flow.may_freeze(3.0, 1 * MB)
    flow.acknowledged(flow.sent)
    assert flow.may_freeze(3.1, 1 * MB)
    assert not flow.diverges(30.0)
    assert flow.diverges(60.0)


def test_frames_are_as_long_as_the_rate_makes_them() -> None:
    assert frame_size(1 * MB) < frame_size(10 * MB) < frame_size(UNLIMITED)


@given(
    rate=st.floats(1e3, 1e8),
    waits=st.lists(st.tuples(st.floats(0.0, 0.5), st.floats(1.0, 1e6)), min_size=1, max_size=60),
)
def test_a_bucket_lets_no_more_through_than_its_rate_and_its_depth(
    rate: float, waits: list[tuple[float, float]]
) -> None:
    bucket, now, sent = TokenBucket(rate, 0.0), 0.0, [(0.0, 0.0)]
    for wait, size in waits:
        now += wait
        size = min(size, bucket.allowed(now))
        bucket.spend(size)
        sent.append((now, size))
    for first, (begin, _) in enumerate(sent):
        total = sum(size for _, size in sent[first:])
        assert total <= rate * (now - begin + bucket.depth) * (1 + 1e-9) + 1e-3


def test_a_bucket_follows_its_rate() -> None:
    bucket = TokenBucket(0.0, 0.0)
    assert bucket.allowed(10.0) == 0.0
    assert bucket.wait(1.0, 10.0) == math.inf
    bucket.set_rate(1000.0, 10.0)
    assert bucket.wait(10.0, 10.0) == 0.01
    bucket.set_rate(UNLIMITED, 10.0)
    assert bucket.wait(1e9, 10.0) == 0.0


@given(rest=st.integers(1, 3_000_000), rate=st.floats(1e4, 1e8), passed=st.floats(0.0, 1e5))
def test_a_copy_may_freeze_when_it_says_and_not_before(rest: int, rate: float, passed: float) -> None:
    """What waits for the pause to have doubled enough is told when that will be, and need not look all the time."""
    flow = Flow([Entry(0, 1, b"", rest)], 0)
    assert flow.freezes_at(rate) in (math.inf, flow.freezes_at(0.0))  # the first pass is not over
    flow.take(rest)
    flow.may_freeze(passed, rate)
    at = flow.freezes_at(rate)
    if at == math.inf:
        assert not flow.may_freeze(passed + 1e6, rate)
        return
    assert at >= passed
    assert flow.may_freeze(at + 1e-6 * max(at, 1.0), rate)
    assert at == passed or not flow.may_freeze(max(at - 1e-6 * max(at, 1.0), passed), rate) or at - passed < 1e-6 * at
