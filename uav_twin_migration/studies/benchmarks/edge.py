"""What one RSU costs its host: memory and CPU of the process that `uavtwin rsu run` starts, 50 UAVs in range.

And what RSUs write while twins move between them, for each byte that moved; to the device, too, which in a folder on a
disk of its own (TMPDIR) is theirs alone.

Everything runs in real time, as on an edge computer, with a discovery server as docs/edge.md recommends. Each UAV is a
node that answers with messages of its own: the dearest case, since the RSU reads every one of them.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil

from uav_twin_migration.cli.doctor import Unheard, listen
from uav_twin_migration.cli.rsu_init import bring_keys, parameters_of, write_files
from uav_twin_migration.deployment.discovery import discovery_server, keep_to_this_machine
from uav_twin_migration.deployment.host_directory import FAST_DDS_FILE, KEYS, EdgeHost
from uav_twin_migration.deployment.options import Options
from uav_twin_migration.deployment.plan import (
    NODES_PER_PROCESS,
    ProcessSpec,
    grouped,
    link_node,
    one_each,
    uav_node,
    world_node,
)
from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.nodes.start import THREADS
from uav_twin_migration.scenario.generate import generate
from uav_twin_migration.scenario.load import save
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.studies.benchmarks import Figure
from uav_twin_migration.studies.harnesses import moving_twins

SUMMARY = "memory and CPU of one RSU's process on its host, beside their budgets"
NEEDS = ("ros", "keys")  # groups of setup.py's REQUIREMENTS besides the command's

UAVS = 50
WARM_UP = 60.0  # s: 50 twins are made at first, some hundred MB
WINDOW = 30.0  # s
MADE, LONGEST = 1e6, 300.0  # bytes/s below which the twins are all written, and s to wait for that
MEMORY_BUDGET, CPU_BUDGET = 85.0, 4.0  # MB resident, % of a core
WRITE_BUDGET = 3.0  # kB/s for each hosted twin
MOVES_BUDGET = 2.5  # bytes written for each that moved


def run(directory: Path | None) -> list[Figure]:
    """Measure one RSU, first alone, then among UAVs."""
    os.environ.update(dict.fromkeys(THREADS, "1"))
    keep_to_this_machine()
    with tempfile.TemporaryDirectory() as folder:
        scenario = crowd()
        file = Path(folder) / "scenario.yaml"
        save(scenario, file)
        server = discovery_server(os.environ)
        os.environ.update(server.variables if server else {})
        host = edge_host(Path(folder) / "host", scenario, str(file))
        with running([list(server.command)] if server and server.command else []):
            figures = [*measure(host, [], 0), *measure(host, snapshot(scenario, str(file)), UAVS)]
    return figures + measure_moves(2.0 * WINDOW)


def edge_host(directory: Path, scenario: Scenario, file: str) -> Path:
    """The host directory of the scenario's first RSU, kept to this machine."""
    (rsu,) = scenario.rsus
    servers = os.environ.get("ROS_DISCOVERY_SERVER", "")
    host = EdgeHost(
        rsu.id,
        domain=int(os.environ.get("ROS_DOMAIN_ID", "0")),
        discovery_servers=tuple(filter(None, servers.split(";"))),
        parameters=parameters_of(rsu.id, file, ("127.0.0.1", 7549)),
    )
    write_files(directory, host)
    bring_keys(directory.parent / "keys", directory / KEYS, rsu.id)
    loopback = os.environ.get("FASTDDS_DEFAULT_PROFILES_FILE")
    if loopback:
        shutil.copyfile(loopback, directory / FAST_DDS_FILE)
    return directory


def crowd() -> Scenario:
    """One RSU with all UAVs in its range."""
    scenario = generate(1, UAVS, seed=1)
    (rsu,) = scenario.rsus
    return replace(scenario, rsus=(replace(rsu, range=1e5),), buildings=())


def snapshot(scenario: Scenario, file: str) -> list[ProcessSpec]:
    """The processes of the world, the links and the UAVs."""
    options = Options()
    link = link_node(scenario, file, options)
    link.parameters["use_sim_time"] = False
    uavs = [uav_node(uav, scenario) for uav in scenario.uavs]
    for uav in uavs:
        uav.parameters.update(twin=True, use_sim_time=False)
    return [*one_each([world_node(scenario, file, options), link]), *grouped("uavs", uavs, NODES_PER_PROCESS)]


def measure(host: Path, others: list[ProcessSpec], uavs: int) -> list[Figure]:
    """Memory and CPU of the RSU among others."""
    name = f"RSU with {uavs} UAVs in range"
    print(f"  {name}: {WARM_UP + WINDOW:.0f} s ...", file=sys.stderr, flush=True)
    rsu = [sys.executable, "-m", "uav_twin_migration.cli", "rsu", "run", str(host)]
    hosts = [
        [sys.executable, "-m", "uav_twin_migration.nodes.component_container", json.dumps(one.to_json())]
        for one in others
    ]
    with running([rsu, *hosts]) as processes:
        time.sleep(WARM_UP)
        usage = psutil.Process(processes[0].pid)
        settle(usage)
        usage.cpu_percent()
        wrote = usage.io_counters().write_bytes
        time.sleep(WINDOW)
        wrote = usage.io_counters().write_bytes - wrote
        cpu, memory, threads = usage.cpu_percent(), usage.memory_full_info(), usage.num_threads()
        heard = listen(3.0, os.environ)
    states = {} if isinstance(heard, Unheard) else heard["states"]
    in_range = next((state["uavs_in_range"] for status, state in states.items() if status.startswith("rsu/")), "none")
    if in_range != str(uavs):
        raise UavTwinError(f"{in_range} UAVs were in the RSU's market, not {uavs}")
    hosted_twin, own = memory.rss / 1e6, memory.uss / 1e6
    return [
        Figure(
            f"{name}: resident memory (baseline: the budget)",
            hosted_twin,
            "MB",
            MEMORY_BUDGET,
            MEMORY_BUDGET / hosted_twin,
        ),
        Figure(f"{name}: memory of its own", own, "MB"),
        Figure(f"{name}: CPU (baseline: the budget)", cpu, "% of a core", CPU_BUDGET, CPU_BUDGET / max(cpu, 0.1)),
        Figure(f"{name}: written", wrote / WINDOW / 1e3, "kB/s", *write_budget(wrote / WINDOW / 1e3, uavs)),
        Figure(f"{name}: threads", threads, ""),
    ]


def measure_moves(seconds: float) -> list[Figure]:
    """What RSUs write while twins move between them as much as those of the default city do."""
    print(f"  twins that move: {seconds:.0f} s ...", file=sys.stderr, flush=True)
    did = moving_twins.measure(seconds)
    name, wrote = f"twins of {moving_twins.SIZE:g} Mbit that move", did.written / did.moved
    return [
        Figure(f"{name}: written for each byte (baseline: the budget)", wrote, "", MOVES_BUDGET, MOVES_BUDGET / wrote),
        Figure(f"{name}: to the device, by whoever uses it", did.to_device / did.moved, ""),
        Figure(f"{name}: moved", did.moved / did.seconds / 1e6, "MB/s"),
    ]


def settle(process: psutil.Process) -> None:
    """Wait until a new host has written its new twins."""
    deadline = time.monotonic() + LONGEST
    wrote = math.inf
    while wrote > MADE and time.monotonic() < deadline:
        before, began = process.io_counters().write_bytes, time.monotonic()
        time.sleep(5.0)
        wrote = (process.io_counters().write_bytes - before) / (time.monotonic() - began)


def write_budget(rate: float, uavs: int) -> tuple[float, float] | tuple[()]:
    """What so many hosted twins may write, kB/s, and how many times less they do; nothing where there are none."""
    budget = WRITE_BUDGET * uavs
    return (budget, budget / max(rate, 0.1)) if uavs else ()


@contextmanager
def running(commands: list[list[str]]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that end with the block."""
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
    try:
        yield processes
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
