"""Shapes with tags to prisms: what stands above ground, parts instead of outlines, simple polygons.

Shapes are shapely's, in local metres.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.scenario.geometry import which_are_simple
from uav_twin_migration.scenario.model import Building, Point
from uav_twin_migration.scenario.tags import base_of, height_of, is_part, is_underground, material_of

Shapes = NDArray[Any]
Tags = Sequence[dict[str, object]]

SMALLEST = 4.0  # m^2, of a footprint that counts
LOWEST = 0.1  # m, of a prism that counts
TOLERANCE = 0.1  # m, by which corners of footprints may be left out
LARGEST = 50_000.0  # m from the origin to the farthest corner: a map's frame, not a building
COVERED = 0.9  # share of an outline that its parts cover, from which they are all of it


def prisms(
    shapes: Shapes, tags: Tags, radius: float, default_height: float, heights_from: Counter[str], left_out: Counter[str]
) -> tuple[Building, ...]:
    """Prisms over the shapes [N] within `radius` (m) of the origin.

    Counts where heights come from, and what is left out and why.
    """
    import shapely

    kept = _standing(shapes, tags, radius, left_out)
    shapes, tags = shapes[kept], [tags[index] for index in kept]
    invalid = ~shapely.is_valid(shapes)
    shapes[invalid] = [mended(shape) for shape in shapes[invalid]]
    shapes = _parts_over_outlines(shapes, tags, left_out)
    footprints, owner = _footprints(shapes)
    told = [height_of(of_shape, default_height) for of_shape in tags]
    bases = [base_of(of_shape) for of_shape in tags]
    has_area = np.zeros(len(shapes), dtype=bool)
    has_area[owner] = True
    buildings: list[Building] = []
    flat = np.array([_lift(top, base) < LOWEST for (top, _), base in zip(told, bases, strict=True)], dtype=bool)
    for footprint, index in zip(footprints, owner, strict=True):
        if not flat[index]:
            (top, _), base = told[index], bases[index]
            base = base if base < top else 0.0
            lift, material = round(top - base, 2), material_of(tags[index])
            buildings.append(Building(footprint, lift, round(base, 2), material))
    replaced = shapely.is_missing(shapes)
    heights_from.update(told[index][1] for index in np.flatnonzero(has_area & ~flat))
    left_out["no area"] += int(np.count_nonzero(~has_area & ~replaced))
    left_out[f"lower than {LOWEST:g} m"] += int(np.count_nonzero(has_area & flat))
    return tuple(buildings)


def _lift(top: float, base: float) -> float:
    """From base to top, m; a base above the top is a slip, and counts as the ground."""
    return top - (base if base < top else 0.0)


def _standing(shapes: Shapes, tags: Tags, radius: float, left_out: Counter[str]) -> NDArray[np.intp]:
    """Which shapes stand above ground within the radius."""
    import shapely

    west, south, east, north = shapely.bounds(shapes).T
    known = np.isfinite([west, south, east, north]).all(axis=0)
    nearest = np.hypot(np.maximum(np.maximum(west, -east), 0.0), np.maximum(np.maximum(south, -north), 0.0))
    farthest = np.hypot(np.maximum(np.abs(west), np.abs(east)), np.maximum(np.abs(south), np.abs(north)))
    near = known & (nearest <= radius)
    small = farthest <= LARGEST
    above = np.array([not is_underground(of_shape) for of_shape in tags], dtype=bool)
    left_out["too far away"] += int(np.count_nonzero(~near))
    left_out["too large"] += int(np.count_nonzero(near & ~small))
    left_out["underground"] += int(np.count_nonzero(near & small & ~above))
    return np.flatnonzero(near & small & above)


def mended(shape: Any) -> Any:
    """A valid shape that covers what each of its polygons covers, also where they overlap, as a solid's faces do."""
    import shapely

    return shapely.union_all([shapely.make_valid(polygon) for polygon in _polygons(shape)])


def _parts_over_outlines(shapes: Shapes, tags: Tags, left_out: Counter[str]) -> Shapes:
    """The shapes, with None for outlines that consist of parts, and others without what their parts cover."""
    import shapely

    part = np.array([is_part(of_shape) for of_shape in tags], dtype=bool)
    of_both = np.array([bool(of_shape.get("building:part")) for of_shape in tags], dtype=bool)
    parts, outlines = np.flatnonzero(part), np.flatnonzero(~part & ~of_both)
    if not len(parts) or not len(outlines):
        return shapes
    shapes = shapes.copy()
    which, whose = shapely.STRtree(shapes[outlines]).query(shapes[parts], predicate="intersects")
    which, whose = parts[which], outlines[whose]
    inside = shapely.area(shapely.intersection(shapes[which], shapes[whose])) > 0.5 * shapely.area(shapes[which])
    for outline in np.unique(whose[inside]):
        covering = shapely.union_all(shapes[which[inside & (whose == outline)]])
        rest = shapely.difference(shapes[outline], covering)
        if rest.area <= (1 - COVERED) * shapes[outline].area:
            shapes[outline] = None
            left_out["outline of building parts"] += 1
        else:
            shapes[outline] = rest
    return shapes


def _footprints(shapes: Shapes) -> tuple[list[tuple[Point, ...]], NDArray[np.intp]]:
    """Simple polygons, corners to the centimetre, that together are the shapes; and whose each is."""
    import shapely

    found: list[tuple[Point, ...]] = []
    owner: list[int] = []
    simpler = shapely.simplify(shapes, TOLERANCE)
    for index, shape in enumerate(simpler):
        for polygon in _polygons(shape):
            for piece in _without_holes(polygon):
                points = np.round(shapely.get_coordinates(piece.exterior)[:-1], 2) + 0.0
                corners = [(x, y) for x, y in points.tolist()]
                footprint = tuple(point for k, point in enumerate(corners) if point != corners[k - 1])
                if len(footprint) > 2 and piece.area >= SMALLEST:
                    found.append(footprint)
                    owner.append(index)
    simple = which_are_simple(found)
    kept = np.flatnonzero(simple)
    return [found[index] for index in kept], np.array(owner, dtype=np.intp)[kept]


def _polygons(shape: Any) -> list[Any]:
    """The polygons that a geometry of any kind holds."""
    if shape is None:
        return []
    if shape.geom_type == "Polygon":
        return [] if shape.is_empty else [shape]
    return [polygon for part in getattr(shape, "geoms", ()) for polygon in _polygons(part)]


def _without_holes(polygon: Any) -> Iterator[Any]:
    """The polygon cut through its courtyards until no part encloses one: the same solid, of simple prisms."""
    import shapely

    waiting = [polygon]
    while waiting:
        piece = waiting.pop()
        if not piece.interiors:
            yield piece
            continue
        cut = piece.interiors[len(piece.interiors) // 2].centroid.x
        west, south, east, north = piece.bounds
        halves = (shapely.box(west, south, cut, north), shapely.box(cut, south, east, north))
        waiting += [part for half in halves for part in _polygons(piece.intersection(half))]
