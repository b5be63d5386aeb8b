"""An RSU's twins in a plain process, without ROS: what the benchmarks of migration start, feed and kill.

It takes commands and tells what happens as lines of JSON, on standard input and output. `PlainRsu` is the other end.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from uav_twin_migration.security.authority import make_keys
from uav_twin_migration.security.certificates import Identity
from uav_twin_migration.twin.hosting.admission import HostSettings
from uav_twin_migration.twin.hosting.application import Twin
from uav_twin_migration.twin.hosting.carrying_out import Callbacks
from uav_twin_migration.twin.hosting.estimate import Telemetry
from uav_twin_migration.twin.hosting.runtime import TwinService
from uav_twin_migration.twin.hosting.twin import UavTwin, UavTwins
from uav_twin_migration.twin.protocol.messages import (
    CancelRequest,
    Holding,
    HostHeartbeat,
    HostRequest,
    LeaseRenewal,
    MigrateRequest,
    Stamp,
)
from uav_twin_migration.twin.protocol.replica_state import Timing

STREAM_PERIOD = 0.002  # s between two states of a twin that users are sent
SAMPLE_PERIOD = 0.01  # s


def payload_of(sequence: int, size: int) -> bytes:
    """What the update of that number writes."""
    return random.Random(sequence).randbytes(size)


class _Process:
    """The side of the process."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.rsu = options["rsu"]
        self.addresses: dict[str, tuple[str, int]] = {}
        self.writing = threading.Lock()
        self.samples: list[tuple[float, int, int]] = []  # time, bytes sent, bytes on the disk
        keys = options.get("keys")
        settings = HostSettings(flush_period=options.get("flush_period", 0.5), timing=Timing(lease=options["lease"]))
        self.service = TwinService(
            self.rsu,
            options["store"],
            UavTwins(),
            Identity(keys, self.rsu) if keys else None,
            ("127.0.0.1", options.get("port", 0)),
            self.addresses.get,
            settings,
            callbacks=Callbacks(
                reply=lambda reply: self.tell("reply", **vars(reply)),
                report=lambda report: self.tell("report", **report._asdict()),
                hosting_change=self.hosting_change,
                trouble=lambda trouble: self.tell("trouble", why=str(trouble) if trouble else None),
            ),
        )
        self.users = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.stream_to: tuple[str, int] | None = None

    def tell(self, what: str, **more: Any) -> None:
        """Say one line."""
        line = json.dumps({"what": what, **more}, default=_plain)
        with self.writing:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    def hosting_change(self, hosting_change: Any) -> None:
        """The owner is told at once, and so are the users."""
        self.tell("hosting_change", at=time.monotonic(), **hosting_change._asdict())
        self.stream()

    def stream(self) -> None:
        """Send users the state of every twin that is served."""
        if self.stream_to is None:
            return
        for twin in self.service.served(time.time()):
            state = {"rsu": self.rsu, "uav": twin.uav, "epoch": twin.epoch, "age": twin.estimate.age}
            self.users.sendto(json.dumps(state).encode(), self.stream_to)

    def run(self) -> None:
        """Obey until standard input ends."""
        self.service.start()
        self.tell("ready", port=self.service.address[1])
        for line in sys.stdin:
            command = json.loads(line)
            getattr(self, "do_" + command.pop("do"))(**command)
        self.service.stop()

    # -- commands ----------------------------------------------------------------------------------------------------

    def do_addresses(self, **ports: int) -> None:
        """Where the other RSUs listen."""
        self.addresses.update({rsu: ("127.0.0.1", port) for rsu, port in ports.items()})

    def do_request(self, **request: Any) -> None:
        """Host a twin."""
        self.service.request(HostRequest(**request))

    def do_recognise(self, uav: str, host: str, epoch: int, newest_epoch: int, stamp: Any) -> None:
        """Hear a UAV's lease renewal."""
        self.service.recognise(LeaseRenewal(uav, host, epoch, newest_epoch, Stamp(*stamp) if stamp else None))

    def do_host_heartbeats(self) -> None:
        """Tell what is held."""
        self.tell(
            "host_heartbeats", held=[[*_values(host_heartbeat)] for host_heartbeat in self.service.host_heartbeats()]
        )

    def do_migrate(self, uav: str, epoch: int, target: str, rate: float | None) -> None:
        """Move a twin."""
        self.service.migrate(MigrateRequest(uav, epoch, target), math.inf if rate is None else rate)

    def do_grant(self, uav: str, rate: float) -> None:
        """Change the bandwidth."""
        self.service.grant(uav, rate)

    def do_cancel(self, uav: str) -> None:
        """Stop moving a twin."""
        self.service.cancel(CancelRequest(uav))

    def do_update(self, uav: str, sequence: int, piece: int | None) -> None:
        """Telemetry, and a change of the payload if `piece` is given; acknowledged once it is on the disk."""

        def change(twin: Twin) -> None:
            assert isinstance(twin, UavTwin)
            twin.observe(Telemetry(sequence, sequence * 0.1, (sequence * 0.1, 0.0, 100.0), (1.0, 0.0, 0.0)), 0.0)
            if piece is not None:
                twin.write_payload(piece, payload_of(sequence, twin.size_of(piece)))

        def done(accepted: bool) -> None:
            self.tell("updated", uav=uav, sequence=sequence, accepted=accepted)

        self.service.update(uav, change, done)

    def do_observe(self, uav: str, sequence: int, stamp: float, position: Sequence[float]) -> None:
        """Telemetry that nobody waits for."""
        place, speed = (position[0], position[1], position[2]), (1.0, 0.0, 0.0)
        self.service.observe(uav, Telemetry(sequence, stamp, place, speed), stamp)

    def do_stream(self, port: int, period: float = STREAM_PERIOD) -> None:
        """Send users states, all the time."""
        self.stream_to = ("127.0.0.1", port)
        threading.Thread(target=_every, args=(period, self.stream), daemon=True).start()

    def do_sample(self) -> None:
        """Note from now on how much was sent and is on the disk."""
        threading.Thread(target=_every, args=(SAMPLE_PERIOD, self.sample), daemon=True).start()

    def sample(self) -> None:
        """Note it once."""
        self.samples.append((time.monotonic(), self.service.carrier.sent, self.service.taken_in))

    def do_usage(self) -> None:
        """Tell the CPU time and the memory used, and the samples so far."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        samples, self.samples = self.samples, []
        cpu = usage.ru_utime + usage.ru_stime
        counts = dict(self.service.counts)
        moved = {"taken_in": self.service.taken_in, "written": written()}
        peak = usage.ru_maxrss
        self.tell("usage", at=time.monotonic(), cpu=cpu, peak_kb=peak, samples=samples, counts=counts, **moved)


def written() -> float:
    """Bytes that this process has written, as the kernel counts them: pages of files that were marked as changed."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return float(lines["write_bytes"])


def written_to_device(file: Path) -> float:
    """Bytes written to a file's device, by anybody; NaN where that is none of its own, as for a file in memory."""
    number = os.stat(file).st_dev
    try:
        fields = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/stat").read_text().split()
    except OSError:
        return math.nan
    return 512.0 * float(fields[6])


def _every(period: float, action: Callable[[], None]) -> None:
    due = time.monotonic()
    while True:
        action()
        due += period
        time.sleep(max(0.0, due - time.monotonic()))


def _plain(value: Any) -> Any:
    return value.value if hasattr(value, "value") else str(value)


def _values(host_heartbeat: HostHeartbeat) -> list[Any]:
    stamp = [host_heartbeat.stamp.incarnation, host_heartbeat.stamp.time]
    return [
        host_heartbeat.uav,
        host_heartbeat.rsu,
        host_heartbeat.holding.value,
        host_heartbeat.epoch,
        host_heartbeat.version,
        stamp,
        host_heartbeat.successor,
    ]


# -- the other end -----------------------------------------------------------------------------------------------------


class PlainRsu:
    """A handle on such a process."""

    def __init__(
        self, rsu: str, store: Path, keys: Path | None, on_line: Callable[[str, dict[str, Any]], None]
    ) -> None:
        """on_line: is called with the RSU's id and each line, in a thread of its own."""
        self.rsu, self.store, self.keys, self.on_line = rsu, store, keys, on_line
        self.port = 0
        self._writing = threading.Lock()
        self.process: subprocess.Popen[str] | None = None

    def start(self, lease: float = 3.0, **options: Any) -> None:
        """Start the process, again on its old port if nobody has taken that meanwhile; returns when it is ready."""
        options |= {"rsu": self.rsu, "store": str(self.store), "lease": lease}
        options |= {"keys": str(self.keys)} if self.keys else {}
        for port in dict.fromkeys((self.port, 0)):
            self.process, said = _begin(options | {"port": port})
            if said:
                self.port = json.loads(said)["port"]
                threading.Thread(target=self._listen, args=(self.process,), daemon=True).start()
                return
        raise RuntimeError(f"RSU {self.rsu} did not start")

    def say(self, do: str, /, **more: Any) -> None:
        """Give a command; one to a process that is gone is lost."""
        process = self.process
        if process is None or process.stdin is None:
            return
        with self._writing, contextlib.suppress(OSError, ValueError):
            process.stdin.write(json.dumps({"do": do, **more}) + "\n")

    def kill(self) -> None:
        """As -9 does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """Ask it to end."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
            self.process.wait(timeout=30)

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.endswith("\n"):
                said = json.loads(line)
                self.on_line(self.rsu, said)


def _begin(options: dict[str, Any]) -> tuple[subprocess.Popen[str], str]:
    """A process, and its first line; an empty one where it ended instead."""
    command = [sys.executable, "-m", "uav_twin_migration.studies.harnesses.plain_rsu", json.dumps(options)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert process.stdout is not None
    return process, process.stdout.readline()


def start_together(
    rsus: Sequence[str], directory: Path, on_line: Callable[[str, dict[str, Any]], None], **options: Any
) -> dict[str, PlainRsu]:
    """Start several, with keys of one authority and stores in `directory`, that know where the others listen."""
    make_keys(directory, list(rsus))
    started = {rsu: PlainRsu(rsu, directory / f"{rsu}.db", directory, on_line) for rsu in rsus}
    for rsu in started.values():
        rsu.start(**options)
    introduce(started)
    return started


def introduce(rsus: Mapping[str, PlainRsu]) -> None:
    """Tell each where all of them listen; again after one was restarted."""
    ports = {name: rsu.port for name, rsu in rsus.items()}
    for rsu in rsus.values():
        rsu.say("addresses", **ports)


def host_heartbeat_of(values: list[Any]) -> HostHeartbeat:
    """A host heartbeat that came as a line."""
    uav, rsu, holding, epoch, version, stamp, successor = values
    return HostHeartbeat(uav, rsu, Holding(holding), epoch, version, Stamp(*stamp), successor)


if __name__ == "__main__":
    _Process(json.loads(sys.argv[1])).run()
