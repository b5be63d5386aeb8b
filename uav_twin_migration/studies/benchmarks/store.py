"""What an RSU's store writes while it hosts twins: a host of twins in virtual time on a real disk.

Each twin hears its UAV four times a second, as by default, for an hour of its own time after it was made. Written bytes
are those of the kernel for this process (`write_bytes` of /proc/self/io): pages that were marked as changed. In a
folder on a disk of its own, the disk's counter (/sys/dev/block) says the same of the device.
"""

from __future__ import annotations

import math
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from uav_twin_migration.studies.benchmarks import Figure
from uav_twin_migration.studies.harnesses.plain_rsu import written, written_to_device
from uav_twin_migration.twin.hosting.admission import HostSettings
from uav_twin_migration.twin.hosting.estimate import Telemetry
from uav_twin_migration.twin.hosting.host import TwinHost
from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.store_database import KEPT_LOG, checkpoint_beside
from uav_twin_migration.twin.hosting.twin import UavTwins
from uav_twin_migration.twin.protocol.epochs import make_epoch
from uav_twin_migration.twin.protocol.messages import HostRequest, LeaseRenewal, Stamp

SUMMARY = "what a store of hosted twins writes in an hour, beside its budget"
NEEDS = ()

MINUTES = float(os.environ.get("UAVTWIN_STORE_MINUTES", "60"))
BUDGETS = {10: 30.0, 50: 150.0}  # kB/s, by twins
SIZE = 1_000_000  # bytes of each twin's payload
PERIOD = 0.25  # s between two heartbeats of a UAV
EPOCH = make_epoch(1)


def run(directory: Path | None) -> list[Figure]:
    """Measure each number of twins."""
    return [figure for twins, budget in BUDGETS.items() for figure in measure(twins, budget, directory)]


def measure(twins: int, budget: float, directory: Path | None) -> list[Figure]:
    """kB/s that `twins` hosted twins write."""
    print(f"  {twins} twins: {MINUTES:g} min of their time ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        path = Path(folder) / "twins.db"
        with Store(path, "rsu_1") as store:
            host = TwinHost(store, UavTwins(), 0.0, HostSettings())
            uavs = [f"uav_{number}" for number in range(twins)]
            make(host, uavs)
            checkpoint_beside(path)
            before, device, cpu = written(), written_to_device(path), time.process_time()
            live(host, uavs, 60.0 * MINUTES)
            store.checkpoint()
            seconds = 60.0 * MINUTES
            rate, spent = (written() - before) / seconds / 1e3, (time.process_time() - cpu) / seconds
            on_device = (written_to_device(path) - device) / seconds / 1e3
    name = f"{twins} hosted twins"
    return [
        Figure(f"{name}: written (baseline: the budget)", rate, "kB/s", budget, budget / rate),
        Figure(f"{name}: written to the device, by whoever uses it", on_device, "kB/s"),
        Figure(f"{name}: CPU for telemetry, flush and scrub", 100.0 * spent, "% of a core"),
    ]


def make(host: TwinHost, uavs: list[str]) -> None:
    """The twins, all of them written."""
    for uav in uavs:
        host.request(HostRequest(uav, "rsu_1", EPOCH, SIZE), 0.0)
        host.recognise(renewal(host, uav, 0.0), 0.0)
        host.commit(0.0)
    while host.tick(0.0) <= 0.0:
        host.commit(0.0)
    host.commit(0.0)


def live(host: TwinHost, uavs: list[str], seconds: float) -> None:
    """Have them hear their UAVs."""
    chance = random.Random(1)
    for sequence in range(1, int(seconds / PERIOD)):
        now = sequence * PERIOD
        for number, uav in enumerate(uavs):
            host.recognise(renewal(host, uav, now), now)
            host.observe(uav, telemetry(sequence, now + number * 1e-3, number, chance), now, now)
        host.commit(now)
        host.tick(now)
        host.commit(now)
        if host.store.log_size() > KEPT_LOG:
            checkpoint_beside(host.store.path)


def renewal(host: TwinHost, uav: str, now: float) -> LeaseRenewal:
    """What a UAV says that takes this RSU for its twin's host."""
    return LeaseRenewal(uav, "rsu_1", EPOCH, EPOCH, Stamp(host.store.incarnation, now))


def telemetry(sequence: int, stamp: float, number: int, chance: random.Random) -> Telemetry:
    """A circle of 100 m, measured with noise: digits that no compression foresees."""
    angle = stamp / 30.0 + number
    place = (100.0 * math.sin(angle), 100.0 * math.cos(angle), 80.0)
    speed = (3.3 * math.cos(angle), -3.3 * math.sin(angle), 0.0)
    position = tuple(value + chance.gauss(0.0, 0.3) for value in place)
    velocity = tuple(value + chance.gauss(0.0, 0.1) for value in speed)
    return Telemetry(sequence, stamp, position, velocity)  # type: ignore[arg-type]  # three of each
