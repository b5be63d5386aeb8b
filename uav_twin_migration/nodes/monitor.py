"""Watches a running market: a live table for people, a page, a summary at the end. It tells nobody in the market."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uav_twin_migration import __version__
from uav_twin_migration.deployment import topics
from uav_twin_migration.monitor.foxglove import FoxgloveServer
from uav_twin_migration.monitor.html import page
from uav_twin_migration.monitor.listener import Listener
from uav_twin_migration.monitor.settling import Settling
from uav_twin_migration.monitor.terminal import Display
from uav_twin_migration.nodes.ros.guarded import Guarded
from uav_twin_migration.nodes.ros.markers import MarkerPublisher
from uav_twin_migration.nodes.ros.parameters import declare
from uav_twin_migration.nodes.ros.spin import run
from uav_twin_migration.nodes.ros.state_publisher import StatePublisher
from uav_twin_migration.nodes.ros.subscriptions import Subscriptions
from uav_twin_migration.nodes.ros.timing import Timing, steady_timer
from uav_twin_migration.scenario.load import load
from uav_twin_migration.scenario.settings import parameter

if TYPE_CHECKING:
    from uav_twin_migration.monitor.server import PageServer

TICK = 0.2  # s of wall time between two frames

PARAMETERS = (
    parameter("scenario", str, "scenario file, or the name of a shipped one"),
    parameter("duration", 0.0, "simulated time after which to stop, s; 0 for never"),
    parameter("json", "", "file for the summary, - for stdout, empty for none"),
    parameter("plain", False, "print lines instead of a live table"),
    parameter("verbose", False, "show all figures at the end instead of a summary in words"),
    parameter("sample_period", 1.0, "time between two comparisons with the equilibrium, s"),
    parameter("began", 0.0, "when the simulation was started, s of this machine's steady clock; 0 for now"),
    parameter("real_time_factor", 0.0, "simulated seconds per second that were wanted; 0: not to be compared"),
    parameter("processes", 0, "processes of the simulation, to be shown; 0: they have been"),
    parameter("link_namespaces", [], "namespaces in which UAVs' links are told to them alone"),
    parameter("seed", 0, "seed of the simulation, to be shown"),
    parameter("view_port", -1, "TCP port to serve the page at; 0 for any, -1 for no page"),
    parameter("view_address", "127.0.0.1", "address to serve the page at"),
    parameter("foxglove_port", 0, "TCP port, on loopback, that Foxglove can connect to; 0 for none"),
    parameter("view_token", "", "secret that viewers of the page need; must for an address that others can reach"),
)


class MonitorNode(Guarded):
    """Feeds a `Listener`, and shows what that gives."""

    stop: Callable[[], None]
    exit_code = 0  # 1: a twin was lost, doubled, set back, or left unserved

    def __init__(self, **options: Any) -> None:
        super().__init__("monitor", **options)
        self._values = declare(self, PARAMETERS)
        self._scenario = load(self._values["scenario"])
        self._timing = Timing(self)
        # a simulation's clock starts at 0 with its world; drones fly in the time of day
        self._started_at = 0.0 if self.get_parameter("use_sim_time").value else self._timing.now()
        self._began = self._values["began"] or time.monotonic()
        about = {"seed": str(self._values["seed"]), "version": __version__}
        self._listener = Listener(self._scenario, about, self._started_at)
        self._monitor, self._twins = self._listener.market_of_scenario, self._listener.twins
        self._sampled = 0
        self._ran_since: tuple[float, float] | None = None  # s, simulated and of wall time
        self._finished = False
        self.stop = lambda: None  # the spin puts its own here
        out = sys.stderr if self._values["json"] == "-" else sys.stdout
        self._display = Display(self._monitor, self._twins, out, self._values["plain"], self._values["verbose"])
        if self._values["processes"]:
            self._display.start(self._values["processes"], self._values["seed"])
        else:  # from now on there is somebody who sums up
            self._display.say("Ctrl-C stops")
        self._settling = Settling(self._monitor, self._display.say)
        self._publisher = StatePublisher(self)
        self._markers = MarkerPublisher(self)
        self._sinks = self._serve()
        subscriptions = Subscriptions(self, self._listener, self._timing.now, discover=False)
        for namespace in self._values["link_namespaces"]:
            subscriptions.follow_links(topics.own_link_quality(namespace))
        steady_timer(self, TICK, self._on_tick)

    def _serve(self) -> list[PageServer | FoxgloveServer]:
        """Who else shows what is seen here, as far as it is wanted: the page, Foxglove."""
        sinks: list[PageServer | FoxgloveServer] = []
        address, port = self._values["view_address"], self._values["view_port"]
        if port >= 0:
            from uav_twin_migration.monitor.server import PageServer  # asyncio takes a while to load

            server = PageServer(page(), address, port, self._values["view_token"])
            self._display.say(f"the city is at {server.url}")
            sinks.append(server)
        if self._values["foxglove_port"]:
            sinks.append(FoxgloveServer(self._values["foxglove_port"]))
        return sinks

    def _now(self) -> float:
        """Time since the start of the run, s."""
        return self._timing.now() - self._started_at

    def _on_tick(self) -> None:
        now = self._now()
        if self._ran_since is None and now > 0.0:
            self._ran_since = (now, time.monotonic())
        sample = math.floor(now / self._values["sample_period"] + 0.5)  # half-way: rounds start at whole periods
        sampled, self._sampled = sample != self._sampled, sample
        frame = self._listener.frame(self._timing.now(), sampled)
        cast = self._listener.city.cast()
        self._publisher.publish(cast, frame)
        self._markers.publish(cast, frame)
        for sink in self._sinks:
            sink.show(cast, frame)
        self._settling.look(time.monotonic() - self._began)
        self._display.update(now)
        duration = self._values["duration"]
        if duration and now >= duration:
            self.stop()

    def finish(self) -> None:
        """Say what was seen; once."""
        if self._finished:
            return
        self._finished = True
        summary = {
            **self._listener.summary(),
            "first_grant_s": self._settling.first_grant,
            "first_full_round_s": self._settling.first_full_round,
            "messages_per_s": self._listener.messages / max(time.monotonic() - self._began, 1e-3),
            "seed": self._values["seed"],
            "real_time_factor": self._real_time_factor(),
            "real_time_factor_wanted": self._values["real_time_factor"] or None,
        }
        self._display.finish(summary)
        self.exit_code = 0 if self._twins.is_flawless else 1
        target = self._values["json"]
        if target == "-":
            print(json.dumps(summary, indent=2), flush=True)
        elif target:
            Path(target).write_text(json.dumps(summary, indent=2) + "\n")

    def _real_time_factor(self) -> float | None:
        """Simulated seconds in a second, on average; None where nothing ran for a second."""
        if self._ran_since is None or time.monotonic() < self._ran_since[1] + 1.0:
            return None
        simulated, since = self._ran_since
        return (self._now() - simulated) / (time.monotonic() - since)

    def destroy_node(self) -> None:
        """Finish before the node goes."""
        self.finish()
        for sink in self._sinks:
            sink.close()
        super().destroy_node()


def main() -> int:
    """``ros2 run uav_twin_migration monitor``."""
    return run(lambda: [MonitorNode()])
