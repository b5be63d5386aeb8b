"""Traces a city by rays with Sionna RT (NVIDIA, Apache-2.0), which runs on a GPU of NVIDIA or, by LLVM, on any CPU.

Aoudia et al., Sionna RT: Technical Report, arXiv:2504.21719. Walls and roofs are slabs of their material after ITU-R
P.2040; rays are reflected, refracted and diffracted at edges. Sionna is imported where it is used: the
package works without it.
"""

from __future__ import annotations

import glob
import importlib.util
import math
import os
import re
from collections.abc import Callable
from ctypes.util import find_library
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.errors import InputError, UavTwinError
from uav_twin_migration.radio import radio_map
from uav_twin_migration.radio.mesh import ply
from uav_twin_migration.radio.radio_map import RadioMap, buildings_digest
from uav_twin_migration.scenario.draw import bounds
from uav_twin_migration.scenario.model import Scenario

ANTENNAS = {"isotropic": "iso", "dipole": "dipole", "half_wave_dipole": "hw_dipole", "sector": "tr38901"}
FREQUENCIES = (1.0, 40.0)  # GHz, in which ITU-R P.2040 knows all materials that buildings may be of
GROUND = "concrete"  # what the ground is of, everywhere: streets
OLDEST_LLVM = 16  # 14 and 15 are refused by Dr.Jit or break in its code generator
LLVM_PATH = "DRJIT_LIBLLVM_PATH"
NO_BACKEND = (
    f"Sionna RT finds neither a GPU of NVIDIA nor LLVM {OLDEST_LLVM} or newer: sudo apt-get install libllvm19, "
    f"or name the library in {LLVM_PATH}"
)
WALL = 0.2  # m, thickness of the slabs


@dataclass(frozen=True)
class Tracing:
    """How a map is to be traced."""

    heights: tuple[float, ...] = ()  # m; empty: those that suit the scenario's UAVs
    cell: float = 10.0  # m
    depth: int = 3  # reflections and refractions that a path may have
    samples: int = 4_000_000  # rays from each antenna
    diffraction: bool = True  # without it a fifth of the blocked links of a city has no path at all
    antenna: str = "isotropic"  # one of ANTENNAS
    azimuth: float = 0.0  # degrees clockwise from north, to which a sector looks
    downtilt: float = 0.0  # degrees below the horizon
    seed: int = 1


def heights_for(scenario: Scenario) -> tuple[float, ...]:
    """Heights (m) around those at which the UAVs fly, and two on their way up."""
    low, high = (pick(uav.altitude for uav in scenario.uavs) for pick in (min, max))
    wanted = {10.0, 40.0, max(low - 10.0, 1.5), (low + high) / 2, high + 10.0}
    return tuple(sorted(round(height, 1) for height in wanted if height <= high + 10.0))


def trace(scenario: Scenario, how: Tracing, progress: Callable[[str], None] = lambda _: None) -> RadioMap:
    """The radio map of a scenario.

    Raises:
        InputError: the frequency is one at which materials are not known, or the grid is too large.
        UavTwinError: Sionna RT is missing, or has neither a GPU nor LLVM.
    """
    frequency = scenario.radio.carrier_frequency
    if not FREQUENCIES[0] <= frequency <= FREQUENCIES[1]:
        low, high = FREQUENCIES
        expected = f"{low:g} to {high:g} GHz, for which materials are known"
        raise InputError(scenario.name, "radio.carrier_frequency", frequency, expected)
    heights = tuple(sorted(how.heights or heights_for(scenario)))
    (west, south), (east, north) = (corner.tolist() for corner in bounds(scenario))
    columns, rows = (max(math.ceil((end - start) / how.cell), 1) for start, end in ((west, east), (south, north)))
    cells = len(scenario.rsus) * len(heights) * rows * columns
    if cells > radio_map.MOST_CELLS:
        raise InputError("options", "--cell", how.cell, f"a larger cell: {cells:,} losses are too many")
    rt = sionna()
    losses: NDArray[np.float64] = np.empty((len(scenario.rsus), len(heights), rows, columns))
    with TemporaryDirectory(prefix="uavtwin-radiomap-") as folder:
        scene = rt.load_scene(str(_written_scene(scenario, Path(folder))))
    scene.frequency = frequency * 1e9
    scene.tx_array = _array(rt, ANTENNAS[how.antenna])
    scene.rx_array = _array(rt, "iso")
    turn = [math.radians(90.0 - how.azimuth), math.radians(how.downtilt), 0.0]
    middle = (west + columns * how.cell / 2, south + rows * how.cell / 2)
    for m, rsu in enumerate(scenario.rsus):
        progress(f"{rsu.id}, {m + 1} of {len(scenario.rsus)}")
        scene.add(rt.Transmitter("antenna", position=[*rsu.position, rsu.antenna_height], orientation=turn))
        for h, height in enumerate(heights):
            gain = _gain(rt, scene, how, (*middle, height), (columns, rows), how.seed + h)
            with np.errstate(divide="ignore"):
                losses[m, h] = -10.0 * np.log10(gain)
        scene.remove("antenna")
    return RadioMap(
        rsus=tuple(rsu.id for rsu in scenario.rsus),
        antennas=np.array([(*rsu.position, rsu.antenna_height) for rsu in scenario.rsus]),
        frequency=frequency,
        heights=np.array(heights),
        corner=(west + how.cell / 2, south + how.cell / 2),
        cell=how.cell,
        codes=radio_map.encoded(losses),
        about=_about(scenario, how),
    )


def _about(scenario: Scenario, how: Tracing) -> dict[str, str]:
    from importlib.metadata import version

    looks = f", azimuth {how.azimuth:g}, downtilt {how.downtilt:g} degrees" if how.antenna != "isotropic" else ""
    return {
        "scenario": scenario.name,
        "buildings": buildings_digest(scenario.buildings),
        "antenna": how.antenna + looks,
        "traced": f"depth {how.depth}, {how.samples} rays, seed {how.seed}"
        + ", no diffraction" * (not how.diffraction),
        "tracer": f"sionna-rt {version('sionna-rt')}",
    }


def _array(rt: Any, pattern: str) -> Any:
    return rt.PlanarArray(num_rows=1, num_cols=1, pattern=pattern, polarization="V")


def _gain(
    rt: Any, scene: Any, how: Tracing, centre: tuple[float, ...], size: tuple[int, int], seed: int
) -> NDArray[np.float64]:
    """Path gain [R, C] at one height from the one antenna of the scene; 0 where no path was found."""
    import mitsuba as mi

    found = rt.RadioMapSolver()(
        scene,
        center=mi.Point3f(*centre),
        orientation=mi.Point3f(0.0, 0.0, 0.0),
        size=mi.Point2f(size[0] * how.cell, size[1] * how.cell),
        cell_size=mi.Point2f(how.cell, how.cell),
        samples_per_tx=how.samples,
        max_depth=how.depth,
        diffraction=how.diffraction,
        seed=seed,
    )
    gain: NDArray[np.float64] = np.asarray(found.path_gain, dtype=float)
    return np.asarray(gain[0])


# --- the scene ------------------------------------------------------------------------------------------------------


def _written_scene(scenario: Scenario, folder: Path) -> Path:
    """The city as a scene of Mitsuba: the ground, and a mesh a material."""
    (west, south), (east, north) = bounds(scenario)
    across = 2.0 * max(abs(west), abs(south), abs(east), abs(north)) + 1000.0
    materials = sorted({building.material for building in scenario.buildings} | {GROUND})
    parts = [_material(name) for name in materials]
    parts.append(
        f'<shape type="rectangle" id="plane"><transform name="to_world"><scale value="{across}"/></transform>'
        f'<ref id="mat-{GROUND}" name="bsdf"/></shape>'
    )
    for name in materials:
        some = [building for building in scenario.buildings if building.material == name]
        if some:
            (folder / f"{name}.ply").write_bytes(ply(some))
            parts.append(
                f'<shape type="ply" id="buildings-of-{name}"><string name="filename" value="{name}.ply"/>'
                f'<boolean name="face_normals" value="true"/><ref id="mat-{name}" name="bsdf"/></shape>'
            )
    path = folder / "city.xml"
    path.write_text('<scene version="2.1.0">\n' + "\n".join(parts) + "\n</scene>\n", encoding="utf-8")
    return path


def _material(name: str) -> str:
    return (
        f'<bsdf type="itu-radio-material" id="mat-{name}"><string name="type" value="{name}"/>'
        f'<float name="thickness" value="{WALL}"/></bsdf>'
    )


# --- the tracer -----------------------------------------------------------------------------------------------------


def sionna() -> Any:
    """Sionna RT, ready to trace. Raises UavTwinError with what to do where it is missing, or what it needs is."""
    if any(importlib.util.find_spec(name) is None for name in ("sionna", "mitsuba")):
        raise UavTwinError("Sionna RT is not installed: pip install 'uav_twin_migration[raytracing]'")
    llvm = newest_llvm([os.environ[LLVM_PATH]] if LLVM_PATH in os.environ else _libraries())
    if not llvm and find_library("cuda") is None:
        raise UavTwinError(NO_BACKEND)
    if llvm:
        os.environ[LLVM_PATH] = llvm
    try:
        import sionna.rt as rt
    except (ImportError, RuntimeError, AttributeError):  # its loader has found no backend all the same
        raise UavTwinError(NO_BACKEND) from None
    import mitsuba as mi

    if not str(mi.variant() or "").startswith(("cuda", "llvm")) or not _computes():
        raise UavTwinError(NO_BACKEND)
    return rt


def _computes() -> bool:
    """Whether the backend that was chosen can compute at all: it is loaded at the first use."""
    import mitsuba as mi

    try:
        return float(mi.Float([1.0, 2.0])[1] + 1.0) == 3.0
    except Exception:
        return False


def _libraries() -> list[str]:
    places = ("/usr/lib/*/libLLVM*.so*", "/usr/lib/llvm-*/lib/libLLVM*.so*", "/usr/lib64/libLLVM*.so*")
    return [path for place in places for path in glob.glob(place)]


def newest_llvm(paths: list[str]) -> str:
    """The newest of LLVM's shared libraries that serves, by its name; empty where there is none."""
    real = {path: os.path.realpath(path) for path in paths if os.path.exists(path)}
    versions = {path: int(found[1]) for path in real if (found := re.search(r"(?:LLVM-|\.so\.)(\d+)", real[path]))}
    return max((path for path in versions if versions[path] >= OLDEST_LLVM), key=lambda p: versions[p], default="")
