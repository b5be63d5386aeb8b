"""One PX4 in software and our side of its flight, in real time and without ROS: what `bench px4` flies with."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from pymavlink.dialects.v20 import common

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.scenario.model import Origin, Uav
from uav_twin_migration.vehicle.autopilot import PERIOD, Autopilot
from uav_twin_migration.vehicle.connection import Link, MavlinkConnection
from uav_twin_migration.vehicle.flight_limits import Fence, FlightLimits
from uav_twin_migration.vehicle.phases import Phase
from uav_twin_migration.vehicle.signals import Command, Event, Setpoint
from uav_twin_migration.vehicle.sitl import address, dds_namespace, sitl, system_id
from uav_twin_migration.vehicle.wire import open_wire

Array = NDArray[np.float64]

ORIGIN = Origin(47.397742, 8.545594, 488.0)
UAV = Uav("bee", ((-40.0, 10.0), (40.0, 10.0), (40.0, 60.0)), 20.0, 8.0, 3.0, 10.0, 60.0)
STICKS_PORT, STICKS_RATE = 18570, 20.0  # UDP, of instance 0's ground station link; Hz
AGENT_PORT = "8888"  # UDP, where PX4 looks for its agent
SHELL_TIMEOUT = 10.0  # s
START_TIMEOUT = 30.0  # s


def _start(
    command: list[str], folder: Path, log: str, environment: Mapping[str, str] = MappingProxyType({})
) -> subprocess.Popen[bytes]:
    """A process in a folder of its own. Raises UavTwinError where there is no such program."""
    folder.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, **environment}
    try:
        with (folder / log).open("ab") as out:
            return subprocess.Popen(
                command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
    except OSError as error:
        raise UavTwinError(f"px4: cannot start {command[0]}: {error.strerror}") from None


def start_agent(program: str, folder: Path) -> subprocess.Popen[bytes]:
    """Start Micro XRCE-DDS's agent, with a log in a folder. Raises UavTwinError where there is no such program."""
    return _start([str(Path(program).resolve()), "udp4", "-p", AGENT_PORT], folder, "agent.log")


class Px4Process:
    """One instance in a folder of its own."""

    def __init__(self, px4_dir: str, instance: int, folder: Path, uav: Uav = UAV, origin: Origin = ORIGIN) -> None:
        """Raises InputError where `px4_dir` is no build."""
        self.instance, self._folder = instance, folder
        self._start = sitl(px4_dir, instance, uav, origin)
        self._bin = Path(px4_dir).expanduser().resolve() / "bin"
        self._process: subprocess.Popen[bytes] | None = None
        self.folder = folder / f"px4_{instance}"

    def start(self) -> None:
        """Start it, or start it again."""
        self._process = _start(self._start.command, self.folder, "px4.log", self._start.environment)

    def learn(self, signing_key: bytes) -> None:
        """Give it a key for MAVLink's signatures, where it looks for one when it starts."""
        (self.folder / "mavlink").mkdir(parents=True, exist_ok=True)
        (self.folder / "mavlink" / "mavlink-signing-key.bin").write_bytes(signing_key + bytes(8))

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self, stopped: bool) -> None:
        """Stop it, or let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if stopped else signal.SIGCONT)

    def shell(self, command: str, *words: str) -> str:
        """Run a command of PX4's shell; returns what it prints."""
        program = [str(self._bin / f"px4-{command}"), "--instance", str(self.instance), *words]
        ran = subprocess.run(program, capture_output=True, text=True, timeout=SHELL_TIMEOUT, check=False)
        return ran.stdout + ran.stderr

    def set(self, name: str, value: float) -> None:
        """Set one of PX4's parameters, once it has started. Raises UavTwinError."""
        end = time.monotonic() + START_TIMEOUT
        while b"Startup script returned" not in (self.folder / "px4.log").read_bytes():
            if time.monotonic() > end:
                raise UavTwinError(f"px4: not started after {START_TIMEOUT:g} s; see {self.folder / 'px4.log'}")
            time.sleep(0.2)
        said = self.shell("param", "set", name, f"{value:g}")
        if "not found" in said or "ERROR" in said:
            raise UavTwinError(f"px4: cannot set {name}: {said.strip()}")


class Sticks:
    """A pilot at a ground station: its heartbeats, and sticks in the middle."""

    def __init__(self, instance: int) -> None:
        import socket

        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._address = ("127.0.0.1", STICKS_PORT + instance)
        self._target = system_id(instance)
        self._mavlink = common.MAVLink(None, srcSystem=255, srcComponent=common.MAV_COMP_ID_MISSIONPLANNER)
        self._due = 0.0
        self.moved = False

    def step(self, now: float) -> None:
        """Send what is due."""
        if now < self._due:
            return
        self._due = now + 1 / STICKS_RATE
        forward = 800 if self.moved else 0
        for message in (
            self._mavlink.heartbeat_encode(6, 8, 0, 0, 4),
            self._mavlink.manual_control_encode(self._target, forward, 0, 500, 0, 0),
        ):
            self._socket.sendto(bytes(message.pack(self._mavlink)), self._address)

    def mode(self, main: int, sub: int = 0) -> None:
        """Switch the flight mode, as a ground station does."""
        message = self._mavlink.command_long_encode(self._target, 1, 176, 0, 1, main, sub, 0, 0, 0, 0)
        self._socket.sendto(bytes(message.pack(self._mavlink)), self._address)

    def close(self) -> None:
        """Put the sticks down."""
        self._socket.close()


class Drone:
    """Our side: a flight over a link of its own, stepped in real time, and what was seen of it."""

    def __init__(
        self,
        link: Link,
        *,
        uav: Uav = UAV,
        origin: Origin = ORIGIN,
        limits: FlightLimits | None = None,
        fence: Fence | None = None,
    ) -> None:
        self.link = link
        self.flight = Autopilot(uav, origin, limits=limits, fence=fence)
        self.beside: list[Callable[[float], None]] = []  # stepped, too
        self.track: list[tuple[float, Array, Array]] = []  # s, position and velocity, while those are known
        self.phases: list[tuple[float, Phase, str]] = []
        self.warnings: set[str] = set()
        self.mangle: Callable[[Command], Command | None] = lambda command: command
        self.deaf = False  # loses what PX4 says
        self._kept_alive = 0.0

    def step(self) -> None:
        """One period."""
        self.tick()
        time.sleep(PERIOD)

    def tick(self) -> None:
        """Hear, decide and say, now."""
        now = time.monotonic()
        for event in self.link.events():
            if not self.deaf:
                self.receive(event, now)
        for command in self.flight.step(now):
            sent = self.mangle(command)
            if sent is not None:
                self.link.send(sent)
        if now - self._kept_alive >= 1:
            self._kept_alive = now
            self.link.keep_alive()
        for other in self.beside:
            other(now)
        odometry = self.flight.odometry(now)
        if odometry is not None:
            self.track.append((now, odometry.position, odometry.velocity))
        if not self.phases or self.phases[-1][1] is not self.flight.phase:
            self.phases.append((now, self.flight.phase, self.flight.reason))
        self.warnings.add(self.flight.warning)

    def receive(self, event: Event, now: float) -> None:
        """Hear one thing."""
        self.flight.receive(event, now)

    def run(self, seconds: float) -> None:
        """Go on for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step()

    def until(self, condition: Callable[[], bool], patience: float, what: str) -> float:
        """Go on until something is so; returns after how long, s. Raises UavTwinError where it does not come."""
        begin = time.monotonic()
        while not condition():
            if time.monotonic() - begin > patience:
                raise UavTwinError(f"{what}: not within {patience:g} s; {self.story()}")
            self.step()
        return time.monotonic() - begin

    def until_phase(self, phase: Phase, patience: float = 40.0) -> float:
        """Go on until a phase."""
        return self.until(lambda: self.flight.phase is phase, patience, phase.value)

    def ready(self, patience: float = 30.0) -> float:
        """Go on until its odometry is known."""
        return self.until(self.knows, patience, "odometry")

    def knows(self) -> bool:
        """Whether it knows where it is."""
        return self.flight.odometry(time.monotonic()) is not None

    def is_fit(self) -> bool:
        """Whether it is ready to fly."""
        return self.flight.phase is Phase.IDLE and self.flight.describe(time.monotonic()) in ("idle", "idle: ready")

    def fly(self, order: str = "fly") -> None:
        """Give an order that must be answered with yes. Raises UavTwinError."""
        answer = getattr(self.flight, order)(time.monotonic())
        if not answer.ok:
            raise UavTwinError(f"{order} was answered no: {answer.message}")

    def no(self, order: str) -> str:
        """Give an order that must be answered with no; returns why. Raises UavTwinError."""
        answer = getattr(self.flight, order)(time.monotonic())
        if answer.ok:
            raise UavTwinError(f"{order} was answered yes: {answer.message}")
        return str(answer.message)

    def up(self) -> None:
        """Take off and follow the route."""
        self.ready()
        self.until(self._has_said_enough, 20, "heartbeat and battery")
        for _ in range(40):  # PX4's own checks may still be going on
            self.fly()
            self.until(lambda: self.flight.phase in (Phase.FLYING, Phase.REFUSED), 40, "flying")
            if self.flight.phase is Phase.FLYING:
                return
        raise UavTwinError(f"never flew; {self.story()}")

    def _has_said_enough(self) -> bool:
        return self.flight.phase is not Phase.SILENT and "battery" not in self.flight.describe(time.monotonic())

    @property
    def position(self) -> Array:
        """The latest known, m."""
        return self.track[-1][1]

    def aside(self, since: float = 0.0) -> float:
        """How far aside it has been from where it stood at a time, m."""
        points = np.array([position for at, position, _ in self.track if at >= since])
        return float(np.hypot(*(points[:, :2] - points[0, :2]).T).max())

    def story(self) -> str:
        """Its phases."""
        return "; ".join(
            f"{phase.value} ({reason})" if reason else phase.value for _, phase, reason in self.phases[-6:]
        )

    def close(self) -> None:
        """Let go of the port."""
        self.link.close()


class Rig:
    """What a case has: PX4 processes, drones and a pilot, all of which end with it."""

    def __init__(self, px4_dir: str, folder: Path, agent: str = "") -> None:
        """With an `agent`, the program of Micro XRCE-DDS's, drones are flown over PX4's own topics."""
        self._px4_dir, self._folder = px4_dir, folder
        self._px4s: list[Px4Process] = []
        self._others: list[Drone | Sticks] = []
        self.over_dds = bool(agent)
        self._agent = start_agent(agent, folder) if agent else None

    def px4(
        self, instance: int = 0, uav: Uav = UAV, origin: Origin = ORIGIN, *, signing_key: bytes = b""
    ) -> Px4Process:
        """A new instance, started on the ground below the UAV's first waypoint."""
        one = Px4Process(self._px4_dir, instance, self._folder, uav, origin)
        if signing_key:
            one.learn(signing_key)
        self._px4s.append(one)
        one.start()
        return one

    def drone(
        self,
        instance: int = 0,
        *,
        uav: Uav = UAV,
        origin: Origin = ORIGIN,
        limits: FlightLimits | None = None,
        fence: Fence | None = None,
        port: int | None = None,
        signing_key: bytes = b"",
    ) -> Drone:
        """Our side of an instance's flight, over a `port` of its own where one is given."""
        one = Drone(self._link(instance, port, signing_key), uav=uav, origin=origin, limits=limits, fence=fence)
        self._others.append(one)
        return one

    def _link(self, instance: int, port: int | None, signing_key: bytes) -> Link:
        if self.over_dds:
            from uav_twin_migration.nodes.px4_dds import DdsConnection  # px4_msgs need not be there otherwise

            return DdsConnection(dds_namespace(instance), system_id(instance))
        where = address(instance) if port is None else f"udp://127.0.0.1:{port}?to=127.0.0.1:{14580 + instance}"
        return MavlinkConnection(system_id(instance), open_wire(where), signing_key=signing_key)

    def sticks(self, instance: int = 0) -> Sticks:
        """A pilot."""
        one = Sticks(instance)
        self._others.append(one)
        return one

    def flying(self) -> tuple[Px4Process, Drone]:
        """A drone on its route, some seconds after take-off."""
        px4, drone = self.px4(), self.drone()
        drone.up()
        drone.run(6)
        return px4, drone

    def let_go(self) -> None:
        """End our side, as a node that ends."""
        while self._others:
            self._others.pop().close()

    def close(self) -> None:
        """End all of it."""
        for other in self._others:
            other.close()
        for px4 in self._px4s:
            px4.kill()
        if self._agent is not None:
            self._agent.kill()
            self._agent.wait()


def is_setpoint(command: Command) -> bool:
    """Whether it is one of the stream."""
    return isinstance(command, Setpoint)
