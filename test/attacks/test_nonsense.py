"""Messages that ended nodes, twins and migrations once; docs/security.md tells of them. Now they are counted."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rosgraph_msgs.msg import Clock
from uav_twin_migration.msg import (
    PolicyUpdate,
    TwinHost,
    TwinHostStatus,
    TwinState,
    UavHeartbeat,
)

from test.ros.conftest import RSU, UAV, Probe, Processes
from uav_twin_migration.deployment import topics
from uav_twin_migration.nodes.ros import convert, qos_profiles, twin_convert
from uav_twin_migration.nodes.ros.twin_convert import Heartbeat
from uav_twin_migration.policy import observation
from uav_twin_migration.twin.hosting.estimate import Telemetry
from uav_twin_migration.twin.protocol.epochs import LAST_TERM, make_epoch
from uav_twin_migration.twin.protocol.messages import (
    Holding,
    HostHeartbeat,
    HostReply,
    HostRequest,
    LeaseRenewal,
    Reason,
    Stamp,
)

NO_NAME = "no such/name!"
FAR_FUTURE = ((1 << 63) - 1, make_epoch(LAST_TERM - 2))


def artifact(shape: Any) -> PolicyUpdate:
    """A policy with one tensor of that shape."""
    header = json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]}}).encode()
    data = len(header).to_bytes(8, "little") + header + bytes(4)
    message = PolicyUpdate(version=9, artifact=data, observation_schema=observation.SCHEMA)
    message.sha256 = hashlib.sha256(data).hexdigest()
    return message


def host_status(rsu: str, epoch: int) -> TwinHostStatus:
    held = HostHeartbeat("uav_0", rsu, Holding.HOSTING, epoch, 1, Stamp(1, 1.0))
    return twin_convert.host_heartbeats_to_message(rsu, Stamp(1, 1.0), [held], {}, 0.0)


def heartbeat(fence: int, telemetry: Telemetry | None = None) -> UavHeartbeat:
    said = LeaseRenewal("uav_0", "rsu_0", fence, fence, Stamp(1, float("nan")))
    return twin_convert.uav_heartbeats_to_message([Heartbeat(said, telemetry, 1.0)], 0.0)


def nonsense() -> list[tuple[str, Any, Any]]:
    """What is said: topic, message, quality of service."""
    wild = Telemetry((1 << 64) - 1, 1e300, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    said: list[tuple[str, Any, Any]] = [
        (topics.POLICY_UPDATES, artifact({}), qos_profiles.LATCHED),
        (topics.POLICY_UPDATES, artifact([9] * 300_000), qos_profiles.LATCHED),
        (topics.TWIN_HOSTS, TwinHost(rsu_id="rsu_1", address="127.\ufffd", port=1), qos_profiles.LATCHED),
        (topics.TWIN_HOSTS, TwinHost(rsu_id=NO_NAME, address="127.0.0.1", port=1), qos_profiles.LATCHED),
        (topics.TWIN_HOST_HEARTBEATS, host_status(NO_NAME, 1 << 60), qos_profiles.MARKET),
        (topics.TWIN_UAV_HEARTBEATS, heartbeat(1, wild), qos_profiles.MARKET),
        (topics.DIAGNOSTICS, diagnostics("uav/uav_0", offer_to_grant_ms="abc"), 10),
        (topics.DIAGNOSTICS, diagnostics("uav/uav_0", **{"refused/forged": "9" * 5000}), 10),
    ]
    for fence in FAR_FUTURE:
        stale = HostReply("uav_0", "rsu_0", 1, Reason.STALE, fence)
        said += [
            (topics.TWIN_UAV_HEARTBEATS, heartbeat(fence), qos_profiles.MARKET),
            (topics.TWIN_HOST_HEARTBEATS, host_status("rsu_0", fence), qos_profiles.MARKET),
            (topics.TWIN_HOST_HEARTBEATS, host_status("rsu_1", fence), qos_profiles.MARKET),
            (topics.TWIN_REPLIES, twin_convert.reply_to_message(stale, None, 0.0), qos_profiles.MARKET),
            (
                topics.TWIN_REQUESTS,
                twin_convert.requests_to_message([HostRequest("uav_0", "rsu_0", fence, 1000)], 0.0),
                qos_profiles.MARKET,
            ),
        ]
    return said


def diagnostics(name: str, **values: str) -> DiagnosticArray:
    listed = [KeyValue(key=key, value=value) for key, value in values.items()]
    return DiagnosticArray(status=[DiagnosticStatus(name=name, values=listed)])


def repeat(probe: Probe) -> Callable[[], None]:
    """Publishes all the nonsense, again and again, with ever new RSUs' names between."""
    publishers: dict[tuple[str, type], Any] = {}
    said, invented = nonsense(), 0

    def publish() -> None:
        nonlocal invented
        names: list[tuple[str, Any, Any]] = []
        for _ in range(20):
            invented += 1
            names.append((topics.TWIN_HOST_HEARTBEATS, host_status(f"rsu_{invented}", 1), qos_profiles.MARKET))
            names.append((topics.TWIN_HOSTS, TwinHost(rsu_id=f"rsu_{invented}", port=1), qos_profiles.LATCHED))
        for topic, message, qos in (*said, *names):
            key = (topic, type(message))
            if key not in publishers:
                publishers[key] = probe.create_publisher(type(message), topic, qos)
            publishers[key].publish(message)

    return publish


def test_nothing_that_is_said_ends_a_node_or_a_twin(tmp_path: Path, processes: Processes, probe: Probe) -> None:
    states: list[TwinState] = []
    probe.create_subscription(TwinState, topics.TWIN_STATES, states.append, qos_profiles.MARKET)
    rsu = processes.start("rsu", "/rsu/rsu_0", **RSU, twin_store=str(tmp_path / "rsu_0.db"))
    uav = processes.start("uav", "/uav/uav_0", **UAV)
    monitor = processes.start("monitor", "", scenario="small", plain=True)
    probe.fly()
    probe.wait_for(lambda: states and any("uav_0" in got for got in probe.shares()), "a twin that is served, and trade")
    timer = probe.create_timer(0.25, repeat(probe))
    probe.wait_for(lambda: probe.refused().get("twin_bad_epoch", 0) >= 20, "epochs of the far future refused")
    probe.wait_for(lambda: probe.refused().get("twin_unknown_rsu", 0) >= 20, "names that are none refused")
    probe.destroy_timer(timer)
    since, newest = len(probe.grants), max(states[-1].stamps)
    probe.wait_for(lambda: sum(got.get("uav_0", 0.0) > 0.0 for got in probe.shares(since)) >= 3, "trade to go on")
    probe.wait_for(lambda: max(states[-1].stamps) > newest + 0.5, "the twin to be served on", patience=60.0)
    assert {state.rsu_id for state in states} == {"rsu_0"}
    assert [one.poll() for one in (rsu, uav, monitor)] == [None] * 3
    assert not {"unexpected", "twin_unexpected_error"} & {*probe.refused(), *probe.refused("uav/uav_0")}


def test_of_two_processes_with_one_id_the_earlier_falls_silent(
    tmp_path: Path, processes: Processes, probe: Probe
) -> None:
    """On a copy of the disk: users got two interleaved states of one epoch."""
    states: list[TwinState] = []
    said: list[TwinHostStatus] = []
    probe.create_subscription(TwinState, topics.TWIN_STATES, states.append, qos_profiles.MARKET)
    probe.create_subscription(TwinHostStatus, topics.TWIN_HOST_HEARTBEATS, said.append, qos_profiles.MARKET)
    processes.start("rsu", "/rsu/rsu_0", **RSU, twin_store=str(tmp_path / "rsu_0.db"))
    processes.start("uav", "/uav/uav_0", **UAV)
    probe.fly()

    def own() -> int:
        return max((one.incarnation for one in said), default=0)

    probe.wait_for(lambda: states and own(), "a twin that is served, and its host's own word")
    later = host_status("rsu_0", states[-1].epochs[0])
    later.incarnation = own() + 1
    publisher = probe.create_publisher(TwinHostStatus, topics.TWIN_HOST_HEARTBEATS, qos_profiles.MARKET)
    timer = probe.create_timer(0.2, lambda: publisher.publish(later))
    probe.wait_for(lambda: probe.refused().get("twin_duplicate_id", 0) >= 3, "the namesake noticed")
    states.clear()
    until = time.monotonic() + 2.0
    probe.wait_for(lambda: time.monotonic() > until, "two seconds")
    assert not states
    probe.destroy_timer(timer)
    probe.wait_for(lambda: bool(states), "service to go on, once the other is gone", patience=60.0)


def test_a_clock_before_zero_and_back_at_zero_ends_nothing(processes: Processes, probe: Probe) -> None:
    rsu = processes.start("rsu", "/rsu/rsu_0", **RSU, use_sim_time=True)
    shown = {"first": 100.0, "since": time.monotonic()}

    def tick() -> None:
        probe.clock_publisher.publish(Clock(clock=convert.to_time(shown["first"] + time.monotonic() - shown["since"])))

    probe.create_timer(0.05, tick)
    probe.wait_for(lambda: len(probe.offers) >= 3, "offers")
    for first in (-5.0, 0.0, 1000.0):
        shown.update(first=first, since=time.monotonic())
        probe.wait_for(lambda: time.monotonic() > shown["since"] + 1.0, "a second of that")
    last = len(probe.offers)
    probe.wait_for(lambda: len(probe.offers) >= last + 3, "offers, whatever the clock showed")
    assert rsu.poll() is None
