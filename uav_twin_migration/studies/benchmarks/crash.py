"""RSU processes killed with -9 at random instants of migrations: is everything there that was acknowledged?

Several UAVs fly between RSU processes. Each keeps changing its twin and moves it about; while it moves, the source or
the target is killed, and started again soon after. At the end every twin must be at one RSU, with all the telemetry and
the payload whose storing was acknowledged.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.studies.benchmarks import Figure
from uav_twin_migration.studies.harnesses.plain_rsu import (
    host_heartbeat_of,
    introduce,
    payload_of,
    start_together,
)
from uav_twin_migration.twin.hosting.inspection import inspect
from uav_twin_migration.twin.hosting.store_reader import StoreReader
from uav_twin_migration.twin.hosting.twin import PAYLOAD_AT, UavTwin
from uav_twin_migration.twin.protocol.epochs import term_of
from uav_twin_migration.twin.protocol.host_discovery import (
    HostDiscovery,
    HostDiscoveryTiming,
    Stage,
    act,
    answer,
    hear,
    lease_renewal,
    moving,
)
from uav_twin_migration.twin.protocol.messages import HostReply, Reason

SUMMARY = "RSU processes killed at random instants of migrations, and what is lost (nothing)"
NEEDS = ("keys",)  # groups of setup.py's REQUIREMENTS besides the command's

KILLS = 100
RSUS, UAVS = ("north", "east", "south"), 4
SIZE = 2_000_000  # bytes of a twin's payload
RATE = 4_000_000.0  # bytes/s of a migration
VOICE = 0.1  # s between two rounds of host heartbeats, lease renewals and updates
LEASE = 1.0  # s
LONGEST_DEATH = 0.5  # s before a killed process is started again
TIMING = HostDiscoveryTiming(quarantine=1.1 * LEASE, rehost_after=60.0)  # none is dead for good
PATIENCE = 120.0  # s for everything to come to rest


class Flier:
    """One UAV: whom it takes for its host, and what it was told to be on a disk."""

    def __init__(self, uav: str, now: float) -> None:
        self.uav = uav
        self.host_discovery = HostDiscovery(uav, now, newest_epoch=0, size=SIZE, candidates=RSUS)
        self.sequence = 0
        self.pieces: dict[int, int] = {}  # sequence of an update -> the piece of payload that it wrote
        self.acknowledged: set[int] = set()

    @property
    def host(self) -> str:
        """The RSU that hosts its twin; empty where it knows none."""
        return self.host_discovery.host if self.host_discovery.stage is Stage.HOSTED else ""


class Sky:
    """RSU processes, UAVs, and what they say to each other."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory, self.chance = directory, random.Random(seed)
        self.lock = threading.RLock()
        self.fliers = {f"uav{number}": Flier(f"uav{number}", time.monotonic()) for number in range(UAVS)}
        self.reports: list[dict[str, Any]] = []
        self.left = threading.Event()  # a source has decided that its twin leaves
        self.rsus = start_together(RSUS, directory, self._hear, lease=LEASE, flush_period=0.2)
        self._closing = threading.Event()
        self._signing = threading.Thread(target=self._speak, daemon=True)
        self._signing.start()

    def close(self) -> None:
        """End all processes as they should be."""
        self._closing.set()
        self._signing.join()
        for rsu in self.rsus.values():
            rsu.stop()

    # -- what is said ------------------------------------------------------------------------------------------------

    def _hear(self, rsu: str, line: dict[str, Any]) -> None:
        now, what = time.monotonic(), line.pop("what")
        with self.lock:
            if what == "host_heartbeats":
                for values in line["held"]:
                    said = host_heartbeat_of(values)
                    flier = self.fliers[said.uav]
                    flier.host_discovery = hear(flier.host_discovery, said, now)
            elif what == "reply":
                line["reason"] = None if line["reason"] is None else Reason(line["reason"])
                flier = self.fliers[line["uav"]]
                flier.host_discovery = answer(flier.host_discovery, HostReply(**line), now)
            elif what == "updated" and line["accepted"]:
                self.fliers[line["uav"]].acknowledged.add(line["sequence"])
            elif what == "report":
                self.reports.append(line)
        if what == "hosting_change":
            if not line["hosting"]:
                self.left.set()
            self.rsus[rsu].say("host_heartbeats")

    def _speak(self) -> None:
        while not self._closing.wait(VOICE):
            with self.lock:
                for rsu in self.rsus.values():
                    rsu.say("host_heartbeats")
                for flier in self.fliers.values():
                    self._voice_of(flier)
                    self.update(flier)

    def _voice_of(self, flier: Flier) -> None:
        flier.host_discovery, requests = act(flier.host_discovery, time.monotonic(), TIMING)
        for request in requests:
            self.rsus[request.rsu].say("request", **vars(request))
        said = lease_renewal(flier.host_discovery)
        stamp = [said.stamp.incarnation, said.stamp.time] if said.stamp else None
        for rsu in self.rsus.values():
            rsu.say(
                "recognise", uav=said.uav, host=said.host, epoch=said.epoch, newest_epoch=said.newest_epoch, stamp=stamp
            )

    def update(self, flier: Flier) -> None:
        """Telemetry, and a piece of payload, for the twin where it is thought to be."""
        if flier.host:
            flier.sequence += 1
            piece = flier.pieces[flier.sequence] = self.chance.randrange(UavTwin(flier.uav, SIZE).pieces)
            self.rsus[flier.host].say("update", uav=flier.uav, sequence=flier.sequence, piece=piece)

    # -- what happens ------------------------------------------------------------------------------------------------

    def migrate(self, flier: Flier) -> tuple[str, str] | None:
        """Move a UAV's twin to an RSU by chance. Returns source and target."""
        with self.lock:
            source = flier.host
            if not source:
                return None
            target = self.chance.choice([rsu for rsu in RSUS if rsu != source])
            flier.host_discovery = moving(flier.host_discovery, target)
            epoch = flier.host_discovery.epoch
            self.rsus[source].say("migrate", uav=flier.uav, epoch=epoch, target=target, rate=RATE)
        return source, target

    def kill(self, rsu: str, found: Counter[str]) -> None:
        """Kill an RSU, see what its disk has of migrations, start it again."""
        self.rsus[rsu].kill()
        store = StoreReader(self.rsus[rsu].store)
        for stored in store.load().values():
            found[stored.record.status.value] += 1
            inbound = stored.record.inbound
            if inbound is not None:
                found["prepared" if inbound.prepared else "receiving"] += 1
        store.close()
        time.sleep(self.chance.uniform(0.0, LONGEST_DEATH))
        self.rsus[rsu].start(lease=LEASE, flush_period=0.2)
        introduce(self.rsus)

    def rest(self) -> None:
        """Wait until every twin is served, and has stored an update that is newer than now."""
        with self.lock:
            versions = {flier.uav: flier.sequence for flier in self.fliers.values()}
        end = time.monotonic() + PATIENCE
        while any(max(flier.acknowledged, default=0) <= versions[flier.uav] for flier in self.fliers.values()):
            if time.monotonic() > end:
                raise UavTwinError(f"not every twin is served again after {PATIENCE:.0f} s")
            time.sleep(0.05)
        time.sleep(2.0)  # for hand-overs under way


@contextlib.contextmanager
def sky(seed: int) -> Iterator[Sky]:
    """Processes in a directory of their own; they are ended in any case."""
    with tempfile.TemporaryDirectory(prefix="uavtwin-crash-", dir=os.environ.get("TMPDIR")) as directory:
        opened = Sky(Path(directory), seed)
        try:
            yield opened
        finally:
            for rsu in opened.rsus.values():
                rsu.kill()


def run(directory: Path | None) -> list[Figure]:
    """A hundred kills."""
    return measure(KILLS, seed=1)


def measure(kills: int, seed: int) -> list[Figure]:
    """So many kills, and what came of it. Raises UavTwinError where anything was lost, duplicated or spoilt."""
    found: Counter[str] = Counter()
    with sky(seed) as here:
        here.rest()
        for number in range(kills):
            _progress(f"{number} of {kills} kills")
            rsu = _victim(here)
            here.kill(rsu, found)
        here.rest()
        here.close()
        troubles, lost, duplicated, corrupt = _examine(here)
        completed = sum(report["reason"] is None for report in here.reports)
        acknowledged = sum(len(flier.acknowledged) for flier in here.fliers.values())
    _progress("")
    if troubles:
        raise UavTwinError("\n  ".join([f"seed {seed}: after {kills} kills:", *troubles[:20]]))
    return [
        Figure("kills with -9", kills, ""),
        Figure("killed while handed over and not confirmed", found["handing_over"], ""),
        Figure("killed with a whole copy that was not yet its own", found["prepared"], ""),
        Figure("killed with a part of a copy", found["receiving"], ""),
        Figure("migrations completed, as reported", completed, ""),
        Figure("updates acknowledged", acknowledged, ""),
        Figure("updates lost", lost, ""),
        Figure("twins or updates duplicated", duplicated, ""),
        Figure("pieces corrupt", corrupt, ""),
    ]


def _victim(here: Sky) -> str:
    """Begin migrations, wait for a random instant of them, and choose the source or the target of one.

    Every other time the instant is the hand-over itself, which is short.
    """
    pairs: list[tuple[str, str]] = []
    end = time.monotonic() + PATIENCE
    while not pairs:
        for flier in here.chance.sample(list(here.fliers.values()), 2):
            pair = here.migrate(flier)
            pairs += [pair] if pair is not None else []
        if time.monotonic() > end:
            raise UavTwinError(f"no UAV has had a host for {PATIENCE:.0f} s")
        time.sleep(0.05)
    here.left.clear()
    if here.chance.random() < 0.5 or not here.left.wait(5.0 * SIZE / RATE):
        time.sleep(here.chance.uniform(0.0, 1.3 * SIZE / RATE))
    return here.chance.choice(here.chance.choice(pairs))


def _examine(here: Sky) -> tuple[list[str], int, int, int]:
    """Look into all stores: what is wrong, and how many updates were lost, duplicated or spoilt."""
    troubles: list[str] = []
    hosts: Counter[str] = Counter()
    lost = duplicated = corrupt = 0
    for rsu in RSUS:
        store = StoreReader(here.rsus[rsu].store)
        troubles += [f"{rsu}: {problem}" for problem in store.problems()]
        for twin in inspect(store):
            troubles += [f"{rsu}, {twin.uav}: {problem}" for problem in twin.problems]
            if twin.state == "hosting":
                hosts[twin.uav] += 1
                gone, twice, spoilt = _compare(here.fliers[twin.uav], store)
                troubles += [f"{rsu}, {twin.uav}: lost {gone}, twice {twice}, spoilt {spoilt}"] * bool(
                    gone or twice or spoilt
                )
                lost, duplicated, corrupt = lost + len(gone), duplicated + len(twice), corrupt + len(spoilt)
        store.close()
    for flier in here.fliers.values():
        if hosts[flier.uav] != 1:
            troubles.append(f"{flier.uav} has {hosts[flier.uav]} hosts")
            duplicated += max(0, hosts[flier.uav] - 1)
        if term_of(flier.host_discovery.epoch) != 1:
            troubles.append(f"{flier.uav} began anew: term {term_of(flier.host_discovery.epoch)}")
    return troubles, lost, duplicated, corrupt


def _compare(flier: Flier, store: StoreReader) -> tuple[list[int], list[int], list[int]]:
    """The acknowledged updates that are missing, those that are there twice, the pieces that are not as they must be.

    An update that was not acknowledged may be there or not, but wholly.
    """
    copy = store.load()[flier.uav].own
    assert copy is not None
    twin = UavTwin.restored(flier.uav, partial(store.read, copy))
    history = [telemetry.sequence for telemetry in twin.history(partial(store.read, copy))]
    there = Counter(history)
    gone = sorted(one for one in flier.acknowledged if one >= history[0] and not there[one])
    twice = sorted(one for one, times in there.items() if times > 1)
    expected = {piece.number: piece.content for piece in UavTwin(flier.uav, SIZE).snapshot()}
    for sequence in range(1, flier.sequence + 1):  # payload stays when the history has forgotten
        if there[sequence] or (sequence < history[0] and sequence in flier.acknowledged):
            number = flier.pieces[sequence]
            expected[PAYLOAD_AT + number] = payload_of(sequence, twin.size_of(number))
    spoilt = [
        number - PAYLOAD_AT
        for number, content in expected.items()
        if number >= PAYLOAD_AT and store.read(copy, number) != content
    ]
    return gone, twice, spoilt


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r  {text:<40}", end="" if text else "\r", file=sys.stderr, flush=True)
