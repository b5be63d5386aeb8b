"""Migrations between RSU processes on one machine: rate, durability, CPU, downtime, fairness, memory."""

from __future__ import annotations

import json
import os
import random
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from uav_twin_migration.studies.benchmarks import Figure
from uav_twin_migration.studies.harnesses.bare_bytes import bare_store, bare_tls, plain_file
from uav_twin_migration.studies.harnesses.plain_rsu import host_heartbeat_of, start_together
from uav_twin_migration.twin.protocol.epochs import make_epoch
from uav_twin_migration.twin.protocol.messages import Holding, HostHeartbeat

SUMMARY = "migrations between RSU processes: rates, CPU, downtime, fairness, memory, beside bare TLS"
NEEDS = ("keys",)  # groups of setup.py's REQUIREMENTS besides the command's

MBIT = 125_000  # bytes
VOICE = 0.2  # s between two lease renewals
SECONDS = 8.0  # s that a transfer is watched for its rate
HANDOVERS = 40  # for the downtime


class Street:
    """RSU processes, and UAVs that recognise whoever hosts their twins."""

    def __init__(self, directory: Path, rsus: Sequence[str], **options: Any) -> None:
        self.directory, self.options = directory, options
        self.lines: list[tuple[str, dict[str, Any]]] = []
        self.news = threading.Condition()
        self.hosts: dict[str, HostHeartbeat] = {}
        self.rsus = start_together(rsus, directory, self._hear, **options)
        self._closing = threading.Event()
        self._signing = threading.Thread(target=self._speak, daemon=True)
        self._signing.start()

    def close(self) -> None:
        """End all processes."""
        self._closing.set()
        self._signing.join()
        for rsu in self.rsus.values():
            rsu.stop()

    def say(self, rsu: str, do: str, /, **more: Any) -> None:
        """Give one RSU a command."""
        self.rsus[rsu].say(do, **more)

    def wait(self, what: str, patience: float = 120.0, **match: Any) -> dict[str, Any]:
        """The next line that says so; it is taken out."""
        end = time.monotonic() + patience
        with self.news:
            while True:
                for place, (_, line) in enumerate(self.lines):
                    if line["what"] == what and all(line.get(key) == value for key, value in match.items()):
                        return self.lines.pop(place)[1]
                if not self.news.wait(end - time.monotonic()):
                    raise TimeoutError(f"nobody said {what} {match} within {patience} s")

    def place(self, uav: str, rsu: str, megabits: float) -> None:
        """Give an RSU a twin, and wait until it is written and served."""
        self.say(rsu, "request", uav=uav, rsu=rsu, epoch=make_epoch(1), size=int(megabits * MBIT))
        self.wait("reply", uav=uav)
        while True:
            self.say(rsu, "update", uav=uav, sequence=1, piece=None)
            if self.wait("updated", uav=uav)["accepted"]:
                return
            time.sleep(0.05)

    def migrate(self, uav: str, target: str, megabits_per_second: float | None) -> None:
        """Begin to move a twin."""
        host = self.hosts[uav]
        rate = None if megabits_per_second is None else megabits_per_second * MBIT
        self.say(host.rsu, "migrate", uav=uav, epoch=host.epoch, target=target, rate=rate)

    def usage(self, rsu: str) -> dict[str, Any]:
        """CPU, memory and samples of one RSU."""
        self.say(rsu, "usage")
        return self.wait("usage", rsu=rsu)

    def _hear(self, rsu: str, line: dict[str, Any]) -> None:
        if line["what"] == "host_heartbeats":
            for values in line["held"]:
                said = host_heartbeat_of(values)
                known = self.hosts.get(said.uav)
                if said.holding is Holding.HOSTING and (known is None or said.epoch >= known.epoch):
                    self.hosts[said.uav] = said
            return
        line.setdefault("rsu", rsu)
        with self.news:
            self.lines.append((rsu, line))
            self.news.notify_all()

    def _speak(self) -> None:
        while not self._closing.wait(VOICE):
            for rsu in self.rsus.values():
                rsu.say("host_heartbeats")
            for uav, host in list(self.hosts.items()):
                stamp = [host.stamp.incarnation, host.stamp.time]
                for rsu in self.rsus.values():
                    rsu.say("recognise", uav=uav, host=host.rsu, epoch=host.epoch, newest_epoch=host.epoch, stamp=stamp)


@contextmanager
def street(rsus: Sequence[str] = ("source", "target"), **options: Any) -> Iterator[Street]:
    """Processes in a directory of their own."""
    with tempfile.TemporaryDirectory(prefix="uavtwin-bench-", dir=os.environ.get("TMPDIR")) as directory:
        opened = Street(Path(directory), rsus, **options)
        try:
            yield opened
        finally:
            opened.close()


# -- rate --------------------------------------------------------------------------------------------------------------


def measure_rate(megabits_per_second: float) -> list[Figure]:
    """One transfer at one rate: how far off each second was, and what it cost."""
    with street() as here:
        size = megabits_per_second * (SECONDS + 1.0)
        here.place("uav1", "source", size)
        time.sleep(1.0)
        before = {rsu: here.usage(rsu) for rsu in here.rsus}
        for rsu in here.rsus:
            here.say(rsu, "sample")
        here.migrate("uav1", "target", megabits_per_second)
        time.sleep(SECONDS)
        after = {rsu: here.usage(rsu) for rsu in here.rsus}
        report = here.wait("report")
    if report["reason"] is not None:
        raise RuntimeError(f"the migration failed: {report}")
    rate = megabits_per_second * MBIT
    name = f"{megabits_per_second:g} Mbit/s"
    sent = [(at, count) for at, count, _ in after["source"]["samples"]]
    kept = [(at, count) for at, _, count in after["target"]["samples"]]
    figures = [
        Figure(f"{name}: worst second, sent, off the grant", 100 * _worst_second(sent, rate), "%"),
        Figure(f"{name}: worst second, on the target's disk, off the grant", 100 * _worst_second(kept, rate), "%"),
        Figure(f"{name}: from sent to on the target's disk, p95", 1000 * _lag(sent, kept), "ms"),
    ]
    for rsu in here.rsus:
        seconds = after[rsu]["at"] - before[rsu]["at"]
        cpu = 100 * (after[rsu]["cpu"] - before[rsu]["cpu"]) / seconds
        figures.append(Figure(f"{name}: CPU of the {rsu}", cpu, "% of a core"))
    return figures


def _worst_second(samples: list[tuple[float, int]], rate: float) -> float:
    """The largest relative error of the seconds of a transfer, one after the other from half a second after its begin.

    The counts between two samples are taken to grow evenly.
    """
    moving = [(at, count) for at, count in samples if 0 < count < samples[-1][1]]
    times, counts = zip(*moving, strict=True)
    seconds = np.interp(np.arange(times[0] + 0.5, times[-1] - 0.5), times, counts)
    return float(np.abs(np.diff(seconds) / rate - 1.0).max())


def _lag(sent: list[tuple[float, int]], kept: list[tuple[float, int]]) -> float:
    """Seconds, 95th percentile, until what was sent is on the disk. Frames' heads make `sent` a little more."""
    times, counts = zip(*((at, count) for at, count in kept if count > 0), strict=True)
    arrival = np.interp([count for _, count in sent if 0 < count < counts[-1]], counts, times)
    gone = np.array([at for at, count in sent if 0 < count < counts[-1]])
    return float(np.percentile(arrival - gone, 95))


# -- downtime ----------------------------------------------------------------------------------------------------------


class User:
    """Receives states of twins, and notes when."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.heard: list[tuple[float, str, int]] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            state = json.loads(self.socket.recv(4096))
            self.heard.append((time.monotonic(), state["rsu"], state["epoch"]))

    def gaps(self) -> list[float]:
        """Seconds between the last state of one host and the first of the next."""
        heard = self.heard
        return [late[0] - early[0] for early, late in pairwise(heard) if early[1] != late[1]]

    def stale(self) -> int:
        """States that came under an older epoch than one before."""
        heard = self.heard
        return sum(1 for early, late in pairwise(heard) if late[2] < early[2])


def measure_downtime(megabits: float, changing: float, rate: float, handovers: int = HANDOVERS) -> list[Figure]:
    """A twin that goes to and fro while it changes: how long its users hear nothing. Sizes in Mbit, rates in Mbit/s."""
    user = User()
    with street() as here:
        here.place("uav1", "source", megabits)
        for rsu in here.rsus:
            here.say(rsu, "stream", port=user.port)
        stop = threading.Event()
        changes = threading.Thread(target=_keep_changing, args=(here, megabits, changing, stop), daemon=True)
        changes.start()
        reports = []
        for turn in range(handovers):
            target = ("target", "source")[turn % 2]
            while here.hosts["uav1"].rsu == target:
                time.sleep(0.01)
            here.migrate("uav1", target, rate)
            reports.append(here.wait("report"))
        stop.set()
        changes.join()
    if any(report["reason"] is not None for report in reports):
        raise RuntimeError(f"a migration failed: {reports}")
    gaps = sorted(1000 * gap for gap in user.gaps())
    said = sorted(1000 * report["downtime"] for report in reports)
    name = f"{megabits:g} Mbit changing at {changing:g} Mbit/s, granted {rate:g}"
    return [
        Figure(f"{name}: downtime as users see it, median", statistics.median(gaps), "ms"),
        Figure(f"{name}: downtime as users see it, p95", _p95(gaps), "ms"),
        Figure(f"{name}: downtime as the source reports it, p95", _p95(said), "ms"),
        Figure(f"{name}: states under an older epoch than before", float(user.stale()), ""),
    ]


def _p95(ordered: Sequence[float]) -> float:
    return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


def _keep_changing(here: Street, megabits: float, changing: float, stop: threading.Event) -> None:
    """Rewrite pieces of the payload at random, so many Mbit a second."""
    piece_size = 16 * 1024
    pieces = int(megabits * MBIT / piece_size)
    chance, sequence = random.Random(1), 1
    while not stop.wait(piece_size / (changing * MBIT)):
        sequence += 1
        host = here.hosts["uav1"].rsu
        here.say(host, "update", uav="uav1", sequence=sequence, piece=chance.randrange(pieces))


# -- as fast as it goes, and side by side ------------------------------------------------------------------------------


def measure_unlimited(megabits: float) -> list[Figure]:
    """One migration without a limit, beside bare TLS between two processes, the store by itself, and a plain file."""
    size = int(megabits * MBIT)
    bare, store, file = bare_tls(size), bare_store(size), plain_file(size)
    with street() as here:
        here.place("uav1", "source", megabits)
        time.sleep(1.0)
        here.migrate("uav1", "target", None)
        report = here.wait("report")
    if report["reason"] is not None:
        raise RuntimeError(f"the migration failed: {report}")
    rate = report["size"] / report["duration"] / 1e6
    name = f"{megabits:g} Mbit without a limit, on the target's disk"
    return [
        Figure(f"{name}; baseline: bare TLS", rate, "MB/s", bare / 1e6, rate * 1e6 / bare),
        Figure(f"{name}; baseline: the store by itself", rate, "MB/s", store / 1e6, rate * 1e6 / store),
        Figure(f"{name}; baseline: a plain file, synced", rate, "MB/s", file / 1e6, rate * 1e6 / file),
    ]


def measure_many(count: int, total: float, megabits: float) -> list[Figure]:
    """Many migrations at once, each with the same grant: how even they are. total: Mbit/s."""
    with street() as here:
        uavs = [f"uav{number}" for number in range(count)]
        for uav in uavs:
            here.place(uav, "source", megabits)
        while len(here.hosts) < count:
            time.sleep(0.05)
        began = time.monotonic()
        for uav in uavs:
            here.migrate(uav, "target", total / count)
        reports = [here.wait("report", patience=600) for _ in uavs]
        seconds = time.monotonic() - began
    failed = sum(report["reason"] is not None for report in reports)
    rates = [report["achieved"] / (total / count * MBIT) for report in reports]
    fairness = sum(rates) ** 2 / (len(rates) * sum(rate**2 for rate in rates))
    name = f"{count} at once of {megabits:g} Mbit, {total:g} Mbit/s together"
    return [
        Figure(f"{name}: Jain's fairness", fairness, ""),
        Figure(f"{name}: slowest, of its grant", min(rates), "ratio"),
        Figure(f"{name}: together", megabits * count / seconds, "Mbit/s"),
        Figure(f"{name}: failed", float(failed), ""),
    ]


def measure_memory(megabits: float) -> list[Figure]:
    """One large twin: the most memory on either side."""
    with street() as here:
        here.place("uav1", "source", megabits)
        here.migrate("uav1", "target", None)
        report = here.wait("report", patience=600)
        peaks = {rsu: here.usage(rsu)["peak_kb"] / 1000 for rsu in here.rsus}
    if report["reason"] is not None:
        raise RuntimeError(f"the migration failed: {report}")
    size = report["size"] / 1e6
    return [Figure(f"{size:.0f} MB twin: peak memory of the {rsu}", peak, "MB") for rsu, peak in peaks.items()]


def run(directory: Path | None) -> list[Figure]:
    """All of them. They want a machine that does nothing else: raise the priority where it does."""
    figures = []
    for rate in (10.0, 100.0, 400.0):
        _progress(f"{rate:g} Mbit/s ...")
        figures += measure_rate(rate)
    _progress(f"{HANDOVERS} hand-overs ...")
    figures += measure_downtime(100.0, 1.0, 100.0)
    _progress("without a limit ...")
    figures += measure_unlimited(4000.0)
    _progress("32 at once ...")
    figures += measure_many(32, 320.0, 50.0)
    _progress("1 GB ...")
    return figures + measure_memory(8000.0)


def _progress(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)
