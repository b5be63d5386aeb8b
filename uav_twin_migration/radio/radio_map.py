"""A radio map: the path loss from each RSU at the points of a grid, traced once, and read by interpolation ever after.

The file is two lines of text, the second a JSON object that describes the grid, and then the losses: a byte each in
half decibels above `LOWEST`, 255 where no path was found, each but the first of a row as its difference from the one
before, compressed by zlib. Reading it executes nothing and takes no more memory than the grid that it names.
"""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from uav_twin_migration.bounded import in_range, read_json
from uav_twin_migration.errors import InputError
from uav_twin_migration.output import whole_file
from uav_twin_migration.scenario.model import Building

Array = NDArray[np.float64]
Bytes = NDArray[np.uint8]

MAGIC = b"uav_twin_migration radio map 1\n"
LOWEST, STEP, NONE = 30.0, 0.5, 255  # dB, dB, and the byte where there is no path
UNREACHED = 300.0  # dB, that such a place loses: nothing is received, and the number is one that messages may carry
SAME_PLACE = 0.5  # m, within which an antenna is the one that was traced
MOST_CELLS, MOST_RSUS, MOST_HEIGHTS = 1 << 26, 256, 64
LARGEST_HEADER, LARGEST_FILE = 1 << 16, 1 << 26  # bytes
FARTHEST = 1e5  # m


@dataclass(frozen=True)
class RadioMap:
    """Losses from M antennas at H heights over R x C points, which stand `cell` metres apart."""

    rsus: tuple[str, ...]
    antennas: Array  # [M, 3] m, heights included
    frequency: float  # GHz
    heights: Array  # [H] m above ground, rising
    corner: tuple[float, float]  # m east and north, of the first point of the first row
    cell: float  # m
    codes: Bytes  # [M, H, R, C], rows from south to north
    about: dict[str, str]  # how it was made: scenario, buildings, antenna, tracer, ...

    def loss(self) -> Array:
        """[M, H, R, C] dB, antenna's pattern included; `UNREACHED` where no path was found."""
        return np.where(self.codes == NONE, UNREACHED, LOWEST + STEP * self.codes)

    def loss_at(self, antennas: ArrayLike, positions: ArrayLike) -> Array:
        """Path loss (dB) [..., N, M] from antennas [..., M, 3] to positions [..., N, 3] (m), in between linear in dB.

        Among points without a path, a place is reached as far as those count that have one: half of their weight.
        NaN where the map says nothing: outside its grid by more than half a cell, above, below, or for an antenna
        that was not traced.
        """
        antennas, positions = np.asarray(antennas, dtype=float), np.asarray(positions, dtype=float)
        which = self._which(antennas)[..., None, :]
        grid = (positions - (*self.corner, 0.0)) / (self.cell, self.cell, 1.0)
        rows, columns = self.codes.shape[2:]
        east, north = grid[..., 0][..., None], grid[..., 1][..., None]
        level = np.interp(positions[..., 2], self.heights, np.arange(len(self.heights)), np.nan, np.nan)[..., None]
        inside = (np.abs(east - (columns - 1) / 2) <= columns / 2) & (np.abs(north - (rows - 1) / 2) <= rows / 2)
        known = inside & np.isfinite(level) & (which >= 0)
        total = weight = np.zeros(known.shape)
        for h, of_height in _neighbours(level, len(self.heights)):
            for r, of_row in _neighbours(north, rows):
                for c, of_column in _neighbours(east, columns):
                    code = self.codes[which, h, r, c]
                    share = of_height * of_row * of_column * (code != NONE)
                    total, weight = total + share * code, weight + share
        reached = weight >= 0.5
        lost = np.where(reached, LOWEST + STEP * total / np.where(reached, weight, 1.0), UNREACHED)
        return np.where(known, lost, np.nan)

    def _which(self, antennas: Array) -> NDArray[np.intp]:
        """[..., M] which of the traced antennas each is; -1 for none."""
        apart = np.linalg.norm(antennas[..., :, None, :] - self.antennas, axis=-1)
        nearest = apart.argmin(axis=-1)
        return np.where(apart.min(axis=-1) <= SAME_PLACE, nearest, -1)


def _neighbours(place: Array, count: int) -> list[tuple[NDArray[np.intp], Array]]:
    """The two points beside a place in units of the grid, with their weights; at the edge, the edge's."""
    place = np.clip(np.nan_to_num(place), 0.0, count - 1)
    before = np.minimum(place.astype(np.intp), max(count - 2, 0))
    part = place - before
    return [(before, 1.0 - part), (np.minimum(before + 1, count - 1), part)]


def encoded(loss: ArrayLike) -> Bytes:
    """Losses (dB) as bytes: in steps, from the lowest to the highest that a byte says; NONE where they are infinite."""
    loss = np.asarray(loss, dtype=float)
    steps = np.clip(np.rint((np.where(np.isfinite(loss), loss, LOWEST) - LOWEST) / STEP), 0, NONE - 1)
    return np.where(np.isfinite(loss), steps, NONE).astype(np.uint8)


def buildings_digest(buildings: Sequence[Building]) -> str:
    """Of all that a map depends on of buildings: tells a map of another city, or of how this one was."""
    content = [(one.footprint, one.height, one.base, one.material) for one in buildings]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


# --- the file -------------------------------------------------------------------------------------------------------


def to_bytes(radio_map: RadioMap) -> bytes:
    """The file's content. The same map gives the same bytes."""
    header: dict[str, Any] = {
        "rsus": list(radio_map.rsus),
        "antennas": radio_map.antennas.tolist(),
        "frequency": radio_map.frequency,
        "heights": radio_map.heights.tolist(),
        "corner": list(radio_map.corner),
        "cell": radio_map.cell,
        "rows": radio_map.codes.shape[2],
        "columns": radio_map.codes.shape[3],
        "about": radio_map.about,
    }
    codes = radio_map.codes
    changes = np.diff(codes, axis=3, prepend=np.uint8(0))
    return MAGIC + json.dumps(header).encode() + b"\n" + zlib.compress(changes.tobytes(), 9)


def from_bytes(data: bytes) -> RadioMap:
    """The map. Raises ValueError where it is none, damaged, or out of bounds."""
    if not data.startswith(MAGIC):
        raise ValueError("it does not begin as a radio map of version 1 does")
    end = data.find(b"\n", len(MAGIC), len(MAGIC) + LARGEST_HEADER)
    if end < 0:
        raise ValueError("its second line has no end")
    header = read_json(data[len(MAGIC) : end], LARGEST_HEADER)
    try:
        return _map_of(header, data[end + 1 :])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its second line lacks something: {error}") from None


def _map_of(header: Any, packed: bytes) -> RadioMap:
    rsus = tuple(header["rsus"])
    if not 1 <= len(rsus) <= MOST_RSUS or not all(isinstance(rsu, str) and len(rsu) <= 64 for rsu in rsus):
        raise ValueError(f"its RSUs are not 1 to {MOST_RSUS} names")
    antennas = _numbers(header["antennas"], (len(rsus), 3))
    heights = _numbers(header["heights"], (len(header["heights"]),))
    if not 1 <= len(heights) <= MOST_HEIGHTS or (np.diff(heights) <= 0.0).any():
        raise ValueError(f"its heights are not 1 to {MOST_HEIGHTS} rising numbers")
    west, south = _numbers(header["corner"], (2,)).tolist()
    rows, columns = (int(in_range(header[name], 1, MOST_CELLS)) for name in ("rows", "columns"))
    about = header["about"]
    if not all(isinstance(text, str) for pair in about.items() for text in pair):
        raise ValueError("what it says about itself is not text")
    shape = (len(rsus), len(heights), rows, columns)
    return RadioMap(
        rsus=rsus,
        antennas=antennas,
        frequency=in_range(header["frequency"], 0.1, 1000.0),
        heights=heights,
        corner=(west, south),
        cell=in_range(header["cell"], 0.1, FARTHEST),
        codes=_unpacked(packed, shape),
        about=dict(about),
    )


def _numbers(raw: Any, shape: tuple[int, ...]) -> Array:
    values = np.array([in_range(one, -FARTHEST, FARTHEST) for row in raw for one in (row if len(shape) > 1 else [row])])
    if values.size != math.prod(shape):
        raise ValueError(f"{values.size} numbers where {math.prod(shape)} were expected")
    return values.reshape(shape)


def _unpacked(packed: bytes, shape: tuple[int, ...]) -> Bytes:
    cells = math.prod(shape)
    if cells > MOST_CELLS:
        raise ValueError(f"{cells:,} losses, more than the {MOST_CELLS:,} allowed")
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(packed, cells + 1)
    except zlib.error as error:
        raise ValueError(f"its losses are damaged ({error})") from None
    if len(content) != cells or not unpacker.eof:
        raise ValueError(f"{len(content):,} losses or more where {cells:,} were expected")
    changes = np.frombuffer(content, dtype=np.uint8).reshape(shape)
    return np.cumsum(changes, axis=3, dtype=np.uint8)


def load(path: str | Path) -> RadioMap:
    """Read a map's file.

    Raises:
        InputError: there is none, or it is none.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST_FILE + 1)
        if len(data) > LARGEST_FILE:
            raise ValueError(f"more than {LARGEST_FILE >> 20} MiB")
        return from_bytes(data)
    except OSError as error:
        raise InputError(str(path), "radio map", error.strerror or str(error), "a readable file") from None
    except ValueError as error:
        raise InputError(str(path), "radio map", str(error), "a file that `uavtwin radiomap` wrote") from None


def save(radio_map: RadioMap, path: str | Path) -> int:
    """Write a map's file, all of it or nothing. Returns its bytes. Raises UavTwinError."""
    data = to_bytes(radio_map)
    with whole_file(path) as partial:
        partial.write_bytes(data)
    return len(data)
