"""What watching costs: frames of what is heard, bytes to a viewer, frames a second in a browser without a GPU."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from uav_twin_migration.deployment import topics
from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.monitor.frames import Frame, frame_to_json
from uav_twin_migration.monitor.html import Run, page
from uav_twin_migration.monitor.listener import Listener
from uav_twin_migration.monitor.server import PageServer
from uav_twin_migration.scenario.load import load
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.scenario.snapshot import Snapshot
from uav_twin_migration.studies.benchmarks import Figure
from uav_twin_migration.vehicle.motion import states_at

SUMMARY = "what watching costs: CPU and bytes a viewer, twenty at once, frames a second in a browser without a GPU"
NEEDS = ("ros", "view", "test")  # groups of setup.py's REQUIREMENTS besides the command's

SECONDS = 30.0  # of flight
PERIOD = 0.2  # s between two frames
SHOWN = 5_000  # ms for which a browser's frames are counted
VIEWERS, FASTER = 20, 4  # who watch at once, and how many times as fast as it was
WATCH = """
import asyncio, sys
from aiohttp import ClientSession

async def watch(session):
    async with session.ws_connect(sys.argv[1], compress=15) as socket:
        async for _ in socket:
            pass

async def main():
    async with ClientSession() as session:
        tasks = [asyncio.ensure_future(watch(session)) for _ in range(int(sys.argv[2]))]
        await asyncio.sleep(1.0)
        print("there", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        ended = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        sys.exit(len(ended))

asyncio.run(main())
"""
COUNT = """span => new Promise(done => { let n = 0; const start = performance.now();
    const tick = now => { n++; now - start < span ? requestAnimationFrame(tick) : done(1000 * n / (now - start)) };
    requestAnimationFrame(tick) })"""


def run(directory: Path | None) -> list[Figure]:
    """A small city and a large one; and a running market beside as many viewers."""
    return [*(figure for name in ("default", "large") for figure in measure(load(name))), *beside_viewers()]


def beside_viewers() -> Iterator[Figure]:
    """When grants reach UAVs of a running simulation with nobody who looks, and with all viewers."""
    nobody, watched = grants(0), grants(VIEWERS)
    for name in ("p50", "p99"):
        yield Figure(
            f"small, running: a grant after its deadline beside {VIEWERS} viewers, {name}",
            watched[name],
            "ms",
            nobody[name],
        )


def grants(viewers: int) -> dict[str, float]:
    """How long after a round's deadline grants reach UAVs (ms), in a simulation that so many look at."""
    with tempfile.TemporaryDirectory() as folder:
        summary = Path(folder) / "summary.json"
        program = [sys.executable, "-m", "uav_twin_migration.cli", "sim", "small", "--view", "--plain"]
        program += ["--duration", str(SECONDS), "--json", str(summary)]
        with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as city:
            assert city.stdout is not None
            url = next((found[0] for line in city.stdout if (found := re.search(r"http://\S+/", line))), None)
            if url is None:
                raise UavTwinError("the simulation ended without saying where its page is")
            watching = watch(url, viewers)
            city.stdout.read()
            watching.communicate("end\n", timeout=60.0)
        return dict(json.loads(summary.read_text())["grant_latency_ms"])


def watch(url: str, viewers: int) -> subprocess.Popen[str]:
    """Viewers of a page, in a process of their own; they are there when this returns."""
    command = [sys.executable, "-c", WATCH, url.replace("http", "ws") + "frames", str(viewers)]
    watching = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert watching.stdout is not None
    watching.stdout.readline()
    return watching


def measure(scenario: Scenario) -> Iterator[Figure]:
    """One city: heard, made to frames, shown."""
    size = f"{len(scenario.rsus)} x {len(scenario.uavs)}"
    listener, frames = Listener(scenario), []
    spent, sent = 0.0, 0
    for step, messages in enumerate(flight(scenario)):
        began = time.process_time()
        for topic, kind, message in messages:
            listener.hear(step * PERIOD, topic, kind, message)
        frame = listener.frame(step * PERIOD, sampled=step % 5 == 0)
        said = str(frame_to_json(frame)).encode()
        spent += time.process_time() - began
        sent += len(zlib.compress(said, 1))
        frames.append(frame)
    yield Figure(f"{size}: share of a core to hear, compare and tell", 100.0 * spent / SECONDS, "%")
    yield Figure(f"{size}: to each viewer, compressed", sent / SECONDS / 1e3, "kB/s")
    nobody, some = (served(listener, frames, viewers) for viewers in (0, VIEWERS))
    yield Figure(f"{size}: share of a core to serve {VIEWERS} viewers", some, "%", nobody)
    yield from drawn(size, listener, frames)


def served(listener: Listener, frames: list[Frame], viewers: int) -> float:
    """Share of a core (%) that serving frames takes the monitor's process, with viewers in a process of their own."""
    server = PageServer(page())
    watching = watch(server.url, viewers)
    try:
        began = time.process_time()
        for frame in frames:
            server.show(listener.city.cast(), frame)
            time.sleep(PERIOD / FASTER)
        spent = time.process_time() - began
        _, errors = watching.communicate("end\n", timeout=60.0)
    finally:
        watching.kill()
        server.close()
    if watching.returncode:
        raise UavTwinError(f"viewers ended: {errors}")
    return 100.0 * spent / (PERIOD * len(frames))


def flight(scenario: Scenario) -> Iterator[list[tuple[str, str, Any]]]:
    """What would be said in each period of a flight, without ROS: offers, grants, links, odometry and twins' states."""
    world, uavs = Snapshot(scenario), scenario.uavs
    for step in range(round(SECONDS / PERIOD)):
        now = step * PERIOD
        position, velocity = states_at(scenario, now)
        said: list[tuple[str, str, Any]] = []
        for row, uav in enumerate(uavs):
            linear = SimpleNamespace(**dict(zip("xyz", velocity[row], strict=True)))
            pose = SimpleNamespace(position=SimpleNamespace(**dict(zip("xyz", position[row], strict=True))))
            pose.orientation = SimpleNamespace(w=1.0, x=0.0, y=0.0, z=0.0)
            message = SimpleNamespace(pose=SimpleNamespace(pose=pose), twist=SimpleNamespace(twist=SimpleNamespace()))
            message.twist.twist.linear = linear
            said.append((topics.odometry(uav.id), "Odometry", message))
        if step % 5 == 0:
            said += market_round(scenario, world.market(position, velocity).efficiency, position, now)
        yield said


def market_round(scenario: Scenario, efficiency: Any, position: Any, now: float) -> Iterator[tuple[str, str, Any]]:
    """Offers, grants, links and twins' states of one round."""
    ids = [uav.id for uav in scenario.uavs]
    names = [rsu.id for rsu in scenario.rsus]
    host = efficiency.argmax(axis=1)
    links = SimpleNamespace(uav_ids=ids, rsu_ids=names, spectral_efficiency=efficiency.ravel())
    yield topics.LINK_QUALITY, "LinkQuality", links
    second, lease = SimpleNamespace(sec=1, nanosec=0), SimpleNamespace(sec=2, nanosec=0)
    for column, rsu in enumerate(scenario.rsus):
        at = SimpleNamespace(x=rsu.position[0], y=rsu.position[1], z=rsu.antenna_height)
        offer: dict[str, Any] = {"rsu_id": rsu.id, "round": 1, "price": 2.0 * rsu.unit_cost, "range": rsu.range}
        offer |= {"free_bandwidth": rsu.capacity, "position": at, "valid_for": second}
        yield topics.PRICE_OFFERS, "PriceOffer", SimpleNamespace(**offer)
        buyers = np.flatnonzero(efficiency[:, column] > 0.0)
        grant = {"rsu_id": rsu.id, "round": 1, "price": 2.0 * rsu.unit_cost, "lease": lease}
        shares = {"uav_ids": [ids[row] for row in buyers], "bandwidth": [0.5] * len(buyers)}
        yield topics.BANDWIDTH_GRANTS, "BandwidthGrant", SimpleNamespace(**grant, **shares)
        here = np.flatnonzero(host == column)
        states = {"uav_ids": [ids[row] for row in here], "epochs": [1] * len(here), "stamps": [now] * len(here)}
        yield (
            topics.TWIN_STATES,
            "TwinState",
            SimpleNamespace(rsu_id=rsu.id, positions=position[here].ravel(), **states),
        )


def drawn(size: str, listener: Listener, frames: list[Frame]) -> Iterator[Figure]:
    """Frames a second in Chromium without a GPU; nothing where there is no browser."""
    browser = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        browser = None
    if browser is None:
        return
    html = page([Run(size, listener.city.cast(), frames)])
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        file = Path(folder) / "page.html"
        file.write_text(html, encoding="utf-8")
        with driver.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"]) as started:
            tab = started.new_page(viewport={"width": 1280, "height": 800})
            tab.goto(file.as_uri())
            tab.wait_for_function("window.uavtwin && uavtwin.shown[0].map.drawn > 0")
            yield Figure(f"{size}: drawn without a GPU, 1280 x 800", tab.evaluate(COUNT, SHOWN), "frames/s")
