"""Watches a running market: a live table for people, a summary at the end. It publishes nothing."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry

from uav_twin_migration.monitor.market import MarketMonitor
from uav_twin_migration.monitor.terminal import Display
from uav_twin_migration.monitor.twins import TwinMonitor
from uav_twin_migration.msg import (
    BandwidthDemand,
    BandwidthGrant,
    HostingDecision,
    LinkQuality,
    MigrationReport,
    PriceOffer,
    TwinHostStatus,
    TwinReply,
    TwinState,
)
from uav_twin_migration.nodes.ros import convert, topics, twin_convert
from uav_twin_migration.nodes.ros.guarded import Guarded
from uav_twin_migration.nodes.ros.parameters import declare
from uav_twin_migration.nodes.ros.spin import run
from uav_twin_migration.nodes.ros.timing import Timing, steady_timer
from uav_twin_migration.scenario.load import load
from uav_twin_migration.scenario.settings import parameter
from uav_twin_migration.twin.protocol.messages import Holding

SETTLING = 2.5  # s after the first full round until every node has reported its start

PARAMETERS = (
    parameter("scenario", str, "scenario file, or the name of a shipped one"),
    parameter("duration", 0.0, "simulated time after which to stop, s; 0 for never"),
    parameter("json", "", "file for the summary, - for stdout, empty for none"),
    parameter("plain", False, "print lines instead of a live table"),
    parameter("verbose", False, "show all figures at the end instead of a summary in words"),
    parameter("sample_period", 1.0, "time between two comparisons with the equilibrium, s"),
    parameter("began", 0.0, "when the simulation was started, s of this machine's steady clock; 0 for now"),
    parameter("processes", 0, "processes of the simulation, to be shown"),
    parameter("seed", 0, "seed of the simulation, to be shown"),
)


class MonitorNode(Guarded):
    """Feeds an `MarketMonitor` and a `Display`."""

    stop: Callable[[], None]
    exit_code = 0  # 1: a twin was lost, doubled, set back, or left unserved

    def __init__(self, **options: Any) -> None:
        super().__init__("monitor", **options)
        self._values = declare(self, PARAMETERS)
        self._scenario = load(self._values["scenario"])
        self._monitor = MarketMonitor(self._scenario)
        self._twins = TwinMonitor()
        self._timing = Timing(self)
        # a simulation's clock starts at 0 with its world; drones fly in the time of day
        self._started_at = 0.0 if self.get_parameter("use_sim_time").value else self._timing.now()
        self._began = self._values["began"] or time.monotonic()
        self._first_grant: float | None = None  # s since the start
        self._first_full_round: float | None = None  # s since the start
        self._messages = 0
        self._sampled = 0
        self._finished = False
        self.stop = lambda: None  # the spin puts its own here
        out = sys.stderr if self._values["json"] == "-" else sys.stdout
        self._display = Display(self._monitor, self._twins, out, self._values["plain"], self._values["verbose"])
        self._display.start(self._values["processes"], self._values["seed"])
        market = topics.MARKET
        self._listen(PriceOffer, topics.PRICE_OFFERS, self._on_offer, market)
        self._listen(BandwidthDemand, topics.BANDWIDTH_DEMANDS, self._on_demand, market)
        self._listen(BandwidthGrant, topics.BANDWIDTH_GRANTS, self._on_grant, market)
        self._listen(HostingDecision, topics.HOSTING_DECISIONS, self._on_hosting, topics.LATCHED_BY_MANY)
        self._listen(LinkQuality, topics.LINK_QUALITY, self._on_links, topics.MEASUREMENT)
        self._listen(TwinState, topics.TWIN_STATES, self._on_states, topics.REPEATED)
        self._listen(TwinReply, topics.TWIN_REPLIES, self._on_replies, market)
        self._listen(TwinHostStatus, topics.TWIN_HOST_HEARTBEATS, self._on_host_heartbeats, market)
        self._listen(MigrationReport, topics.MIGRATIONS, self._on_report, market)
        self._listen(DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, market)
        for uav in self._scenario.uavs:
            self._follow_motion(uav.id)
        steady_timer(self, 0.25, self._on_tick)

    def _listen(self, kind: Any, topic: str, callback: Callable[[Any], None], qos: Any) -> None:
        """Subscribe and count the messages."""

        def count(message: Any) -> None:
            self._messages += 1
            callback(message)

        names = {topics.in_region(rsu.region, topic) for rsu in self._scenario.rsus}
        for name in sorted(names):
            self.create_subscription(kind, name, count, qos)

    def _follow_motion(self, uav: str) -> None:
        def on_odometry(message: Odometry) -> None:
            self._monitor.on_motion(uav, *convert.motion_from_message(message))

        self._listen(Odometry, topics.odometry(uav), on_odometry, topics.MEASUREMENT)

    def _on_offer(self, message: PriceOffer) -> None:
        self._monitor.on_offer(convert.offer_from_message(message))

    def _on_demand(self, message: BandwidthDemand) -> None:
        if not convert.has_length_mismatch(message):
            self._monitor.on_bids(convert.all_bids(message))

    def _on_grant(self, message: BandwidthGrant) -> None:
        if convert.has_length_mismatch(message):
            return
        self._monitor.on_grant(self._now(), convert.grant_from_message(message))
        if self._first_grant is None and message.uav_ids:
            self._first_grant = time.monotonic() - self._began
            self._display.say(f"first grant {self._first_grant:.1f} s after the start")

    def _on_hosting(self, message: HostingDecision) -> None:
        for uav, rsu in zip(message.uav_ids, message.rsu_ids, strict=False):
            self._monitor.on_hosting(uav, rsu)

    def _on_links(self, message: LinkQuality) -> None:
        shape = (len(message.uav_ids), len(message.rsu_ids))
        if len(message.spectral_efficiency) == shape[0] * shape[1]:
            efficiency = np.asarray(message.spectral_efficiency, dtype=np.float64).reshape(shape)
            self._monitor.on_links(message.uav_ids, message.rsu_ids, efficiency)

    def _on_states(self, message: TwinState) -> None:
        now = self._timing.now()
        for state in twin_convert.states_from_message(message):
            if state.uav not in self._monitor.uav_index:
                continue
            self._twins.on_state(now, state, self._monitor.position_of(state.uav))

    def _on_replies(self, message: TwinReply) -> None:
        for reply in twin_convert.replies_from_message(message):
            if reply.reason is None and not reply.restored:
                self._twins.on_begun_anew(reply.uav, reply.epoch)
        for takeover in twin_convert.takeovers_from_message(message):
            self._twins.on_takeover(*takeover)

    def _on_host_heartbeats(self, message: TwinHostStatus) -> None:
        for held in twin_convert.host_heartbeats_from_message(message):
            if held.holding is Holding.HOSTING and held.uav in self._monitor.uav_index:
                self._twins.on_version(held.uav, held.rsu, held.epoch, held.version)
        for _, age in twin_convert.replica_ages_from_message(message):
            self._twins.on_replica(age)

    def _on_report(self, message: MigrationReport) -> None:
        self._twins.on_report(twin_convert.report_from_message(message))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self._monitor.on_diagnostics(status.name, {entry.key: entry.value for entry in status.values})

    def _now(self) -> float:
        """Time since the start of the run, s."""
        return self._timing.now() - self._started_at

    def _on_tick(self) -> None:
        now = self._now()
        sample = math.floor(now / self._values["sample_period"] + 0.5)  # half-way: rounds start at whole periods
        if sample != self._sampled:
            self._sampled = sample
            self._monitor.sample(now)
            self._twins.sample(self._timing.now())
        self._notice_steady_state()
        self._display.update(now)
        duration = self._values["duration"]
        if duration and now >= duration:
            self.stop()

    def _notice_steady_state(self) -> None:
        """The first full round, and a little later, when nodes have reported what came before it, the steady state."""
        elapsed = time.monotonic() - self._began
        if self._first_full_round is None and self._monitor.everybody_served():
            self._first_full_round = elapsed
            self._display.say(f"first full round {elapsed:.1f} s after the start")
        if not self._monitor.full and self._first_full_round and elapsed > self._first_full_round + SETTLING:
            self._monitor.start_steady_state()

    def finish(self) -> None:
        """Say what was seen; once."""
        if self._finished:
            return
        self._finished = True
        summary = {
            **self._monitor.summary(),
            **self._twins.summary(),
            "first_grant_s": self._first_grant,
            "first_full_round_s": self._first_full_round,
            "messages_per_s": self._messages / max(time.monotonic() - self._began, 1e-3),
            "seed": self._values["seed"],
        }
        self._display.finish(summary)
        self.exit_code = 0 if self._twins.is_flawless else 1
        target = self._values["json"]
        if target == "-":
            print(json.dumps(summary, indent=2), flush=True)
        elif target:
            Path(target).write_text(json.dumps(summary, indent=2) + "\n")

    def destroy_node(self) -> None:
        """Finish before the node goes."""
        self.finish()
        super().destroy_node()


def main() -> int:
    """``ros2 run uav_twin_migration monitor``."""
    return run(lambda: [MonitorNode()])
