"""What `uavtwin city` costs: a district and a metropolis of made-up footprints, with corners as maps have them."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.studies.benchmarks import Figure

SUMMARY = "importing footprints: CPU time and memory with 5,000 and 50,000 buildings"
NEEDS = ("city",)  # groups of setup.py's REQUIREMENTS besides the command's

SIZES = (5_000, 50_000)
PITCH = 40.0  # m from building to building
METRES = 111_320.0  # of a degree of latitude
LATITUDE, LONGITUDE = 50.1, 14.4
COURTYARDS, COMPLEX = 0.1, 0.01  # shares of buildings with a courtyard, and of those with many corners
IMPORT = """
import json, resource, sys
from uav_twin_migration.cli.main import main
code = main(["city", sys.argv[1], "-o", sys.argv[2]])
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6]))
sys.exit(code)
"""


def run(directory: Path | None) -> list[Figure]:
    """Each size in a process of its own, whose whole time and memory count."""
    figures = []
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "city.geojson"
            write(file, size)
            print(f"  {size:,} buildings, {file.stat().st_size / 1e6:.0f} MB ...", flush=True)
            command = [sys.executable, "-c", IMPORT, str(file), str(file.with_suffix(".yaml"))]
            told = subprocess.run(command, capture_output=True, text=True)
        if told.returncode:
            raise UavTwinError(f"the import failed: {told.stderr.strip()[-500:]}")
        cpu_s, memory = json.loads(told.stdout.splitlines()[-1])
        figures += [
            Figure(f"{size:,} buildings: CPU time", cpu_s, "s"),
            Figure(f"{size:,} buildings: memory", memory, "MB"),
        ]
    return figures


def write(file: Path, count: int) -> None:
    """So many buildings on a square grid, each turned by chance, as GeoJSON."""
    dice = random.Random(1)
    side = math.ceil(math.sqrt(count))
    features = []
    for number in range(count):
        east, north = (number % side - side / 2) * PITCH, (number // side - side / 2) * PITCH
        rings = [_ring(dice, 14.0, 60 if dice.random() < COMPLEX else 4)]
        if dice.random() < COURTYARDS:
            rings.append(_ring(dice, 5.0, 4)[::-1])
        corners = [[[round(_east(east + x), 7), round(_north(north + y), 7)] for x, y in ring] for ring in rings]
        tags = {"building": "yes", "height": f"{dice.uniform(6, 40):.1f}"} if number % 3 else {"building": "yes"}
        features.append(
            {"type": "Feature", "properties": tags, "geometry": {"type": "Polygon", "coordinates": corners}}
        )
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")


def _ring(dice: random.Random, radius: float, corners: int) -> list[tuple[float, float]]:
    turn = dice.uniform(0.0, 2 * math.pi)
    angles = [turn + 2 * math.pi * k / corners for k in range(corners)]
    reach = [radius * dice.uniform(0.9, 1.0) for _ in angles]
    ring = [(r * math.cos(angle), r * math.sin(angle)) for r, angle in zip(reach, angles, strict=True)]
    return [*ring, ring[0]]


def _north(metres: float) -> float:
    return LATITUDE + metres / METRES


def _east(metres: float) -> float:
    return LONGITUDE + metres / (METRES * math.cos(math.radians(LATITUDE)))
