"""The recorder, fed by real nodes, stopped and killed."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcap", reason="needs the libraries of recordings")

from rclpy.serialization import deserialize_message
from rosbags.highlevel import AnyReader
from uav_twin_migration.msg import PriceOffer

from test.ros.conftest import PATIENCE, RSU, Probe, Processes
from uav_twin_migration import __version__
from uav_twin_migration.deployment import topics
from uav_twin_migration.recording.definitions import type_hash
from uav_twin_migration.recording.provenance import scenario_of
from uav_twin_migration.recording.reader import Reader, contents
from uav_twin_migration.recording.repair import repair
from uav_twin_migration.scenario.load import load
from uav_twin_migration.shipped import shipped_file

SECOND = 1_000_000_000  # ns
BEHIND = 3  # rounds: two in a second, and one that is on its way


def recorded_rounds(bag: Path) -> list[int]:
    """Rounds whose offers are in a recording."""
    with AnyReader([bag]) as reader:
        wanted = [connection for connection in reader.connections if connection.topic == topics.PRICE_OFFERS]
        offers: list[Any] = [reader.deserialize(data, c.msgtype) for c, _, data in reader.messages(wanted)]
    return [int(offer.round) for offer in offers]


def holds(bag: Path, topic: str) -> bool:
    """Whether something of a topic is in a recording that is still being written."""
    return bool(list(bag.glob("*.mcap"))) and topic in contents(bag).topics


def newest_on_disk(bag: Path) -> int:
    """The newest round whose offer is in a recording that is still being written; 0 where none is."""
    if not list(bag.glob("*.mcap")):
        return 0
    offers = [one.data for one in Reader(bag) if one.topic.name == topics.PRICE_OFFERS]
    return int(deserialize_message(offers[-1], PriceOffer).round) if offers else 0


def test_the_whole_market_is_recorded_and_others_can_read_it(
    processes: Processes, probe: Probe, tmp_path: Path
) -> None:
    probe.answer_every_offer(uav_a=2.0)
    probe.fly()
    recorder = processes.start("recorder", "", directory=str(tmp_path / "bag"))
    processes.start("rsu", "/rsu/rsu_0", **RSU, policy="none")
    wanted = (
        topics.PRICE_OFFERS,
        topics.BANDWIDTH_DEMANDS,
        topics.BANDWIDTH_GRANTS,
        topics.INTERACTIONS,
        topics.LINK_QUALITY,
        topics.DIAGNOSTICS,
        topics.odometry("uav_0"),
    )
    for topic in wanted:
        probe.wait_for(partial(holds, tmp_path / "bag", topic), f"{topic} in the recording")
    probe.wait_for(lambda: probe.offers, "an offer")
    first = probe.offers[-1].round  # from here on, no round is missing
    probe.wait_for(lambda: newest_on_disk(tmp_path / "bag") >= first + 3, "four rounds")
    recorder.send_signal(signal.SIGTERM)
    recorder.communicate(timeout=PATIENCE)
    heard = contents(tmp_path / "bag")
    assert not heard.damage
    for topic in wanted:
        assert heard.topics[topic].hash == type_hash(heard.topics[topic].kind) != ""
    rounds = recorded_rounds(tmp_path / "bag")
    assert rounds == list(range(rounds[0], rounds[0] + len(rounds)))
    assert {first, first + 3} <= set(rounds)
    with AnyReader([tmp_path / "bag"]) as reader:
        (told,) = (c for c in reader.connections if c.topic == topics.PRICE_OFFERS)
        assert "reliability: 1" in str(heard.topics[topics.PRICE_OFFERS].qos)
        assert told.digest == heard.topics[topics.PRICE_OFFERS].hash


def test_killed_it_loses_a_second_at_most_and_goes_on_beside(
    processes: Processes, probe: Probe, tmp_path: Path
) -> None:
    probe.answer_every_offer(uav_a=2.0)
    recorder = processes.start("recorder", "", directory=str(tmp_path / "bag"))
    processes.start("rsu", "/rsu/rsu_0", **RSU, policy="none")
    probe.wait_for(lambda: newest_on_disk(tmp_path / "bag") and probe.offers, "a round in the recording")
    first = probe.offers[-1].round

    def only_a_second_behind() -> bool:
        """What is on the disk, after five rounds of half a second; a busy machine is late now and then."""
        newest = probe.offers[-1].round
        return newest > first + 4 and newest_on_disk(tmp_path / "bag") >= newest - BEHIND

    probe.wait_for(only_a_second_behind, "a recording that is no more than a second behind")
    os.killpg(recorder.pid, signal.SIGKILL)
    newest = probe.offers[-1].round
    assert repair(tmp_path / "bag").found.damage
    rounds = recorded_rounds(tmp_path / "bag_repaired")
    assert rounds == list(range(rounds[0], rounds[0] + len(rounds)))
    assert rounds[0] <= first
    assert rounds[-1] >= newest - BEHIND
    again = processes.start("recorder", "", directory=str(tmp_path / "bag"))
    probe.wait_for(lambda: holds(tmp_path / "bag_2", topics.PRICE_OFFERS), "a round in the next recording")
    again.send_signal(signal.SIGTERM)
    again.communicate(timeout=PATIENCE)
    assert recorded_rounds(tmp_path / "bag_2")
    assert recorded_rounds(tmp_path / "bag_repaired") == rounds


def test_a_simulation_is_recorded_by_an_option(processes: Processes, tmp_path: Path) -> None:
    bag = tmp_path / "bag"
    command = [sys.executable, "-m", "uav_twin_migration.cli", "sim", "small", "--plain", "--record", str(bag)]
    simulation = processes.run([*command, "--duration", "20", "--real-time-factor", "2", "--seed", "3"])
    simulation.communicate(timeout=3 * PATIENCE)
    assert simulation.returncode == 0
    held = contents(bag)
    assert not held.damage
    assert {topics.PRICE_OFFERS, topics.INTERACTIONS, topics.CLOCK} <= held.topics.keys()
    # simulated time, though it went by twice as fast
    assert held.span.first is not None
    assert held.span.last is not None
    assert 0 <= held.span.first < held.span.last < 22 * SECOND
    assert held.span.last > 18 * SECOND
    # and what it was made from
    about = held.about["uav_twin_migration"]
    assert (about["seed"], about["policy"], about["version"]) == ("3", "default", __version__)
    assert scenario_of(held.attachments) == load("small")
    shipped = shipped_file("config/policies/default.safetensors")
    assert shipped is not None
    assert held.attachments["policy.safetensors"].data == shipped.read_bytes()
    again = processes.run([*command, "--duration", "8"])
    _, said = again.communicate(timeout=PATIENCE)
    assert again.returncode == 2
    assert str(bag) in said
