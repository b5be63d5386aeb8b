"""Buildings out of CityJSON (cityjson.org, 1.0 to 2.0) and its text sequences, which GDAL's wheels do not read.

A building there is a solid. Here it is what it covers, seen from above, and how far it reaches up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.scenario import tags

KINDS = {"Building": "building", "BuildingPart": "building:part"}
SUFFIXES = (".json", ".jsonl")
HEAD = 1 << 16  # bytes in which a file says what it is
SOLID = 0.5  # m; lower is a footprint, and tells no height
DEEPEST = 8  # lists in lists: a multi-solid has five
BROKEN = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)


class Solids(NamedTuple):
    """The buildings of a file."""

    shapes: list[bytes | None]  # WKB of what each covers, plane; None: it has no geometry; empty: a broken one
    tags: list[dict[str, object]]
    crs: str | None


def is_cityjson(file: Path) -> bool:
    """Whether a file is one, by its name and its first words."""
    if not file.is_file() or file.suffix.lower() not in SUFFIXES:
        return False
    with open(file, "rb") as opened:
        return re.search(rb'"type"\s*:\s*"CityJSON"', opened.read(HEAD)) is not None


def read(file: Path) -> Solids:
    """All buildings and parts of buildings. Raises ValueError where the file is no CityJSON."""
    shapes, rows, crs = [], [], None
    for document, vertices in _documents(file):
        crs = crs or _projection(document)
        said = document.get("CityObjects")
        objects: dict[str, Any] = said if isinstance(said, dict) else {}
        for found in objects.values():
            if not isinstance(found, dict) or found.get("type") not in KINDS:
                continue
            if found["type"] == "Building" and not found.get("geometry") and found.get("children"):
                continue  # its parts have the geometry
            try:
                shape, height = _seen_from_above(found, vertices)
                row = _tags(found, objects, height)
            except BROKEN:
                shape, row = b"", {KINDS["Building"]: "yes"}
            shapes.append(shape)
            rows.append(row)
    return Solids(shapes, rows, crs)


def _documents(file: Path) -> Iterator[tuple[dict[str, Any], NDArray[np.float64]]]:
    """The file's city, or one document a line of a sequence; each with its vertices [V, 3], m or degrees."""
    text = file.read_text(encoding="utf-8-sig")
    lines = [text] if file.suffix.lower() == ".json" else [line for line in text.splitlines() if line.strip()]
    scale, shift = np.ones(3), np.zeros(3)
    for line in lines:
        try:
            document = json.loads(line)
            transform = document.get("transform") or {}
            scale = np.array(transform.get("scale", scale), dtype=float)
            shift = np.array(transform.get("translate", shift), dtype=float)
            vertices = np.array(document.get("vertices", []), dtype=float).reshape(-1, 3) * scale + shift
        except (*BROKEN, RecursionError) as error:
            raise ValueError(f"CityJSON that cannot be read: {error}") from None
        yield document, vertices


def _projection(document: Mapping[str, Any]) -> str | None:
    """As PROJ reads it: CityJSON writes https://www.opengis.net/def/crs/EPSG/0/7415."""
    metadata = document.get("metadata")
    said = str(metadata.get("referenceSystem", "")) if isinstance(metadata, dict) else ""
    number = re.search(r"EPSG[/:]+(?:[0-9.]*[/:]+)?([0-9]+)$", said)
    return f"EPSG:{number[1]}" if number else said or None


def _seen_from_above(found: Mapping[str, Any], vertices: NDArray[np.float64]) -> tuple[bytes | None, float]:
    """What the finest geometry of an object covers, as WKB, and how far it reaches from its lowest point, m.

    Raises one of BROKEN where the geometry is none.
    """
    import shapely

    geometries = found.get("geometry")
    if not geometries:
        return None, 0.0
    finest = max(geometries, key=lambda one: float(one.get("lod", 0)))
    faces, heights = [], []
    for rings in _faces(finest["boundaries"], DEEPEST):
        corners = [vertices[ring] for ring in rings]
        heights += [corners[0][:, 2].min(), corners[0][:, 2].max()]
        face = shapely.Polygon(corners[0][:, :2], [hole[:, :2] for hole in corners[1:]])
        if face.area > 0:  # walls are lines from above
            faces.append(shapely.make_valid(face))
    try:
        covered = shapely.to_wkb(shapely.union_all(faces))
    except shapely.errors.GEOSException as error:
        raise ValueError(str(error)) from None
    return covered, float(max(heights) - min(heights))


def _faces(boundaries: Any, depth: int) -> Iterator[list[list[int]]]:
    """The faces of nested boundaries: a face is a list of rings, a ring a list of numbers of vertices."""
    if not depth:
        raise ValueError("boundaries nested too deeply")
    if isinstance(boundaries[0][0], int):
        yield boundaries
        return
    for inside in boundaries:
        yield from _faces(inside, depth - 1)


def _tags(found: Mapping[str, Any], objects: Mapping[str, Any], height: float) -> dict[str, object]:
    """What the object's attributes say, its own height, and whether it is a building or a part over one."""
    attributes = found.get("attributes")
    row: dict[str, object] = {
        key.lower(): value
        for key, value in (attributes.items() if isinstance(attributes, dict) else ())
        if key.lower() in tags.READ and isinstance(value, str | int | float)
    }
    if height > SOLID:
        row["height"] = round(height, 2)
    parents = [objects.get(str(name)) for name in found.get("parents") or ()]
    drawn = any(isinstance(parent, dict) and parent.get("geometry") for parent in parents)
    row[KINDS["BuildingPart" if drawn else "Building"]] = "yes"
    return row
