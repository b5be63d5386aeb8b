"""A frame as shapes in space, for whatever draws those: Foxglove and RViz. Metres, in the map frame."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from uav_twin_migration.monitor.frames import NOBODY, Cast, Frame, Sample

Point = tuple[float, float, float]
Colour = tuple[float, float, float, float]

# Okabe and Ito's colours, which people who see fewer of them tell apart.
HOSTS: tuple[Colour, ...] = (
    (0.34, 0.71, 0.91, 1.0),
    (0.90, 0.62, 0.00, 1.0),
    (0.00, 0.62, 0.45, 1.0),
    (0.94, 0.89, 0.26, 1.0),
    (0.80, 0.47, 0.65, 1.0),
    (0.84, 0.37, 0.00, 1.0),
    (0.00, 0.45, 0.70, 1.0),
    (0.75, 0.75, 0.75, 1.0),
)
NO_HOST: Colour = (0.9, 0.1, 0.1, 1.0)
WALL: Colour = (0.55, 0.58, 0.62, 0.9)
INK: Colour = (1.0, 1.0, 1.0, 1.0)
CIRCLE = 48  # corners
MAST, DRONE, GHOST = 6.0, 8.0, 5.0  # m, diameters
LETTERS = 14.0  # m
LEAST_SHARE = 0.02  # MHz below which a grant is not drawn


class Shape(NamedTuple):
    """Something to draw."""

    kind: str  # walls, sphere, cylinder, line or text
    id: str
    points: tuple[Point, ...]  # m: a footprint's corners, a line's; of the others the middle alone
    colour: Colour
    size: float = 0.0  # m: diameter, thickness, or height of letters
    height: float = 0.0  # m, of walls and cylinders
    text: str = ""


def standing(cast: Cast) -> Iterator[Shape]:
    """What does not move: buildings, masts, coverage."""
    for number, building in enumerate(cast.buildings):
        corners = tuple((x, y, building.base) for x, y in building.footprint)
        yield Shape("walls", f"building/{number}", corners, WALL, height=building.height)
    for row, rsu in enumerate(cast.rsus):
        x, y, z = rsu.position
        if not math.isfinite(x + y + z):
            continue
        yield Shape("cylinder", f"rsu/{rsu.id}", ((x, y, z / 2.0),), colour_of(row), MAST, z)
        turns = (2.0 * math.pi * step / CIRCLE for step in range(CIRCLE + 1))
        circle = tuple((x + rsu.range * math.cos(turn), y + rsu.range * math.sin(turn), 1.0) for turn in turns)
        if math.isfinite(rsu.range):
            yield Shape("line", f"coverage/{rsu.id}", circle, (*colour_of(row)[:3], 0.5), 1.0)


def moving(cast: Cast, frame: Frame, sample: Sample | None) -> Iterator[Shape]:
    """What moves or changes: UAVs and their twins, grants, transfers, labels. sample: the newest one."""
    for row, uav in enumerate(cast.uavs[: len(frame.position)]):
        at = point(frame.position[row])
        if at is None:
            continue
        colour = colour_of(int(frame.host[row]))
        yield Shape("sphere", f"uav/{uav.id}", (at,), colour, DRONE)
        yield Shape("text", f"uav/{uav.id}/name", ((at[0], at[1], at[2] + LETTERS),), INK, LETTERS, text=uav.id)
        seen = point(frame.estimate[row])
        if seen is not None:
            yield Shape("sphere", f"twin/{uav.id}", (seen,), (*colour[:3], 0.4), GHOST)
    for number, transfer in enumerate(frame.transfers):
        source, target = cast.rsus[transfer.source].position, cast.rsus[transfer.target].position
        if math.isfinite(sum(source) + sum(target)) and math.isfinite(transfer.size) and transfer.size > 0.0:
            name, colour = f"transfer/{number}", colour_of(transfer.target)
            yield Shape("line", name, (source, target), (*colour[:3], 0.6), 3.0)
            part = min(transfer.sent / transfer.size, 1.0)
            x, y, z = (a + part * (b - a) for a, b in zip(source, target, strict=True))
            yield Shape("sphere", f"{name}/sent", ((x, y, z),), colour, DRONE)
    if sample is None:
        return
    for uav_row, rsu_row, share in sample.grants:
        at, mast = point(frame.position[uav_row]), cast.rsus[rsu_row].position
        if at is not None and share >= LEAST_SHARE and math.isfinite(sum(mast)):
            faint = (*colour_of(rsu_row)[:3], 0.35)
            yield Shape("line", f"grant/{uav_row}/{rsu_row}", (at, mast), faint, 0.8 * math.sqrt(share))
    for row, rsu in enumerate(cast.rsus[: len(sample.price)]):
        x, y, z = rsu.position
        if math.isfinite(x + y + z):
            text = f"{rsu.id}  {sample.price[row]:.2f}"
            yield Shape("text", f"rsu/{rsu.id}/name", ((x, y, z + LETTERS),), INK, LETTERS, text=text)


def colour_of(rsu: int) -> Colour:
    """The colour of what an RSU hosts."""
    return NO_HOST if rsu == NOBODY else HOSTS[rsu % len(HOSTS)]


def point(row: object) -> Point | None:
    """A row of a frame's array; None where it is not known."""
    x, y, z = (float(value) for value in row)  # type: ignore[attr-defined]
    return (x, y, z) if math.isfinite(x + y + z) else None


def wall_triangles(shape: Shape) -> list[Point]:
    """Three corners a triangle, of walls and roof."""
    triangles: list[Point] = []
    corners = shape.points
    for number, (x0, y0, low) in enumerate(corners):
        x1, y1, _ = corners[(number + 1) % len(corners)]
        high = low + shape.height
        triangles += [(x0, y0, low), (x1, y1, low), (x1, y1, high), (x0, y0, low), (x1, y1, high), (x0, y0, high)]
    for a, b, c in ears([(x, y) for x, y, _ in corners]):
        triangles += [(x, y, corners[0][2] + shape.height) for x, y in (a, b, c)]
    return triangles


def ears(polygon: list[tuple[float, float]]) -> Iterator[tuple[tuple[float, float], ...]]:
    """A simple polygon as triangles, by cutting off its ears; the rest is left out where it is none."""
    left = list(polygon) if area(polygon) > 0.0 else polygon[::-1]
    while len(left) >= 3:
        for index in range(len(left)):
            a, b, c = left[index - 1], left[index], left[(index + 1) % len(left)]
            others = (p for p in left if p not in (a, b, c))
            if turn(a, b, c) > 0.0 and not any(inside(p, a, b, c) for p in others):
                yield a, b, c
                del left[index]
                break
        else:
            return


def area(polygon: list[tuple[float, float]]) -> float:
    """Twice the area, positive anticlockwise, m2."""
    pairs = zip(polygon, polygon[1:] + polygon[:1], strict=True)
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs)


def turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    """Positive where a, b, c turn left."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def inside(p: tuple[float, float], a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Whether p lies in the triangle or on its edge."""
    return turn(a, b, p) >= 0.0 and turn(b, c, p) >= 0.0 and turn(c, a, p) >= 0.0
