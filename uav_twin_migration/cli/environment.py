"""The environments that a checkout's commands run in, one for each interpreter and ROS 2 beneath it.

With a ROS 2 distribution sourced (``ROS_DISTRO`` set and rclpy importable) an environment lies on top of that;
otherwise ROS 2 comes from its PyPI wheels. Each step leaves a stamp with a digest of what it was made from, so that
later runs do only what has changed, and write nothing where nothing has.

A checkout that belongs to somebody else, cannot be written, or whose path CMake cannot build in (it is not ASCII) has
its environment in the user's cache folder, unless its owner has set up what the command needs.

Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import re
import runpy
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from uav_twin_migration.cli.steps import CHECKOUT, SetupError, check_machine, digest, done, step

CONSTRAINTS = CHECKOUT / "config" / "constraints.txt"

WHEELS = {
    distribution: tuple(f"ros-{distribution}-{name}" for name in names)
    for distribution, names in {
        "jazzy": (
            # what the package uses
            *("rclpy", "rmw-fastrtps-cpp", "common-interfaces"),
            # what builds its interfaces
            *("ament-cmake", "rosidl-default-generators", "rosidl-default-runtime"),
            # and what those need without declaring it
            *("ament-package", "ament-cmake-include-directories", "ament-cmake-ros", "ament-cmake-gtest"),
            *("ament-cmake-gmock", "ament-cmake-pytest", "python-cmake-module", "rosidl-core-generators"),
        ),
        "kilted": (
            *("rclpy", "rmw-fastrtps-cpp", "common-interfaces"),
            *("ament-cmake", "rosidl-default-generators", "rosidl-default-runtime"),
            *("ament-package", "ament-cmake-include-directories", "ament-cmake-ros", "ament-cmake-gtest"),
            *("ament-cmake-gmock", "ament-cmake-pytest", "ament-cmake-ros-core", "rmw-security-common"),
            "rosidl-core-generators",
        ),
    }.items()
}
BUILD_REQUIREMENTS = ("catkin-pkg", "empy>=3.3,<5")  # of the wheels' build tools, undeclared, too


IN_USE = "in-use"  # locked by every command that runs from the folder


class Needs(NamedTuple):
    """What a command needs: groups of setup.py's REQUIREMENTS besides "core", and whether the built ROS 2 package."""

    groups: tuple[str, ...] = ()
    ros: bool = False


def is_source(path: Path) -> bool:
    """Whether a file of the checkout is one that gets installed."""
    return path.is_file() and path.parent.name != "__pycache__"


def prepend(env: dict[str, str], name: str, paths: Sequence[Path]) -> None:
    """Put paths before what the variable holds."""
    kept = [part for part in env.get(name, "").split(os.pathsep) if part]
    env[name] = os.pathsep.join([*map(str, paths), *kept])


def in_own_environment() -> bool:
    """Whether this Python is one that a checkout's set-up made."""
    return sys.prefix != sys.base_prefix and (Path(sys.prefix).parent / "stamps").is_dir()


def ros_distribution() -> str | None:
    """The ROS 2 distribution that is sourced and usable by this Python, if there is one, other than wheels of ours."""
    name = os.environ.get("ROS_DISTRO")
    found = name and not in_own_environment() and importlib.util.find_spec("rclpy") is not None
    return name if found else None


def homes() -> list[Path]:
    """Folders that may hold this checkout's environments, the best first."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    name = f"uavtwin-{digest(str(CHECKOUT))[:12]}"
    candidates = [CHECKOUT / ".uavtwin", cache / name, Path("/var/tmp") / f"{name}-{os.getuid()}"]
    return [home for home in candidates if str(home).isascii()]


def is_mine(home: Path) -> bool:
    """Whether an environment may be made or changed there: the folder, or where it is to be, is ours and writable."""
    folder = home
    while not folder.exists():
        folder = folder.parent
    owned = folder.stat().st_uid == os.getuid() or folder == Path("/var/tmp")
    return owned and folder.is_dir() and os.access(folder, os.W_OK)


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """One set-up at a time: a second `./uavtwin` waits for the first."""
    home.mkdir(parents=True, exist_ok=True, mode=0o755)
    with open(home / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def remove_unused(folder: Path) -> None:
    """Delete a folder, unless a command runs from it."""
    with open(folder / IN_USE, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        shutil.rmtree(folder, ignore_errors=True)


class Environment:
    """A virtual environment, the ROS 2 beneath it, and the built package on top.

    Packages are only added to the virtual environment: where one should have another version than it was installed in,
    the next environment is made beside this one. Interfaces that have changed are built into a prefix of their own. An
    old environment, or prefix, goes when no command runs from it any more.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.distribution = ros_distribution()
        self.wheels = os.environ.get("UAVTWIN_WHEELS", "jazzy")
        if self.wheels not in WHEELS:
            raise SetupError(f"UAVTWIN_WHEELS: got {self.wheels!r}, expected one of {', '.join(WHEELS)}")
        self.version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        beneath = f"{self.distribution}" if self.distribution else f"{self.wheels}-wheels"
        made_from = digest(sys.base_prefix, os.environ.get("AMENT_PREFIX_PATH", "") if self.distribution else "")
        self.name = f"{self.version}-{beneath}-{made_from[:8]}"
        self.log = home / "setup.log"
        self._lie_in(max(self._numbers(), default=1))

    def _numbers(self) -> list[int]:
        """Of this environment and those before it, which are still there."""
        found = (folder.name.removeprefix(self.name).removeprefix("-") for folder in self.home.glob(f"{self.name}*"))
        return [int(number or 1) for number in found if number.isdigit() or not number]

    def _folder(self, number: int) -> Path:
        return self.home / (self.name if number == 1 else f"{self.name}-{number}")

    def _lie_in(self, number: int) -> None:
        self.number, self.folder = number, self._folder(number)
        self.venv = self.folder / "venv"
        self.python = self.venv / "bin" / "python"
        self.stamps = self.folder / "stamps"
        self.prefix = self.folder / f"install-{digest(*self._interfaces())[:8]}"

    # what there is

    def ready(self, needs: Needs) -> bool:
        """Whether nothing is left to do."""
        if not (self.stamps / "venv").exists() or not self.python.exists():
            return False
        if not all(done(self.stamps / group, self._wanted(group)) for group in self._groups(needs)):
            return False
        return not needs.ros or done(self.prefix / "made-from", self._everything())

    def _groups(self, needs: Needs) -> list[str]:
        return ["core", *needs.groups, *(["ros"] if needs.ros and not self.distribution else [])]

    def _known_groups(self) -> Mapping[str, Sequence[str]]:
        """Requirements by group."""
        ros = (*WHEELS[self.wheels], *BUILD_REQUIREMENTS)
        return {"ros": ros, **runpy.run_path(str(CHECKOUT / "setup.py"))["REQUIREMENTS"]}

    def _wanted(self, group: str) -> str:
        """What a group's stamp says when it is installed: the pins of others do not make it stale.

        A distribution's own versions are not ours to pin.
        """
        requirements = self._known_groups()[group]
        names = {re.split(r"[<>=;\[ ]", line)[0].lower() for line in requirements}
        pins = [] if self.distribution else CONSTRAINTS.read_text(encoding="utf-8").splitlines()
        return "\n".join([*requirements, *(pin for pin in pins if pin.partition("==")[0].lower() in names)])

    def _is_outdated(self) -> bool:
        """Whether something that is installed should now be there in another version, or no longer."""
        for stamp in self.stamps.glob("*"):
            had = set(stamp.read_text().splitlines())
            if had and (stamp.name not in self._known_groups() or had - set(self._wanted(stamp.name).splitlines())):
                return True
        return False

    def _interfaces(self) -> list[str | Path]:
        files = []
        for folder in ("msg", "srv", "action"):
            files += sorted((CHECKOUT / folder).glob(f"*.{folder}"))
        return [*(str(path.relative_to(CHECKOUT)) for path in files), *files]

    def _configuration(self) -> str:
        files = [CHECKOUT / name for name in ("CMakeLists.txt", "package.xml", "setup.py")]
        return digest(*self._interfaces(), *files)

    def _everything(self) -> str:
        files = []
        for folder in ("uav_twin_migration", "config", "launch", "worlds"):
            files += [path for path in sorted((CHECKOUT / folder).rglob("*")) if is_source(path)]
        return digest(self._configuration(), *map(str, files), *files)

    # making it

    def make(self, needs: Needs) -> None:
        """Do what is left to do. The caller holds `only_one`."""
        check_machine(needs.ros, wheels=needs.ros and not self.distribution)
        if self._is_outdated():
            self._lie_in(self.number + 1)
        self._create()
        self._require(self._groups(needs))
        if needs.ros:
            self._build()
        link = self.home / "venv"  # for people and editors: the environment that was last made
        if link.is_symlink() or not link.exists():
            passing = self.home / "venv.new"
            passing.unlink(missing_ok=True)
            passing.symlink_to(self.venv.relative_to(self.home))
            passing.replace(link)
        for number in self._numbers():
            if number != self.number:
                remove_unused(self._folder(number))

    def _create(self) -> None:
        if (self.stamps / "venv").exists() and self.python.exists():
            return
        shutil.rmtree(self.folder, ignore_errors=True)  # half made: nothing runs from it
        options = ["--system-site-packages"] if self.distribution else []
        python = sys._base_executable if sys.prefix != sys.base_prefix else sys.executable  # type: ignore[attr-defined]
        step("making a Python environment", [python, "-m", "venv", *options, self.venv], self.log)
        if str(CHECKOUT).isascii():  # Python reads the file in the locale's encoding
            site = self.venv / "lib" / self.version / "site-packages"
            (site / "uav_twin_migration_checkout.pth").write_text(f"{CHECKOUT}\n", encoding="ascii")
        self.stamps.mkdir(parents=True)
        (self.stamps / "venv").touch()

    def _require(self, groups: Sequence[str]) -> None:
        """Install those groups of PyPI requirements that are not there yet."""
        wanted = {group: self._wanted(group) for group in groups}
        missing = [group for group in groups if not done(self.stamps / group, wanted[group])]
        if not missing:
            return
        pip: list[str | Path] = [self.python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
        pip += ["--progress-bar", "off"] + ([] if self.distribution else ["--constraint", str(CONSTRAINTS)])
        pip += [line for group in missing for line in self._known_groups()[group]]
        step(f"installing from PyPI: {', '.join(missing)}", pip, self.log)
        for group in missing:
            (self.stamps / group).write_text(wanted[group])

    def _build(self) -> None:
        """Build the package with CMake, as a ROS workspace would: all where interfaces changed, else what is left."""
        everything, configuration = self._everything(), self._configuration()
        if done(self.prefix / "made-from", everything):
            return
        source, build = self._source(), self.folder / "build"
        if not done(build / "made-for", str(self.prefix)):
            for prefix in self.folder.glob("install-*"):
                remove_unused(prefix)
            shutil.rmtree(build, ignore_errors=True)
            build.mkdir()
            (build / "made-for").write_text(str(self.prefix))
        if not done(build / "made-from", configuration):
            self._compile(source, build)
            (build / "made-from").write_text(configuration)
        step("installing the ROS 2 package", ["cmake", "--install", build], self.log, self.variables())
        (self.prefix / "made-from").write_text(everything)

    def _source(self) -> Path:
        """A copy of the checkout to build from: CMake refuses include directories (numpy's) below its source."""
        source = self.folder / "source"
        shutil.rmtree(source, ignore_errors=True)
        shutil.copytree(CHECKOUT, source, ignore=shutil.ignore_patterns(".*", "__pycache__", "test", "docs"))
        return source

    def _compile(self, source: Path, build: Path) -> None:
        """Configure and compile the interfaces."""
        cmake: list[str | Path] = ["cmake", "-S", source, "-B", build, f"-DCMAKE_INSTALL_PREFIX={self.prefix}"]
        cmake += [f"-DPython3_EXECUTABLE={self.python}", "-DBUILD_TESTING=OFF", "-DCMAKE_BUILD_TYPE=Release"]
        if not self.distribution:
            cmake.append(f"-DCMAKE_PROJECT_INCLUDE={Path(__file__).with_name('wheels.cmake')}")
        jobs = str(os.cpu_count() or 1)
        step("configuring the ROS 2 interfaces", cmake, self.log, self.variables())
        compile_all: list[str | Path] = ["cmake", "--build", build, "-j", jobs]
        step("building the ROS 2 interfaces", compile_all, self.log, self.variables())

    # using it

    def hold(self) -> list[int]:
        """Mark it, and the built package, if there is one, as in use for as long as this process, and what it becomes.

        Returns the handles that hold them.
        """
        handles = []
        for folder in (self.folder, self.prefix):
            lock = folder / IN_USE
            if lock.exists() or os.access(folder, os.W_OK):
                handle = os.open(lock, os.O_RDONLY | os.O_CREAT, 0o644)
                os.set_inheritable(handle, True)
                fcntl.flock(handle, fcntl.LOCK_SH)
                handles.append(handle)
        return handles

    def variables(self) -> dict[str, str]:
        """The process environment in which commands and the build run."""
        env = dict(os.environ)
        site = self.venv / "lib" / self.version / "site-packages"
        libraries, prefixes = [self.prefix / "lib"], [self.prefix]
        if not self.distribution:
            prefixes.append(self.venv)
            libraries += [self.venv / "lib", *sorted(site.glob("ros_*.libs"))]
            env.update(ROS_DISTRO=self.wheels, ROS_VERSION="2", ROS_PYTHON_VERSION="3")
            env.setdefault("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
            # the wheels would re-execute Python to set the library path, which is set here
            env["_ROS_WHEELS_BOOTSTRAP_COMPLETE"] = "1"
        # a Debian install prefix keeps Python packages in local/lib/.../dist-packages
        packages = ["lib/{}/site-packages", "local/lib/{}/dist-packages"]
        prepend(env, "PYTHONPATH", [CHECKOUT, *(self.prefix / path.format(self.version) for path in packages)])
        prepend(env, "AMENT_PREFIX_PATH", prefixes)
        prepend(env, "CMAKE_PREFIX_PATH", prefixes)
        prepend(env, "LD_LIBRARY_PATH", libraries)
        env["PATH"] = os.pathsep.join([str(self.venv / "bin"), env.get("PATH", os.defpath)])
        env["VIRTUAL_ENV"] = str(self.venv)
        return env


def set_up(needs: Needs) -> Environment:
    """An environment that has what is needed: one that is ready, or else one that is ours, after the set-up."""
    environments = [Environment(home) for home in homes()]
    for environment in environments:
        if environment.ready(needs):
            return environment
    for environment in environments:
        if is_mine(environment.home):
            with only_one(environment.home):
                environment.make(needs)
            return environment
    places = ", ".join(str(environment.home) for environment in environments)
    raise SetupError(f"nowhere to keep an environment: none of these is yours and can be written: {places}")
