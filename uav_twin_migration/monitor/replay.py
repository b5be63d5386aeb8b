"""A recording as frames, as if one had watched: the same listener hears what was recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from uav_twin_migration.errors import InputError
from uav_twin_migration.monitor import readers
from uav_twin_migration.monitor.frames import Cast, Frame
from uav_twin_migration.monitor.listener import Listener
from uav_twin_migration.recording.decoding import Decoder
from uav_twin_migration.recording.reader import Reader
from uav_twin_migration.scenario.model import Scenario

FRAME_PERIOD = 0.4  # s between two frames: between them a page draws straight lines
SAMPLE_PERIOD = 1.0  # s between two comparisons with the equilibrium
CLOCK = "/clock"
NANOSECONDS = 1e-9
MOST_FRAMES = 100_000


class Replay(NamedTuple):
    """A recording, watched to its end."""

    cast: Cast
    frames: list[Frame]
    summary: dict[str, Any]
    damage: list[str]


def replay(
    source: Path,
    scenario: Scenario | None = None,
    about: dict[str, str] | None = None,
    period: float = FRAME_PERIOD,
    progress: Callable[[float], None] = lambda seconds: None,
) -> Replay:
    """Watch a recording.

    Args:
        source: a rosbag2 folder or an MCAP file.
        scenario: where it was recorded; without it only what was said can be shown, and no equilibrium.
        about: what else is known of the run.
        period: of the frames, s. progress: is told the time of each.

    Raises:
        InputError: there is no recording, or nothing in it that can be watched.
    """
    listener = Listener(scenario, about)
    reader = Reader(source)
    frames: list[Frame] = []
    due, sample_due = 0.0, 0.5 * SAMPLE_PERIOD  # half-way: rounds start at whole periods
    for now, topic, kind, message in heard(reader, listener.kinds):
        if not frames and now > due:
            due, sample_due = now, now
        while now >= due and len(frames) < MOST_FRAMES:
            sampled = due >= sample_due
            frames.append(listener.frame(due, sampled))
            sample_due += SAMPLE_PERIOD if sampled else 0.0
            due += period
            progress(due)
        listener.hear(now, topic, kind, message)
    if not frames:
        raise InputError(str(source), "recording", "nothing of a market or of UAVs", "a recording of this system")
    return Replay(listener.city.cast(), frames, listener.summary(), reader.damage)


def heard(reader: Reader, kinds: frozenset[str]) -> Iterator[tuple[float, str, str, Any]]:
    """Messages of these types with the time at which they were heard, s: simulated time where a clock was recorded."""
    decoders: dict[str, Callable[[bytes], Any] | None] = {}
    start: int | None = None
    clock: float | None = None
    for recorded in reader:
        topic, stamp, data = recorded.topic, recorded.time, recorded.data
        if topic.name not in decoders:
            decoders[topic.name] = _decoder(topic) if _kind(topic) in kinds or topic.name == CLOCK else None
        decode = decoders[topic.name]
        if decode is None:
            continue
        start = stamp if start is None else start
        try:
            message = decode(data)
        except ValueError:  # bytes that are no such message
            continue
        if topic.name == CLOCK:
            clock = max(readers.seconds(message.clock), clock or 0.0)
        else:
            now = clock if clock is not None else NANOSECONDS * (stamp - start)
            yield now, topic.name, _kind(topic), message


def _kind(topic: Any) -> str:
    return str(topic.kind).rpartition("/")[2]


def _decoder(topic: Any) -> Callable[[bytes], Any] | None:
    try:
        return Decoder(topic)
    except InputError:  # a recording without definitions, or with some that are none
        return None
