"""Twins as a running thing: services with their stores, TLS and threads, and an application's own twin."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography")

from uav_twin_migration.security.authority import make_keys
from uav_twin_migration.security.certificates import Identity
from uav_twin_migration.twin.hosting import runtime as twin_host
from uav_twin_migration.twin.hosting.application import (
    Application,
    Changes,
    Piece,
    Reader,
    Twin,
)
from uav_twin_migration.twin.hosting.carrying_out import Callbacks
from uav_twin_migration.twin.hosting.estimate import Estimate, Telemetry
from uav_twin_migration.twin.hosting.outputs import MigrationReport
from uav_twin_migration.twin.hosting.runtime import TwinService
from uav_twin_migration.twin.hosting.twin import UavTwin, UavTwins
from uav_twin_migration.twin.protocol.epochs import make_epoch
from uav_twin_migration.twin.protocol.messages import (
    Holding,
    HostReply,
    HostRequest,
    LeaseRenewal,
    MigrateRequest,
    Reason,
)

PATIENCE = 60.0
EPOCH = make_epoch(1)


class Notes:
    """A twin of another kind: lines of text, each a chunk, and where the UAV was last."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.seen: Telemetry | None = None

    def observe(self, telemetry: Telemetry, now: float) -> str | None:
        self.seen = telemetry
        return None

    def estimate(self, now: float) -> Estimate | None:
        if self.seen is None:
            return None
        still = (0.0, 0.0, 0.0)
        return Estimate(self.seen.stamp, now - self.seen.stamp, self.seen.position, still, still, still)

    def as_of(self) -> float | None:
        return self.seen.stamp if self.seen is not None else None

    def snapshot(self) -> Iterator[Piece]:
        yield from self.changes_since(0).pieces

    def version(self) -> int:
        return len(self.lines)

    def changes_since(self, version: int) -> Changes:
        count = Piece(0, json.dumps(len(self.lines)).encode())
        new = [Piece(1 + number, line.encode()) for number, line in enumerate(self.lines) if number >= version]
        return Changes(len(self.lines), [*new, count] if new or not version else [])


class Notebook:
    """The application that keeps notes."""

    name = "notebook/1"

    def chunk_size(self, size: int) -> int:
        return 4096

    def create(self, uav: str, size: int) -> Notes:
        return Notes()

    def restore(self, uav: str, read: Reader) -> Notes:
        notes = Notes()
        for number in range(json.loads(read(0) or b"")):
            notes.lines.append((read(1 + number) or b"").decode())
        return notes


class Pair:
    """Two RSUs, and UAVs that recognise whoever hosts."""

    def __init__(self, directory: Path, application: Callable[[], Application], encrypted: bool = True) -> None:
        self.directory, self.application, self.encrypted = directory, application, encrypted
        make_keys(directory, ["north", "south"])
        self.ports: dict[str, tuple[str, int]] = {}
        self.replies: list[HostReply] = []
        self.reports: list[MigrationReport] = []
        self.troubles: list[Any] = []
        self.ended: list[str] = []  # threads
        self.services = {name: self._start(name) for name in ("north", "south")}
        self.closing = threading.Event()
        self.speaker = threading.Thread(target=self._speak)
        self.speaker.start()

    def _start(self, name: str) -> TwinService:
        service = TwinService(
            name,
            self.directory / f"{name}.db",
            self.application(),
            Identity(self.directory, name) if self.encrypted else None,
            self.ports.get(name, ("127.0.0.1", 0)),
            lambda peer: self.ports.get(peer),
            callbacks=Callbacks(
                self.replies.append,
                self.reports.append,
                trouble=self.troubles.append,
                ended=lambda thread, error: self.ended.append(thread),
            ),
        )
        self.ports[name] = service.address
        service.start()
        return service

    def restart(self, name: str) -> None:
        self.services.pop(name).stop()
        self.services[name] = self._start(name)

    def _speak(self) -> None:
        while not self.closing.wait(0.05):
            services = list(self.services.values())
            held = [one for service in services for one in service.host_heartbeats() if one.holding is Holding.HOSTING]
            for one in held:
                for service in services:
                    service.recognise(LeaseRenewal(one.uav, one.rsu, one.epoch, one.epoch, one.stamp))

    def host(self, uav: str = "u1") -> str:
        return next((name for name, service in list(self.services.items()) if uav in service.hosted), "")

    def place(self, rsu: str, size: int = 100_000) -> None:
        self.services[rsu].request(HostRequest("u1", rsu, EPOCH, size))
        self.update(lambda twin: None)

    def update(self, change: Callable[[Any], None]) -> None:
        """Change the twin, wherever it is served; returns once that is on the disk."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            host, answer = self.host(), queue.SimpleQueue[bool]()
            if host:
                self.services[host].update("u1", change, answer.put)
                if answer.get(timeout=PATIENCE):
                    return
            time.sleep(0.02)
        raise AssertionError("nobody serves the twin")

    def migrate(self, target: str, rate: float = 1e8) -> MigrationReport:
        host, before = self.host(), len(self.reports)
        epoch = next(one.epoch for one in self.services[host].host_heartbeats() if one.uav == "u1")
        self.services[host].migrate(MigrateRequest("u1", epoch, target), rate)
        wait_until(lambda: len(self.reports) > before)
        return self.reports[-1]

    def close(self) -> None:
        self.closing.set()
        self.speaker.join()
        for service in self.services.values():
            service.stop()


@pytest.fixture(params=[True, False], ids=["tls", "plain"])
def pair(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Pair]:
    opened = Pair(tmp_path, UavTwins, request.param)
    yield opened
    opened.close()


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[Pair]:
    opened = Pair(tmp_path, Notebook)
    yield opened
    opened.close()


def telemetry(sequence: int) -> Telemetry:
    return Telemetry(sequence, sequence * 0.1, (1.0 * sequence, 0.0, 50.0), (10.0, 0.0, 0.0))


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def see(sequence: int, twin: UavTwin) -> None:
    assert twin.observe(telemetry(sequence), 0.0) is None


def note(line: str, twin: Notes) -> None:
    twin.lines.append(line)


def test_a_twin_goes_to_and_fro_and_loses_nothing(pair: Pair) -> None:
    pair.place("north")
    for turn, target in enumerate(["south", "north", "south"]):
        for sequence in range(10 * turn, 10 * turn + 10):
            pair.update(partial(see, sequence))
        report = pair.migrate(target)
        assert (report.reason, report.target) == (None, target)
        assert report.sent >= report.size > 100_000
    seen: list[list[Telemetry]] = []
    pair.update(lambda twin: seen.append(twin.history()))
    assert [one.sequence for one in seen[-1]] == list(range(30))
    (served,) = pair.services["south"].served(world_time=3.0)
    assert served.epoch == EPOCH + 3
    assert served.estimate.position[0] == pytest.approx(30.0, abs=3.0)
    assert pair.services["north"].served(3.0) == []


def test_a_restarted_rsu_has_its_twins(pair: Pair) -> None:
    pair.place("north")
    pair.update(partial(see, 1))
    pair.restart("north")
    seen: list[list[Telemetry]] = []
    pair.update(lambda twin: seen.append(twin.history()))
    assert [one.sequence for one in seen[-1]] == [1]
    pair.restart("south")
    assert pair.migrate("south").reason is None
    wait_until(lambda: pair.host() == "south")


def test_draining_empties_an_rsu(pair: Pair) -> None:
    pair.place("north")
    pair.services["north"].drain(["south"], 1e8)
    wait_until(lambda: (pair.services["north"].hosted, pair.services["south"].hosted) == ([], ["u1"]))
    assert pair.migrate("north").reason is Reason.DRAINING


def test_an_applications_own_twin_is_kept_and_moves(notes: Pair) -> None:
    notes.place("north")
    for line in ("one", "two", "three"):
        notes.update(partial(note, line))
    notes.restart("north")
    assert notes.migrate("south").reason is None
    notes.update(partial(note, "four"))
    notes.restart("south")
    seen: list[list[str]] = []
    notes.update(lambda twin: seen.append(list(twin.lines)))
    assert seen[-1] == ["one", "two", "three", "four"]


def test_twins_move_only_between_rsus_with_the_same_application(notes: Pair) -> None:
    notes.place("north")
    notes.application = UavTwins
    notes.restart("south")
    assert notes.migrate("south").reason is Reason.INCOMPATIBLE
    notes.update(partial(note, "still here"))
    wait_until(lambda: notes.host() == "north")


def test_a_service_stops_while_its_log_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(path: Path) -> None:
        begun.set()
        assert go_on.wait(PATIENCE)

    monkeypatch.setattr(twin_host, "checkpoint_beside", slow)
    service = TwinService("north", tmp_path / "s.db", UavTwins(), None, ("127.0.0.1", 0), lambda peer: None)
    service.start()
    service._log_is_long.set()
    assert begun.wait(PATIENCE)
    stopping = threading.Thread(target=service.stop, daemon=True)
    stopping.start()
    while not service._stopping:
        time.sleep(0.01)
    go_on.set()
    stopping.join(PATIENCE)
    assert not stopping.is_alive()


def test_what_cannot_be_dealt_with_is_dropped_and_the_others_go_on(pair: Pair) -> None:
    pair.place("north")
    north = pair.services["north"]

    def fail(twin: Twin) -> None:
        raise ZeroDivisionError

    north.update("u1", fail, lambda accepted: None)
    wait_until(lambda: north.counts["unexpected_error"] == 1)
    taken: list[bool] = []
    north.update("u1", lambda twin: None, taken.append)
    wait_until(lambda: taken == [True])
    assert not pair.troubles
    assert not north.stuck(PATIENCE)


def test_a_failure_of_the_log_is_told(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)

    def fail(path: Path) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(twin_host, "checkpoint_beside", fail)
    north = pair.services["north"]
    assert not north.stuck(PATIENCE)
    north._log_is_long.set()
    wait_until(lambda: pair.ended == ["the store's log"])
    assert north.stuck(PATIENCE) == "the store's log"


def test_a_failure_of_the_thread_is_told_and_ends_the_host_heartbeats(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    pair.place("north")
    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)
    north = pair.services["north"]

    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(north, "_tell", fail)
    wait_until(lambda: bool(pair.troubles) and bool(pair.ended))
    assert "ZeroDivisionError" in str(pair.troubles[-1])
    assert pair.ended == ["the twins' thread"]  # whoever owns it ends the process, to be restarted
    wait_until(lambda: north.host_heartbeats() == [])
    assert north.stuck(PATIENCE) == "the twins' thread"
