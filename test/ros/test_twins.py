"""Twins on real RSU and UAV processes: hosted, moved, killed, drained, attacked."""

from __future__ import annotations

import math
import signal
from pathlib import Path
from typing import Any

import pytest
from lifecycle_msgs.msg import Transition
from nav_msgs.msg import Odometry
from uav_twin_migration.action import MigrateTwin
from uav_twin_migration.msg import (
    LinkQuality,
    MigrationReport,
    TwinHost,
    TwinHostStatus,
    TwinReply,
    TwinRequest,
    TwinState,
    UavHeartbeat,
)

from test.ros.conftest import PATIENCE, RSU, UAV, Probe, Processes
from test.ros.forge import Process
from test.twin.files import delete
from uav_twin_migration.deployment import topics
from uav_twin_migration.nodes.ros import qos_profiles
from uav_twin_migration.twin.protocol.epochs import make_epoch

LEASE = 1.0  # s, so that tests of silence are short
GIVEN_UP = 2.5  # s of silence after which the UAV takes its host for lost
QUICK = {"twin_lease": LEASE}
SMALL = 8.0  # Mbit
LATE = 3.0  # s behind its twin, from which on a replica is called late


class Town:
    """Two RSUs and a UAV between them; the test says which RSU the UAV can reach.

    The UAV waits for a host that is silent, however slow the machine is, unless it is told to give it up.
    """

    def __init__(
        self,
        processes: Processes,
        probe: Probe,
        folder: Path,
        size: float = SMALL,
        replicas: str = "none",
        rehost_after: float = 2.0 * PATIENCE,
        drain_on_stop: bool = False,
    ) -> None:
        self.processes, self.probe, self.folder = processes, probe, folder
        self.drain_on_stop = drain_on_stop
        self.reachable: tuple[str, ...] = ("rsu_0", "rsu_1")
        self.states: list[TwinState] = []
        self.reports: list[MigrationReport] = []
        self.host_heartbeats: dict[str, TwinHostStatus] = {}
        self.addresses: dict[str, TwinHost] = {}
        self.replies: list[TwinReply] = []
        probe.create_subscription(TwinReply, topics.TWIN_REPLIES, self.replies.append, qos_profiles.MARKET)
        probe.create_subscription(TwinState, topics.TWIN_STATES, self.states.append, qos_profiles.MARKET)
        probe.create_subscription(MigrationReport, topics.MIGRATIONS, self.reports.append, qos_profiles.MARKET)
        probe.create_subscription(
            TwinHostStatus, topics.TWIN_HOST_HEARTBEATS, self._on_host_heartbeat, qos_profiles.MARKET
        )
        probe.create_subscription(TwinHost, topics.TWIN_HOSTS, self._on_host, qos_profiles.LATCHED_BY_MANY)
        self._odometry = probe.create_publisher(Odometry, topics.odometry("uav_0"), qos_profiles.ODOMETRY)
        probe.create_timer(0.1, self._fly)
        self.rsus = {rsu: self.start_rsu(rsu) for rsu in ("rsu_0", "rsu_1")}
        twin = {"twin_size": size, "replicas": replicas, "rehost_after": rehost_after}
        self.uav: Process = processes.start("uav", "/uav/uav_0", **UAV | QUICK | twin)

    def start_rsu(self, rsu: str, **more: Any) -> Any:
        """An RSU with its store."""
        twins = {"rsu_id": rsu, "twin_store": str(self.folder / f"{rsu}.db"), "twin_lease": LEASE, "twin_beat": 0.2}
        more |= {"drain_on_stop": self.drain_on_stop}
        return self.processes.start("rsu", f"/rsu/{rsu}", **RSU | twins | more)

    def host(self) -> str:
        """Who spoke last for the twin."""
        return self.states[-1].rsu_id if self.states else ""

    def wait_for_host(self, rsu: str, newer_than: int = 0) -> None:
        """Until users hear of the twin from that RSU, under a newer epoch."""
        self.probe.wait_for(
            lambda: self.host() == rsu and self.states[-1].epochs[0] > newer_than, f"a twin served by {rsu}"
        )

    def epoch(self) -> int:
        """Of the last state heard."""
        return int(self.states[-1].epochs[0])

    def says(self, rsu: str, holding: str) -> bool:
        """Whether an RSU told last that it has the twin so."""
        return rsu in self.host_heartbeats and holding in self.host_heartbeats[rsu].holdings

    def replica(self, newer_than: int = 0) -> str:
        """Which RSU has a replica that is hardly behind and newer than that version, as the host says."""
        if not self.says(self.host(), "hosting"):
            return ""
        said = self.host_heartbeats[self.host()]
        follows = said.replica_ages[0] < 0.5 * LATE and said.replica_versions[0] > newer_than
        return str(said.replicas[0]) if follows else ""

    def wait_for_replica(self) -> tuple[str, str]:
        """Until there is one of what users have seen; who hosts the twin and who has the copy."""
        self.probe.wait_for(self.replica, "a replica")
        version = self.host_heartbeats[self.host()].versions[0]
        self.probe.wait_for(lambda: self.replica(version), "a replica that follows")
        return self.host(), self.replica(version)

    def check_states(self) -> None:
        """Users never saw an older hosting after a newer one, nor two hosts of one epoch."""
        epochs = [state.epochs[0] for state in self.states]
        assert epochs == sorted(epochs)
        hosts = {(state.epochs[0], state.rsu_id) for state in self.states}
        assert len({epoch for epoch, _ in hosts}) == len(hosts)

    def _on_host_heartbeat(self, message: TwinHostStatus) -> None:
        self.host_heartbeats[message.rsu_id] = message

    def _on_host(self, message: TwinHost) -> None:
        self.addresses[message.rsu_id] = message

    def _fly(self) -> None:
        place = Odometry()
        place.header.stamp = self.probe.get_clock().now().to_msg()
        place.pose.pose.position.x, place.pose.pose.position.z = 100.0, 100.0
        place.pose.pose.orientation.w = 1.0
        self._odometry.publish(place)
        efficiency = [5.0 if rsu in self.reachable else 0.0 for rsu in ("rsu_0", "rsu_1")]
        links = LinkQuality(uav_ids=["uav_0"], rsu_ids=["rsu_0", "rsu_1"], spectral_efficiency=efficiency)
        self.probe.link_publisher.publish(links)


def test_a_twin_is_hosted_and_follows_its_uav(processes: Processes, probe: Probe, tmp_path: Path) -> None:
    town = Town(processes, probe, tmp_path)
    town.reachable = ("rsu_0",)
    town.wait_for_host("rsu_0")
    first = town.epoch()
    state = town.states[-1]
    assert state.uav_ids == ["uav_0"]
    assert math.dist(state.positions, (100.0, 0.0, 100.0)) < 3.0
    town.reachable = ("rsu_1",)
    town.wait_for_host("rsu_1", newer_than=first)
    probe.wait_for(lambda: any(not one.reason for one in town.reports), "the report of the migration")
    report = next(one for one in town.reports if not one.reason)
    assert (report.uav_id, report.source, report.target) == ("uav_0", "rsu_0", "rsu_1")
    assert report.size > SMALL  # the payload and the history
    assert 0.0 < report.downtime < report.age_of_migration
    assert report.achieved_rate <= 1.1 * report.granted_rate
    town.check_states()


def test_kill_9_of_the_source_in_mid_migration_loses_nothing(
    processes: Processes, probe: Probe, tmp_path: Path
) -> None:
    town = Town(processes, probe, tmp_path, size=100.0)
    town.reachable = ("rsu_0",)
    town.wait_for_host("rsu_0")
    first = town.epoch()
    progress: list[Any] = []
    feedback = "/rsu/rsu_0/migrate_twin/_action/feedback"
    probe.create_subscription(MigrateTwin.Impl.FeedbackMessage, feedback, progress.append, 10)
    town.reachable = ("rsu_1",)
    probe.wait_for(lambda: town.says("rsu_0", "hosting"), "its host heartbeat")
    probe.wait_for(lambda: any(half_done(message.feedback) for message in progress), "a migration, half done")
    town.rsus["rsu_0"].send_signal(signal.SIGKILL)
    town.rsus["rsu_0"].wait()
    before = town.host_heartbeats["rsu_0"]
    town.start_rsu("rsu_0")
    probe.wait_for(lambda: speaks_again(town.host_heartbeats["rsu_0"], before), "the source, restarted")
    after = town.host_heartbeats["rsu_0"]
    assert (after.holdings, after.epochs[0]) == (["hosting"], first)
    assert after.versions[0] >= before.versions[0]
    town.wait_for_host("rsu_1", newer_than=first)
    probe.wait_for(lambda: town.says("rsu_1", "hosting"), "a host that says so")
    assert town.host_heartbeats["rsu_1"].versions[0] >= after.versions[0]
    town.check_states()


def speaks_again(said: TwinHostStatus, before: TwinHostStatus) -> bool:
    """Whether an RSU speaks of twins in another life than before."""
    return bool(said.incarnation > before.incarnation and len(said.uav_ids) > 0)


def half_done(feedback: Any) -> bool:
    """Whether some of the twin is at the target, and some is not."""
    return bool(0.1 * feedback.size < feedback.remaining < 0.9 * feedback.size)


def test_a_host_that_is_gone_for_good_is_replaced_and_fenced_when_it_returns(
    processes: Processes, probe: Probe, tmp_path: Path
) -> None:
    town = Town(processes, probe, tmp_path, rehost_after=GIVEN_UP)
    town.reachable = ("rsu_0",)
    town.wait_for_host("rsu_0")
    first = town.epoch()
    town.reachable = ("rsu_0", "rsu_1")
    town.rsus["rsu_0"].send_signal(signal.SIGKILL)
    town.rsus["rsu_0"].wait()
    town.wait_for_host("rsu_1", newer_than=first)
    town.host_heartbeats.pop("rsu_0", None)
    town.start_rsu("rsu_0")
    probe.wait_for(lambda: town.says("rsu_0", "fenced"), "the old host, fenced")
    town.check_states()


def test_a_replica_takes_over_when_its_host_is_lost_with_its_disk(
    processes: Processes, probe: Probe, tmp_path: Path
) -> None:
    town = Town(processes, probe, tmp_path, replicas="one", rehost_after=GIVEN_UP)
    host, replica_host = town.wait_for_replica()
    epoch = town.epoch()
    assert {host, replica_host} == {"rsu_0", "rsu_1"}
    town.rsus[host].send_signal(signal.SIGKILL)
    town.rsus[host].wait()
    delete(tmp_path / f"{host}.db")
    seen = town.states[-1].stamps[0]
    town.wait_for_host(replica_host, newer_than=epoch)

    def taken_over() -> Any:
        return [one for one in town.replies if one.epochs[0] > epoch and not one.reasons[0]]

    probe.wait_for(taken_over, "what the UAV was told")
    reply = taken_over()[0]
    assert (reply.rsu_id, list(reply.restored)) == (replica_host, [True])
    assert seen - reply.as_of[0] < LATE  # s of what users had seen
    town.start_rsu(host)
    probe.wait_for(lambda: town.replica() == host, "a replica on the new disk")
    town.check_states()


def test_a_host_that_returns_after_a_takeover_gets_the_replica(
    processes: Processes, probe: Probe, tmp_path: Path
) -> None:
    town = Town(processes, probe, tmp_path, replicas="one", rehost_after=GIVEN_UP)
    host, replica_host = town.wait_for_replica()
    epoch = town.epoch()
    town.rsus[host].send_signal(signal.SIGKILL)
    town.rsus[host].wait()
    town.wait_for_host(replica_host, newer_than=epoch)
    town.start_rsu(host)
    probe.wait_for(lambda: town.says(host, "replica"), "that it keeps a replica")
    assert town.host() == replica_host
    town.check_states()


def test_an_rsu_that_is_deactivated_has_its_twins_moved_away(
    processes: Processes, probe: Probe, tmp_path: Path
) -> None:
    town = Town(processes, probe, tmp_path)
    town.reachable = ("rsu_0",)
    town.wait_for_host("rsu_0")
    first = town.epoch()
    probe.change_state(Transition.TRANSITION_DEACTIVATE)
    town.wait_for_host("rsu_1", newer_than=first)

    def draining() -> bool:
        return "rsu_0" in town.addresses and town.addresses["rsu_0"].draining

    probe.wait_for(draining, "word that rsu_0 takes no more twins")
    town.check_states()


def test_an_rsu_that_is_stopped_has_its_twins_moved_away_first(
    processes: Processes, probe: Probe, tmp_path: Path
) -> None:
    town = Town(processes, probe, tmp_path, drain_on_stop=True)
    town.reachable = ("rsu_0",)
    town.wait_for_host("rsu_0")
    probe.wait_for(lambda: "rsu_1" in town.addresses, "somebody to move to")
    first = town.epoch()
    town.rsus["rsu_0"].send_signal(signal.SIGTERM)
    town.wait_for_host("rsu_1", newer_than=first)
    assert town.rsus["rsu_0"].wait(PATIENCE) == 0
    town.check_states()


def test_forged_words_about_twins_change_nothing(processes: Processes, probe: Probe, tmp_path: Path) -> None:
    town = Town(processes, probe, tmp_path)
    town.reachable = ("rsu_0",)
    town.wait_for_host("rsu_0")
    epoch = town.epoch()
    heartbeats = probe.create_publisher(UavHeartbeat, topics.TWIN_UAV_HEARTBEATS, qos_profiles.MARKET)
    host_heartbeats = probe.create_publisher(TwinHostStatus, topics.TWIN_HOST_HEARTBEATS, qos_profiles.MARKET)
    requests = probe.create_publisher(TwinRequest, topics.TWIN_REQUESTS, qos_profiles.MARKET)

    def attack() -> None:
        heartbeats.publish(UavHeartbeat(uav_ids=["uav_0"], hosts=["rsu_1"]))  # of mismatched lengths
        heartbeats.publish(heartbeat("x" * 10_000, "rsu_0", 5))
        heartbeats.publish(heartbeat("uav_7", "rsu_0", 2**64 - 1))  # no epoch
        elsewhere = heartbeat("uav_0", "rsu_0", epoch)
        elsewhere.replica_hosts = ["y" * 10_000]
        heartbeats.publish(elsewhere)
        nowhere = heartbeat("uav_0", "rsu_0", epoch)
        nowhere.rates = [math.inf]  # would lift the limit of a migration
        nowhere.sequences, nowhere.positions = [2**62], [math.nan, math.inf, 1e300]
        heartbeats.publish(nowhere)
        claim = TwinHostStatus(
            rsu_id="rsu_9", incarnation=1, time=1.0, uav_ids=["uav_0"], holdings=["hosting"], versions=[1]
        )
        claim.epochs, claim.successors = [epoch + 10], [""]
        claim.replicas, claim.replica_versions, claim.replica_ages = ["rsu_9"], [2**60], [0.0]
        host_heartbeats.publish(claim)  # it never held the twin
        host_heartbeats.publish(TwinHostStatus(rsu_id="rsu_9", uav_ids=["uav_0"], holdings=["nonsense"]))
        for size in (1e8, math.nan):
            request = TwinRequest(uav_ids=["uav_8"], rsu_ids=["rsu_0"], epochs=[make_epoch(9)], sizes=[size])
            request.least_epochs, request.least_versions = [0], [0]
            requests.publish(request)

    probe.create_timer(0.2, attack)
    expected = {"twin_length_mismatch", "twin_unknown_rsu", "twin_bad_epoch", "twin_rate"}
    probe.wait_for(lambda: expected <= probe.refused().keys(), f"{expected}")
    heard = len(town.states)
    probe.wait_for(lambda: len(town.states) > heard + 10, "the twin, served on")
    assert {(state.rsu_id, state.epochs[0]) for state in town.states} == {("rsu_0", epoch)}
    assert town.uav.poll() is None
    assert town.rsus["rsu_0"].poll() is None


def heartbeat(uav: str, host: str, epoch: int) -> UavHeartbeat:
    """What a UAV might say."""
    return UavHeartbeat(
        uav_ids=[uav],
        hosts=[host],
        replica_hosts=[""],
        epochs=[epoch],
        newest_epochs=[epoch],
        stamp_incarnations=[0],
        stamp_times=[0.0],
        sequences=[0],
        telemetry_stamps=[0.0],
        positions=[0.0] * 3,
        velocities=[0.0] * 3,
        rates=[1.0],
    )


def test_a_store_that_is_none_is_said_and_left_alone(processes: Processes, probe: Probe, tmp_path: Path) -> None:
    store = tmp_path / "rsu_0.db"
    store.write_text("holiday pictures")
    processes.start("rsu", "/rsu/rsu_0", **RSU | {"twin_store": str(store)})
    probe.wait_for(lambda: probe.diagnostics.get("rsu/rsu_0", {}).get("trouble"), "word of the trouble")
    assert str(store) in probe.diagnostics["rsu/rsu_0"]["trouble"]
    probe.wait_for(lambda: probe.offers, "an offer: the market goes on")
    assert store.read_text() == "holiday pictures"


@pytest.mark.parametrize("values", [{"twin_port": 70000}, {"twin_keys": "/nowhere"}, {"twin_address": "192.0.2.1"}])
def test_settings_of_twins_that_cannot_work_are_refused(
    processes: Processes, tmp_path: Path, values: dict[str, Any]
) -> None:
    twins = {"twin_store": str(tmp_path / "rsu_0.db")}
    rsu = processes.start("rsu", "/rsu/rsu_0", **RSU | twins | values)
    _, errors = rsu.communicate(timeout=PATIENCE)
    assert rsu.returncode == 2
    assert "Traceback" not in errors


def test_an_rsu_speaks_of_a_twin_only_while_it_hears_the_uav(
    processes: Processes, probe: Probe, tmp_path: Path
) -> None:
    """One that is heard and hears nothing would else keep the twin for ever, and could not serve it."""
    town = Town(processes, probe, tmp_path)
    town.reachable = ("rsu_0",)
    town.wait_for_host("rsu_0")
    probe.wait_for(lambda: town.says("rsu_0", "hosting"), "word of the twin")
    assert town.host_heartbeats["rsu_0"].uav_ids == ["uav_0"]
    town.uav.kill()
    probe.wait_for(lambda: len(town.host_heartbeats["rsu_0"].uav_ids) == 0, "silence about the twin")
    town.states.clear()
    processes.start("uav", "/uav/uav_0", **UAV | QUICK | {"twin_size": SMALL})
    town.wait_for_host("rsu_0")
