"""A city on this machine that runs for long and fast: RSUs as their hosts run them, restarted now and then.

Every RSU is a process of its own, started by `uavtwin rsu run` on a host directory of its own, with its keys; the other
nodes are those of a simulation. What is said in the market is heard by a watcher (nodes/watch.py) and audited.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from uav_twin_migration.cli.rsu_init import bring_keys, parameters_of, write_files
from uav_twin_migration.deployment.host_directory import (
    FAST_DDS_FILE,
    KEYS,
    STORE,
    EdgeHost,
)
from uav_twin_migration.deployment.options import Options
from uav_twin_migration.deployment.plan import ProcessSpec, plan
from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.market.messages import Grant
from uav_twin_migration.monitor.market import MarketMonitor
from uav_twin_migration.monitor.twins import State, TwinMonitor
from uav_twin_migration.nodes.ros.children import die_with_parent
from uav_twin_migration.scenario.load import save
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.studies.harnesses.ports import free_ports

PYTHON = [sys.executable, "-m"]
REHOST_AFTER = 300.0  # s; whoever is restarted is not dead
PATIENCE = 120.0  # s until something that must come has not come
RECORDER_FILE = 3600.0  # s, simulated, of one file of the recording
GOODBYE = 20.0  # s that a process has to end when it is told to
ATTACKER = 5000.0  # messages/s that one process says at most
SOMEWHERE = (0.0, 0.0, 0.0)


class Hearing:
    """What the watcher heard, added up as it comes in."""

    def __init__(self, scenario: Scenario) -> None:
        self.market, self.twins = MarketMonitor(scenario), TwinMonitor()
        self._capacity = {rsu.id: rsu.capacity for rsu in scenario.rsus}
        self._offered: dict[tuple[str, int], float] = {}
        self._latencies: dict[str, list[float]] = {rsu: [] for rsu in self._capacity}
        self.offering: set[str] = set()
        self.oversold = 0
        self.rounds: Counter[str] = Counter()
        self.grants: dict[str, list[float]] = {rsu: [] for rsu in self._capacity}  # when somebody got something
        self.states: dict[str, float] = {}  # UAV -> when its twin was last served

    def hear(self, event: dict[str, Any]) -> None:
        """One event of the watcher."""
        handler: Callable[[dict[str, Any]], None] | None = getattr(self, "_on_" + event["kind"], None)
        if handler is not None:
            handler(event)

    def latencies(self, rsu: str) -> list[float]:
        """From an RSU's offers to its grants, ms, since this was last asked; the time to answer is part of it."""
        latencies, self._latencies[rsu] = self._latencies[rsu], []
        return latencies

    def _on_offer(self, event: dict[str, Any]) -> None:
        if event["rsu"] in self._capacity:
            self.offering.add(event["rsu"])
            self._offered[event["rsu"], event["round"]] = event["at"]

    def _on_grant(self, event: dict[str, Any]) -> None:
        rsu, at = event["rsu"], event["at"]
        offered = self._offered.pop((rsu, event["round"]), None)
        if offered is None:
            return  # somebody says so who is no RSU, or for a round that there was not
        self._latencies[rsu].append(1e3 * (at - offered))
        self.rounds[rsu] += 1
        if event["served"]:
            self.grants[rsu].append(at)
        self.market.on_grant(event["said"], Grant(rsu, event["round"], event["price"], event["shares"], event["lease"]))
        leased = self.market.leases(event["said"])[:, self.market.rsu_index[rsu]].sum()
        self.oversold += leased > self._capacity[rsu] * (1.0 + 1e-9)

    def _on_begun(self, event: dict[str, Any]) -> None:
        self.twins.on_begun_anew(event["uav"], event["epoch"])

    def _on_state(self, event: dict[str, Any]) -> None:
        for uav, epoch in event["twins"].items():
            self.states[uav] = event["at"]
            self.twins.on_state(event["at"], State(uav, event["rsu"], epoch, 0.0, SOMEWHERE), None)


class LongRunningCity:
    """The processes, by name."""

    def __init__(self, folder: Path, scenario: Scenario, speed: float, domain: int, record: bool = True) -> None:
        """speed: simulated seconds in a second. folder: for stores, keys, logs and the recording."""
        self.folder, self.scenario, self._speed = folder, scenario, speed
        self.rsus = [rsu.id for rsu in scenario.rsus]
        self.hearing, self.lock = Hearing(scenario), threading.Lock()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.started: dict[str, float] = {}
        self.incarnations: Counter[str] = Counter()
        self.file, self._domain = str(folder / "scenario.yaml"), domain
        self.recording = folder / "recording"
        options = Options(
            real_time_factor=speed,
            compose="uav_container",
            twin_stores=str(folder),
            record=str(self.recording) if record else "",
        )
        specs = plan(scenario, self.file, options)
        self._others = [spec for spec in specs if not any(node.executable == "rsu" for node in spec.nodes)]
        self._commands = {spec.name: self._command_of(spec) for spec in self._others}
        self._commands |= {
            rsu: [*PYTHON, "uav_twin_migration.cli", "rsu", "run", str(folder / rsu)] for rsu in self.rsus
        }

    def _command_of(self, spec: ProcessSpec) -> list[str]:
        key = str(self.folder / "keys" / "market.pub")
        nodes = []
        for node in spec.nodes:
            further: dict[str, dict[str, Any]] = {
                "uav_container": {"market_key": key, "rehost_after": REHOST_AFTER},
                "recorder": {"file_period": RECORDER_FILE / self._speed},
            }
            nodes.append(replace(node, parameters=node.parameters | further.get(node.executable, {})))
        document = replace(spec, nodes=tuple(nodes)).to_json()
        return [*PYTHON, "uav_twin_migration.nodes.component_container", json.dumps(document)]

    # -- processes ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start everything, and wait until every RSU serves and every twin is served. Raises UavTwinError."""
        self.make_hosts()
        self.start_processes()

    def make_hosts(self) -> None:
        """Write the RSUs' host directories."""
        save(self.scenario, self.file)
        for rsu, port in zip(self.rsus, free_ports(len(self.rsus)), strict=True):
            self._make_host(rsu, port)

    def start_processes(self) -> None:
        """What is left to do once there are hosts. Raises UavTwinError."""
        self._watch()
        uavs = [spec.name for spec in self._others if any(node.executable == "uav_container" for node in spec.nodes)]
        for name in (*self.rsus, *(spec.name for spec in self._others if spec.name not in uavs)):
            self.start_process(name)
        # UAVs come last, as on the morning after an upgrade: one that starts and hears no host begins its twin anew
        self.wait_for(lambda: self.hearing.offering >= set(self.rsus), "an offer of every RSU")
        for name in uavs:
            self.start_process(name)
        self.wait_for(lambda: all(self.hearing.grants[rsu] for rsu in self.rsus), "a grant of every RSU")
        self.wait_for(lambda: len(self.hearing.states) == len(self.scenario.uavs), "a state of every twin")

    def _make_host(self, rsu: str, port: int) -> None:
        directory = self.folder / rsu
        parameters = parameters_of(rsu, self.file, ("127.0.0.1", port))
        parameters |= {"use_sim_time": True, "time_scale": self._speed, "drain_on_stop": False}  # it ends at once
        write_files(directory, EdgeHost(rsu, domain=self._domain, parameters=parameters))
        bring_keys(self.folder / "keys", directory / KEYS, rsu)
        loopback = os.environ.get("FASTDDS_DEFAULT_PROFILES_FILE")
        if loopback:
            shutil.copyfile(loopback, directory / FAST_DDS_FILE)

    def start_process(self, name: str) -> None:
        """Start an RSU or another process, for the first time or again."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                self._commands[name], stdout=log, stderr=log, preexec_fn=die_with_parent
            )
        self.started[name] = time.monotonic()
        self.incarnations[name] += 1

    def start_beside(self, name: str, command: list[str]) -> None:
        """Start a process that is none of the city's own."""
        self._commands[name] = command
        self.start_process(name)

    def attack(self, rate: float, seed: int = 1) -> None:
        """Let somebody loose who says `rate` messages a second that nobody should say, until the city is stopped."""
        each = rate / math.ceil(rate / ATTACKER)
        for number in range(math.ceil(rate / ATTACKER)):
            plan = {"rsus": self.rsus, "uavs": [uav.id for uav in self.scenario.uavs], "rate": each, "seconds": 1e9}
            plan |= {"seed": seed + number, "harmless": False, "pool": 2000}
            self.start_beside(f"attacker {number}", [*PYTHON, "uav_twin_migration.nodes.attacker", json.dumps(plan)])

    def end_process(self, name: str, with_signal: signal.Signals) -> None:
        """End a process; returns when it has ended. Raises UavTwinError where it will not."""
        self.processes[name].send_signal(with_signal)
        try:
            self.processes[name].wait(timeout=GOODBYE)
        except subprocess.TimeoutExpired:
            raise UavTwinError(f"{name} does not end within {GOODBYE:.0f} s of {with_signal.name}") from None

    def told_of_twins(self) -> str:
        """What has become of twins so far, for a line of progress."""
        twins = self.hearing.twins
        return f"{len(twins.handovers)} twins moved, {len(twins.lost)} lost, {len(twins.duplicated)} twice"

    def check(self) -> None:
        """Raises UavTwinError where a process has ended by itself."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                lines = self.log(name)
                raise UavTwinError(f"{name} has ended with exit code {process.returncode}: {' / '.join(lines[-3:])}")

    def log(self, name: str) -> list[str]:
        """The lines that a process has printed."""
        file = self.folder / f"{name}.log"
        return file.read_text(errors="replace").splitlines() if file.exists() else []

    def stop(self) -> None:
        """End everything."""
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(timeout=GOODBYE)
            except subprocess.TimeoutExpired:
                process.kill()

    # -- what is heard -----------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        command = [*PYTHON, "uav_twin_migration.nodes.watch"]
        process = self.processes["watch"] = subprocess.Popen(
            command, stdout=subprocess.PIPE, preexec_fn=die_with_parent
        )
        self.started["watch"], self.incarnations["watch"] = time.monotonic(), 1

        def listen() -> None:
            assert process.stdout is not None  # it is a pipe
            for line in process.stdout:
                if line.startswith(b"{") and line.endswith(b"}\n"):
                    with self.lock:
                        self.hearing.hear(json.loads(line))

        threading.Thread(target=listen, daemon=True).start()

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until something was heard. Raises UavTwinError."""
        began = time.monotonic()
        while True:
            with self.lock:
                if condition():
                    return
            self.check()
            if time.monotonic() - began > PATIENCE:
                raise UavTwinError(f"within {PATIENCE:.0f} s this never came: {what}")
            time.sleep(0.05)

    def stored(self, rsu: str) -> float:
        """Size of an RSU's store with its write-ahead log, MB."""
        return folder_size(self.folder / rsu / STORE)


def folder_size(folder: Path) -> float:
    """Size of the files in a folder, MB."""
    size = 0
    for file in folder.rglob("*"):
        try:
            size += file.stat().st_size
        except FileNotFoundError:
            continue  # it has just gone
    return size / 1e6
