"""The market's round trip: latency, missed rounds, CPU and memory for growing numbers of UAVs and RSUs."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.scenario.generate import generate
from uav_twin_migration.scenario.load import save

ROUNDS = 100  # at least, after everybody has found everybody
WARM_UP = 15.0  # s that may pass until then


class Case(NamedTuple):
    """One size, in one way of running it, with what it should reach on two idle cores."""

    uavs: int
    rsus: int
    composition: str
    first_full_round: float  # s
    latency_p99: float  # ms
    cpu: float | None  # share of one core


CASES = (
    Case(8, 2, "processes", 4.0, 15.0, 0.10),
    Case(64, 8, "processes", 15.0, 150.0, None),
    Case(64, 8, "fleet", 8.0, 80.0, None),
    Case(200, 16, "fleet", 8.0, 150.0, 0.60),
)


class Usage:
    """CPU and memory of a simulation's node processes, sampled from outside while it runs."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._first: dict[int, float] = {}
        self._last: dict[int, float] = {}
        self._times = (0.0, 0.0)
        self.memory: dict[int, float] = {}  # MB, proportional set size by process
        self.names: dict[int, str] = {}

    def sample(self, now: float) -> None:
        """Note what each process has used so far."""
        for process in self._root.children(recursive=True):
            try:
                times = process.cpu_times()
                self.memory[process.pid] = process.memory_full_info().pss / 1e6
                self.names[process.pid] = process.name()
            except psutil.Error:
                continue  # it has just ended
            self._last[process.pid] = times.user + times.system
            self._first.setdefault(process.pid, times.user + times.system)
        self._times = (self._times[0] or now, now)

    def cpu(self) -> dict[int, float]:
        """Share of one core by process, the observer left out: it is the measuring device."""
        elapsed = max(self._times[1] - self._times[0], 1e-9)
        return {
            pid: (self._last[pid] - self._first[pid]) / elapsed for pid in self._first if self.names[pid] != "observer"
        }


def measure(case: Case, rounds: int = ROUNDS, seed: int = 1) -> dict[str, Any]:
    """Run one case for at least `rounds` rounds of one second. Returns the simulation's summary with CPU and memory."""
    with tempfile.TemporaryDirectory() as folder:
        scenario = Path(folder) / "scenario.yaml"
        save(generate(case.rsus, case.uavs, seed), scenario)
        command = [sys.executable, "-m", "uav_twin_migration.cli", "sim", str(scenario), "--json", "-", "--plain"]
        command += ["--compose", case.composition, "--duration", str(rounds + WARM_UP)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        usage = Usage(process.pid)
        stop = threading.Event()
        steady = threading.Event()
        errors: list[str] = []

        def listen() -> None:
            assert process.stderr is not None
            for line in process.stderr:
                errors.append(line)
                if "first full round" in line:
                    steady.set()

        def watch() -> None:
            import time

            steady.wait()
            while not stop.wait(2.0):
                usage.sample(time.monotonic())

        threads = [threading.Thread(target=task, daemon=True) for task in (listen, watch)]
        for thread in threads:
            thread.start()
        assert process.stdout is not None
        out = process.stdout.read()
        stop.set()
        if process.wait() != 0:
            raise UavTwinError("the simulation failed:\n" + "".join(errors[-10:]))
    cpu = usage.cpu()
    summary: dict[str, Any] = json.loads(out)
    summary["cpu"] = sum(cpu.values())
    summary["cpu_by_process"] = {usage.names[pid]: share for pid, share in cpu.items()}
    summary["memory_mb"] = {usage.names[pid]: usage.memory[pid] for pid in cpu}
    return summary
