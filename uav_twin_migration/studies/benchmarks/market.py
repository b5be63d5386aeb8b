"""The market's round trip: latency, missed rounds, CPU and memory for growing numbers of UAVs and RSUs."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.scenario.generate import generate
from uav_twin_migration.scenario.load import save
from uav_twin_migration.studies.benchmarks import Figure

SUMMARY = "offer-to-grant latency, missed rounds, CPU and memory of the running system"
NEEDS = ("ros",)  # groups of setup.py's REQUIREMENTS besides the command's

ROUNDS = 100  # at least, after everybody has found everybody
WARM_UP = 15.0  # s that may pass until then
SAMPLE_PERIOD = 2.0  # s


class Case(NamedTuple):
    """One size, in one way of running it."""

    uavs: int
    rsus: int
    composition: str
    twins: bool = False  # whether twins are hosted and moved as well


CASES = (
    Case(8, 2, "processes"),
    Case(8, 2, "processes", twins=True),
    Case(64, 8, "processes"),
    Case(64, 8, "uav_container"),
    Case(64, 8, "uav_container", twins=True),
    Case(200, 16, "uav_container"),
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
        """Share of one core by process, the monitor left out: it is the measuring device."""
        elapsed = max(self._times[1] - self._times[0], 1e-9)
        return {
            pid: (self._last[pid] - self._first[pid]) / elapsed for pid in self._first if self.names[pid] != "monitor"
        }


def run(directory: Path | None) -> list[Figure]:
    """Measures all cases, one after the other; with a ``directory`` also writes a table of every process."""
    figures: list[Figure] = []
    rows = ["case,process,cpu_share_of_a_core,memory_mb"]
    for case in CASES:
        name = f"{case.uavs} UAVs x {case.rsus} RSUs, {case.composition}{', with twins' if case.twins else ''}"
        print(f"  {name}: {ROUNDS} rounds of a second ...", file=sys.stderr, flush=True)
        summary = measure(case)
        figures += figures_of(name, summary)
        for process, share in summary["cpu_by_process"].items():
            rows.append(f"{name},{process},{share:.4f},{summary['memory_mb'][process]:.1f}".replace(", ", " "))
    if directory:
        (directory / "market.csv").write_text("\n".join(rows) + "\n")
    return figures


def figures_of(name: str, summary: dict[str, Any]) -> list[Figure]:
    """What a person wants to know of one case."""
    memory = summary["memory_mb"].values()
    latency = summary["grant_latency_ms"]
    processes = len(memory)
    return [
        Figure(f"{name}: first full round", summary["first_full_round_s"], "s"),
        Figure(f"{name}: offer to grant, p50", latency["p50"], "ms"),
        Figure(f"{name}: offer to grant, p99", latency["p99"], "ms"),
        Figure(f"{name}: rounds in which a UAV got no grant", summary["rounds_missed"], ""),
        Figure(f"{name}: answers without a grant", summary["answers_without_grant"], ""),
        Figure(f"{name}: CPU of {processes} processes", 100.0 * summary["cpu"], "% of a core"),
        Figure(f"{name}: CPU of a process", 100.0 * summary["cpu"] / processes, "% of a core"),
        Figure(f"{name}: memory of a process, its share", sum(memory) / processes, "MB"),
        Figure(f"{name}: messages heard", summary["messages_per_s"], "1/s"),
    ]


def measure(case: Case, rounds: int = ROUNDS, seed: int = 1) -> dict[str, Any]:
    """Run one case for at least `rounds` rounds of one second. Returns the simulation's summary with CPU and memory."""
    with tempfile.TemporaryDirectory() as folder:
        scenario = Path(folder) / "scenario.yaml"
        save(generate(case.rsus, case.uavs, seed), scenario)
        command = [sys.executable, "-m", "uav_twin_migration.cli", "sim", str(scenario), "--json", "-", "--plain"]
        command += ["--compose", case.composition, "--duration", str(rounds + WARM_UP)]
        command += [] if case.twins else ["--no-twins"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            usage, out = watch(process)
    if process.returncode != 0:
        raise UavTwinError(f"the simulation of {case.uavs} UAVs and {case.rsus} RSUs failed")
    cpu = usage.cpu()
    summary: dict[str, Any] = json.loads(out)
    summary["cpu"] = sum(cpu.values())
    summary["cpu_by_process"] = {usage.names[pid]: share for pid, share in cpu.items()}
    summary["memory_mb"] = {usage.names[pid]: usage.memory[pid] for pid in cpu}
    return summary


def watch(process: subprocess.Popen[str]) -> tuple[Usage, str]:
    """Sample a simulation from its first full round on. Returns its usage and what it printed."""
    usage = Usage(process.pid)
    ended = threading.Event()
    assert process.stdout is not None  # both are pipes
    assert process.stderr is not None
    for line in process.stderr:
        if "first full round" in line:
            break

    def sample() -> None:
        while not ended.wait(SAMPLE_PERIOD):
            usage.sample(time.monotonic())

    drain = threading.Thread(target=process.stderr.read)
    sampler = threading.Thread(target=sample)
    drain.start()
    sampler.start()
    out = process.stdout.read()
    ended.set()
    sampler.join()
    drain.join()
    return usage, out
