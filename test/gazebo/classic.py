"""Gazebo Classic 11 for tests, in a Debian 11 root of its own: it does not install beside newer libraries.

    sudo python3 -m test.gazebo.classic

makes the root once (about four minutes, 2 GB) in .uavtwin/gazebo-classic, or where UAVTWIN_GAZEBO_CLASSIC says. Tests
make it by themselves where CI is set, and are skipped, saying why, where it cannot be had.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from test.debian_root import NoRootError, base_system, run
from uav_twin_migration.studies.harnesses.ports import free_port

CHECKOUT = Path(__file__).resolve().parents[2]
ROOT = Path(os.environ.get("UAVTWIN_GAZEBO_CLASSIC") or CHECKOUT / ".uavtwin" / "gazebo-classic")
RELEASE = "bullseye"
PACKAGES = ("gazebo", "libgazebo-dev", "g++")
COMPLETE = ROOT / "opt" / "complete"  # written last: a root without it was cut off
STUBS = {"SYSTEM": ("libgazebo_ros_init.so", "libgazebo_ros_factory.so"), "MODEL": ("libgazebo_ros_planar_move.so",)}
PATIENCE = 300.0  # s until a loaded machine must have loaded a world


NoGazeboClassicError = NoRootError  # it cannot be had here; the message says why


def available() -> bool:
    """Whether the root is there, made now where CI is set. Raises NoGazeboClassicError where it cannot be."""
    if COMPLETE.exists():
        if os.geteuid() != 0:
            raise NoGazeboClassicError("needs root for chroot")
        return True
    if not os.environ.get("CI"):
        raise NoGazeboClassicError("not set up; to do so: sudo python3 -m test.gazebo.classic")
    provision()
    return True


def provision() -> None:
    """Make the root: debootstrap, then Gazebo by apt. Raises NoGazeboClassicError where that fails."""
    base_system(ROOT, RELEASE)
    _run("its package lists", ["chroot", str(ROOT), "apt-get", "update"])
    install = "DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "
    install += " ".join(PACKAGES)
    _run("Gazebo Classic", ["chroot", str(ROOT), "sh", "-c", install])
    _run("tidying up", ["chroot", str(ROOT), "apt-get", "clean"])
    COMPLETE.parent.mkdir(exist_ok=True)
    COMPLETE.write_text("\n".join(PACKAGES))


def _run(what: str, command: Sequence[str]) -> None:
    run(what, command, ROOT)


def oracle() -> Path:
    """The compiled oracle plugin, as the path it has inside the root."""
    source = Path(__file__).with_name("oracle.cc")
    inside = Path("/opt") / f"oracle-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}.so"
    if not (ROOT / inside.relative_to("/")).exists():
        shutil.copy(source, ROOT / "opt" / "oracle.cc")
        build = "g++ -shared -fPIC -std=c++17 -O1 /opt/oracle.cc -o /opt/new.so $(pkg-config --cflags --libs gazebo)"
        _run("the test plugin compiled", ["chroot", str(ROOT), "sh", "-c", f"{build} && mv /opt/new.so {inside}"])
    return inside


def stubs() -> Path:
    """A folder, inside the root, of empty plug-ins under the names of gazebo_ros' that our worlds and nodes load."""
    inside = Path("/opt/stubs")
    folder = ROOT / inside.relative_to("/")
    for kind, names in STUBS.items():
        if not all((folder / name).exists() for name in names):
            folder.mkdir(exist_ok=True)
            shutil.copy(Path(__file__).with_name("stub.cc"), folder)
            build = f"g++ -DSTUB_OF_{kind} -shared -fPIC -std=c++17 -o new.so stub.cc $(pkg-config --cflags gazebo)"
            for_all = " && ".join(f"cp new.so {name}" for name in names)
            _run(f"a {kind.lower()} plug-in", ["chroot", str(ROOT), "sh", "-c", f"cd {inside} && {build} && {for_all}"])
    return inside


def wrapper(oracle_port: int, plugins: str) -> str:
    """A program to be found as gzserver: the root's, with the arguments it gets, and the oracle before them."""
    values = environment("/tmp", oracle_port) | {"GAZEBO_PLUGIN_PATH": plugins}
    return "\n".join(
        [
            "#!/bin/sh",
            "unset LD_LIBRARY_PATH TMPDIR",
            *(f"export {name}='{value}'" for name, value in values.items()),
            f'for word; do shift; set -- "$@" "${{word#{ROOT}}}"; done',  # paths as they are inside
            f'exec /usr/sbin/chroot {ROOT} gzserver --verbose -s {oracle()} "$@"\n',
        ]
    )


def environment(home: str, oracle_port: int) -> dict[str, str]:
    """What gzserver is told: to talk to nobody but the test."""
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": home,
        "GAZEBO_MODEL_DATABASE_URI": "",
        "GAZEBO_IP": "127.0.0.1",
        "GAZEBO_MASTER_URI": f"http://127.0.0.1:{free_port()}",
        "ORACLE_PORT": str(oracle_port),
    }


class Oracle:
    """The plug-in oracle.cc of a running gzserver."""

    def __init__(self, port: int, alive: Callable[[], bool]) -> None:
        """Connects when it listens. Raises RuntimeError when gzserver ends before, or takes longer than PATIENCE."""
        self._connection = self._connect(port, alive)
        self._answers = self._connection.makefile("r")

    @staticmethod
    def _connect(port: int, alive: Callable[[], bool]) -> socket.socket:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and alive():
            with suppress(ConnectionRefusedError):
                return socket.create_connection(("127.0.0.1", port))
            time.sleep(0.1)  # until the server listens: nothing tells when
        raise RuntimeError("gzserver did not load the world")

    def ask(self, orders: Sequence[str]) -> list[str]:
        """Answers to orders, one each; oracle.cc lists them."""
        answers: list[str] = []
        for start in range(0, len(orders), 500):
            some = orders[start : start + 500]
            self._connection.sendall("".join(f"{order}\n" for order in some).encode())
            answers += [self._answers.readline().rstrip("\n") for _ in some]
        return answers

    def __enter__(self) -> Oracle:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._answers.close()
        self._connection.close()


class GazeboClassic(Oracle):
    """A paused gzserver with a world, asked through the oracle: nothing in it depends on the speed of the machine."""

    def __init__(self, world: str) -> None:
        plugin = oracle()
        self._folder = Path(tempfile.mkdtemp(dir=ROOT / "tmp"))
        (self._folder / "test.world").write_text(world)
        port, home = free_port(), "/" + str(self._folder.relative_to(ROOT))
        command = ["chroot", str(ROOT), "gzserver", "--verbose", "-u", "-s", str(plugin), f"{home}/test.world"]
        self._log = open(self._folder / "log", "wb")  # noqa: SIM115 - closed with the server
        self._server = subprocess.Popen(command, env=environment(home, port), stdout=self._log, stderr=self._log)
        try:
            super().__init__(port, lambda: self._server.poll() is None)
        except BaseException:
            print("\n".join(self.log()[-20:]), file=sys.stderr)
            self._stop()
            raise

    def log(self) -> list[str]:
        """What gzserver has written so far, without colours."""
        return plain(self._folder / "log")

    def __enter__(self) -> GazeboClassic:
        return self

    def _stop(self) -> None:
        self._server.kill()
        self._server.wait()
        self._log.close()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        super().__exit__(kind, error, at)
        self._stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def plain(log: Path) -> list[str]:
    """The lines of a log of gzserver's, without colours."""
    return re.sub(r"\033\[[0-9;]*m", "", log.read_text(errors="replace")).splitlines()


if __name__ == "__main__":
    try:
        provision()
        oracle()
    except NoGazeboClassicError as error:
        sys.exit(f"Gazebo Classic cannot be set up: {error}")
