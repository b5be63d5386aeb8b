"""Watches a running market: a live table for people, a summary at the end. It publishes nothing."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from rclpy.node import Node

from uav_twin_migration.market.audit import Audit
from uav_twin_migration.msg import BandwidthDemand, BandwidthGrant, HostingDecision, LinkQuality, PriceOffer
from uav_twin_migration.nodes import convert, topics
from uav_twin_migration.nodes.display import Display
from uav_twin_migration.nodes.parameters import Parameter, declare
from uav_twin_migration.nodes.plan import NodeSpec, ProcessSpec
from uav_twin_migration.nodes.spin import run
from uav_twin_migration.nodes.timing import Timing, steady_timer
from uav_twin_migration.scenario.load import load

PARAMETERS = (
    Parameter("scenario", str, "scenario file, or the name of a shipped one"),
    Parameter("duration", 0.0, "simulated time after which to stop, s; 0 for never"),
    Parameter("json", "", "file for the summary, - for stdout, empty for none"),
    Parameter("plain", False, "print lines instead of a live table"),
    Parameter("sample_period", 1.0, "time between two comparisons with the equilibrium, s"),
    Parameter("processes", 0, "processes of the simulation, to be shown"),
    Parameter("seed", 0, "seed of the simulation, to be shown"),
)


def observer_process(
    scenario_file: str, duration: float | None, json_file: str | None, plain: bool, processes: int, seed: int
) -> ProcessSpec:
    """The observer of a simulation, as a process for the runner."""
    parameters = {
        "scenario": scenario_file,
        "duration": duration or 0.0,
        "json": json_file or "",
        "plain": plain,
        "processes": processes,
        "seed": seed,
        "use_sim_time": True,
    }
    return ProcessSpec("observer", (NodeSpec("observer", "", parameters),))


class ObserverNode(Node):
    """Feeds an `Audit` and a `Display`."""

    stop: Callable[[], None]

    def __init__(self, **options: Any) -> None:
        super().__init__("observer", **options)
        self._values = declare(self, PARAMETERS)
        self._scenario = load(self._values["scenario"])
        self._audit = Audit(self._scenario)
        self._timing = Timing(self)
        self._began = time.monotonic()
        self._first_grant: float | None = None
        self._sampled = -np.inf
        self._finished = False
        self.stop = lambda: None  # the spin puts its own here
        out = sys.stderr if self._values["json"] == "-" else sys.stdout
        self._display = Display(self._audit, out, self._values["plain"])
        self._display.start(self._values["processes"], self._values["seed"])
        market = topics.MARKET
        self.create_subscription(PriceOffer, topics.PRICE_OFFERS, self._on_offer, market)
        self.create_subscription(BandwidthDemand, topics.BANDWIDTH_DEMANDS, self._on_demand, market)
        self.create_subscription(BandwidthGrant, topics.BANDWIDTH_GRANTS, self._on_grant, market)
        self.create_subscription(HostingDecision, topics.HOSTING_DECISIONS, self._on_hosting, market)
        self.create_subscription(LinkQuality, topics.LINK_QUALITY, self._on_links, topics.MEASUREMENT)
        self.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, market)
        for uav in self._scenario.uavs:
            self._follow_motion(uav.id)
        steady_timer(self, 0.25, self._on_tick)

    def _follow_motion(self, uav: str) -> None:
        def on_odometry(message: Odometry) -> None:
            self._audit.on_motion(uav, *convert.motion_from_message(message))

        self.create_subscription(Odometry, topics.odometry(uav), on_odometry, topics.MEASUREMENT)

    def _on_offer(self, message: PriceOffer) -> None:
        self._audit.on_offer(convert.offer_from_message(message))

    def _on_demand(self, message: BandwidthDemand) -> None:
        if not convert.is_ragged(message):
            self._audit.on_bids(convert.all_bids(message))

    def _on_grant(self, message: BandwidthGrant) -> None:
        if convert.is_ragged(message):
            return
        self._audit.on_grant(self._timing.now(), convert.grant_from_message(message))
        if self._first_grant is None and message.uav_ids:
            self._first_grant = time.monotonic() - self._began
            self._display.say(f"first grant {self._first_grant:.1f} s after the start")

    def _on_hosting(self, message: HostingDecision) -> None:
        for uav, rsu in zip(message.uav_ids, message.rsu_ids, strict=False):
            self._audit.on_hosting(uav, rsu)

    def _on_links(self, message: LinkQuality) -> None:
        shape = (len(message.uav_ids), len(message.rsu_ids))
        if len(message.spectral_efficiency) == shape[0] * shape[1]:
            efficiency = np.asarray(message.spectral_efficiency, dtype=np.float64).reshape(shape)
            self._audit.on_links(message.uav_ids, message.rsu_ids, efficiency)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self._audit.on_diagnostics(status.name, {entry.key: entry.value for entry in status.values})

    def _on_tick(self) -> None:
        now = self._timing.now()
        if now - self._sampled >= self._values["sample_period"]:
            self._sampled = now
            self._audit.sample(now)
        self._display.update(now)
        duration = self._values["duration"]
        if duration and now >= duration:
            self.stop()

    def finish(self) -> None:
        """Say what was seen; once."""
        if self._finished:
            return
        self._finished = True
        summary = {**self._audit.summary(), "seed": self._values["seed"], "first_grant_s": self._first_grant}
        self._display.finish(summary)
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
    """``ros2 run uav_twin_migration observer``."""
    return run(lambda: [ObserverNode()])
