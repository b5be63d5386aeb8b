"""What stands and flies in the world: ground, city, towers, coverage, UAVs.

Collision shapes are what rays and radio see: the buildings' true prisms. Everything that is only there to be looked at
(roofs, glass, pavements, trees, rotors) has none.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from uav_twin_migration.scenario.geometry import are_simple, contains, signed_area
from uav_twin_migration.scenario.model import Building, Point, Rsu, Scenario, Uav
from uav_twin_migration.scenario.sdf.elements import (
    Material,
    box,
    box_inertia,
    collision,
    cylinder,
    pose,
    prism,
    sphere,
    static_model,
    tag,
    visual,
)

GRASS = Material((0.36, 0.47, 0.27), 0.0)
ASPHALT = Material((0.30, 0.31, 0.33), 0.02)
PAVEMENT = Material((0.68, 0.66, 0.62), 0.02)
ROOF = Material((0.33, 0.33, 0.36), 0.05)
MACHINERY = Material((0.70, 0.72, 0.74), 0.3)
GLASS = Material((0.24, 0.38, 0.50), 0.9)
STEEL = Material((0.55, 0.57, 0.60), 0.5)
PANEL = Material((0.93, 0.94, 0.95), 0.3)
SIGNAL_RED = Material((0.80, 0.12, 0.10), 0.2)
SIGNAL_WHITE = Material((0.95, 0.95, 0.95), 0.2)
BEACON = Material((1.0, 0.15, 0.1), 0.2, glow=1.0)
CARBON = Material((0.10, 0.10, 0.12), 0.4)
ROTOR = Material((0.75, 0.80, 0.88), 0.2, transparency=0.6)
PORT_LIGHT = Material((1.0, 0.1, 0.1), 0.2, glow=1.0)
STARBOARD_LIGHT = Material((0.1, 1.0, 0.2), 0.2, glow=1.0)
TRUNK = Material((0.35, 0.25, 0.17), 0.0)
FACADES = [  # brick, sandstone, plaster, terracotta, concrete, cream, slate blue
    Material(colour)
    for colour in (
        (0.62, 0.33, 0.26),
        (0.80, 0.69, 0.50),
        (0.87, 0.85, 0.80),
        (0.74, 0.47, 0.34),
        (0.66, 0.65, 0.63),
        (0.90, 0.82, 0.66),
        (0.47, 0.55, 0.64),
    )
]
LEAVES = [Material(colour, 0.0) for colour in ((0.20, 0.40, 0.18), (0.27, 0.46, 0.20), (0.34, 0.47, 0.18))]

STOREY = 3.5  # m
BANDS = 4_000  # window bands in a whole city at most: more would slow drawing down
MARGIN = 150.0  # m of ground around everything
GRASS_LEVEL = -0.6  # m
TREES = 300  # at most
LAYER_COVERAGE, LAYER_TREES = 1, 2  # Gazebo Classic's View > Layers hides them


def colour_of(index: int, count: int) -> tuple[float, float, float]:
    """A colour for the index-th of `count` things: hues evenly spaced, so that neighbours differ."""
    return colorsys.hsv_to_rgb(index / max(count, 1), 0.75, 0.95)


def extent(scenario: Scenario) -> tuple[Point, Point]:
    """South-west and north-east corner (m) of what the scenario holds."""
    points = [rsu.position for rsu in scenario.rsus]
    points += [point for uav in scenario.uavs for point in uav.route]
    points += [corner for building in scenario.buildings for corner in building.footprint]
    east, north = zip(*points, strict=True)
    return (min(east), min(north)), (max(east), max(north))


def outset(footprint: Sequence[Point], distance: float) -> list[Point]:
    """A footprint with its edges moved outwards by `distance` (m), mitred; sharp corners by twice that at most."""
    corners = np.array(footprint if signed_area(footprint) > 0 else footprint[::-1], dtype=float)
    along = np.roll(corners, -1, axis=0) - corners
    along /= np.maximum(np.linalg.norm(along, axis=1), 1e-9)[:, None]
    outward = np.stack([along[:, 1], -along[:, 0]], axis=1)  # of the edge that leaves each corner
    bisector = outward + np.roll(outward, 1, axis=0)
    reach = np.maximum((bisector**2).sum(axis=1), 1.0)  # |n1 + n2|^2 = 2 (1 + n1.n2)
    return [(float(x), float(y)) for x, y in corners + bisector * (2 * distance / reach)[:, None]]


# --- ground and city ------------------------------------------------------------------------------------------------


def ground(scenario: Scenario) -> Element:
    """Grass; what collides is an endless plane at z = 0, the level of the streets."""
    (west, south), (east, north) = extent(scenario)
    middle = ((west + east) / 2, (south + north) / 2)
    size = (4 * (east - west + MARGIN), 4 * (north - south + MARGIN))
    plane = tag("geometry", tag("plane", tag("normal", (0, 0, 1)), tag("size", size)))
    return static_model(
        "ground", collision("plane", plane), visual("grass", box(*size, 1), GRASS, (*middle, GRASS_LEVEL - 0.5))
    )


def city(buildings: Sequence[Building]) -> Element:
    """All buildings as one model: as fast to load and draw as it gets, and one name for rays to hit."""
    parts: list[Element] = []
    budget = BANDS // max(len(buildings), 1)
    for index, building in enumerate(buildings):
        parts += _building(f"building_{index}", building, FACADES[index * 5 % len(FACADES)], budget)
    return static_model("city", *parts)


def _building(name: str, building: Building, facade: Material, bands: int) -> Iterator[Element]:
    """A prism with glass bands storey by storey and a roof; around it pavement and street.

    Where buildings stand close, their streets join; where they do not, grass is left between them. Ground layers are
    some decimetres apart in height: any closer and they would flicker from afar. Corners are told from the building's
    middle: Gazebo Classic's triangulation refuses some polygons that lie far out, or whose coordinates are all round.
    """
    corners = np.array(building.footprint, dtype=float)
    x, y = map(float, corners.mean(axis=0))
    footprint: list[Point] = [(east, north) for east, north in (corners - (x, y)).tolist()]
    base, height = building.base, building.height
    slab = min(1.0, height / 4)  # the walls end below the roof, so that the two never flicker
    yield collision(name, prism(footprint, height), (x, y, base))
    yield visual(name, prism(footprint, height - slab), facade, (x, y, base))
    yield visual(f"{name}_roof", prism(_around(footprint, 0.6), slab), ROOF, (x, y, base + height - slab))
    if base == 0:
        street, pavement = _around(footprint, 14.0), _around(footprint, 4.0)
        yield visual(f"{name}_street", prism(street, -GRASS_LEVEL), ASPHALT, (x, y, GRASS_LEVEL))
        yield visual(f"{name}_pavement", prism(pavement, 0.5), PAVEMENT, (x, y, 0))
    storeys = int(height / STOREY)
    glazing = _around(footprint, 0.4)
    for storey in range(min(storeys, bands)):
        level = base + (storey + 0.3) * height / storeys
        yield visual(f"{name}_glass_{storey}", prism(glazing, 1.5), GLASS, (x, y, level))
    yield from _machinery(name, building)


def _around(footprint: Sequence[Point], distance: float) -> Sequence[Point]:
    """The footprint with its edges moved outwards, by less where they would cross, as in a narrow courtyard."""
    for share in (1.0, 0.5, 0.25, 0.1):
        larger = outset(footprint, share * distance)
        if are_simple([larger])[0] and signed_area(larger) > abs(signed_area(footprint)):
            return larger
    return footprint


def _machinery(name: str, building: Building) -> Iterator[Element]:
    """A lift house on roofs that are wide enough for it."""
    middle = np.asarray(building.footprint, dtype=float).mean(axis=0)
    size = 0.25 * math.sqrt(abs(signed_area(building.footprint)))
    square = middle + size * np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    if size > 2 and contains(building.footprint, square).all():
        at = (*map(float, middle), building.base + building.height + 1.2)
        yield visual(f"{name}_machinery", box(size, size, 2.4), MACHINERY, at)


def trees(scenario: Scenario) -> Element:
    """Trees on the open ground. For the eye only: radio and rays pass through them."""
    parts: list[Element] = []
    for index, (x, y) in enumerate(_tree_places(scenario)):
        crown = 2.2 + 1.3 * (index * 7 % 11) / 10
        parts.append(visual(f"trunk_{index}", cylinder(0.25, 4), TRUNK, (x, y, 1)))
        parts.append(visual(f"crown_{index}", sphere(crown), LEAVES[index % len(LEAVES)], (x, y, 2.4 + crown)))
    for part in parts:
        part.append(tag("meta", tag("layer", str(LAYER_TREES))))
    return static_model("trees", *parts)


def _tree_places(scenario: Scenario) -> NDArray[np.float64]:
    """Up to `TREES` points [., 2] (m) on a jittered grid, away from buildings and towers; always the same."""
    low, high = map(np.array, extent(scenario))
    spacing = max(math.sqrt(float(np.prod(high - low + 1)) / TREES), 12.0)
    axes = [np.arange(low[axis] + spacing / 2, high[axis], spacing) for axis in (0, 1)]
    places = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    places = places + np.random.default_rng(len(places)).uniform(-0.4, 0.4, places.shape) * spacing
    free = np.ones(len(places), dtype=bool)
    for building in scenario.buildings:
        free &= ~contains(outset(building.footprint, 16.0), places)
    for rsu in scenario.rsus:
        free &= np.linalg.norm(places - np.array(rsu.position), axis=1) > 10
    return np.asarray(places[free])


# --- road-side units ------------------------------------------------------------------------------------------------


def tower(rsu: Rsu) -> Element:
    """A mast in red and white with three sector antennas whose middle is the antenna of the radio model."""
    height = rsu.antenna_height
    mast = height + 1.5
    sections = max(int(mast / 5), 2)
    parts = [
        collision("mast", cylinder(0.5, mast), (0, 0, mast / 2)),
        visual("foundation", box(5, 5, 1.2), PAVEMENT, (0, 0, 0)),
        visual("cabinet", box(2.4, 1.2, 2.2), PANEL, (0, 1.6, 1.4)),
        visual("platform", cylinder(1.6, 0.25), STEEL, (0, 0, height - 1.6)),
        visual("beacon", sphere(0.45), BEACON, (0, 0, mast + 0.4)),
    ]
    for k in range(sections):
        length, radius, paint = mast / sections, 0.5 - 0.2 * k / sections, (SIGNAL_RED, SIGNAL_WHITE)[k % 2]
        parts.append(visual(f"section_{k}", cylinder(radius, length), paint, (0, 0, (k + 0.5) * length)))
    for k in range(3):
        turn = math.radians(120 * k)
        at = (1.1 * math.cos(turn), 1.1 * math.sin(turn), height, 0, 0, turn)
        parts.append(visual(f"antenna_{k}", box(0.3, 0.9, 2.4), PANEL, at))
    return static_model(rsu.id, *parts, at=(*rsu.position, 0))


def coverage(rsu: Rsu, index: int, count: int) -> Element:
    """A faint disc with a rim, as far as the RSU serves. Each lies a little higher than the last, not to flicker."""
    colour, height = colour_of(index, count), 2 + 12 * index / count
    disc = visual("disc", cylinder(rsu.range, 0.1), Material(colour, 0.0, 0.3, transparency=0.93), (0, 0, height))
    rim = visual("rim", prism(_ring(rsu.range), 0.8), Material(colour, 0.0, 0.6, transparency=0.3), (0, 0, height))
    for part in (disc, rim):
        part.append(tag("meta", tag("layer", str(LAYER_COVERAGE))))
    return static_model(f"coverage_{rsu.id}", disc, rim, at=(*rsu.position, 0))


def _ring(radius: float, width: float = 2.5, corners: int = 96) -> list[Point]:
    """A ring as one simple polygon: out along the rim, back along its inside, a hair's breadth left open."""
    turns = np.linspace(0, 2 * math.pi - 1e-3, corners)
    circle = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    outline = np.concatenate([radius * circle, (radius - width) * circle[::-1]])
    return [(float(x), float(y)) for x, y in outline]


# --- UAVs -----------------------------------------------------------------------------------------------------------

UAV_MASS = 2.0  # kg
UAV_SIZE = (0.9, 0.9, 0.3)  # m, rotors included
ARM = 0.32  # m from the middle to a motor, along x and along y


def uav_model(uav: Uav, index: int, count: int, plugins: Sequence[Element]) -> Element:
    """A quadrotor at its first waypoint and height, its body in a colour of its own, looking along its first leg.

    Whatever moves it commands velocities: it does not fall, and it is no obstacle to others. The embedded world has no
    collisions either; a bumped UAV would tumble with nobody to catch it.
    """
    start, towards = uav.route[0], uav.route[1 % len(uav.route)]
    heading = math.atan2(towards[1] - start[1], towards[0] - start[0])
    touch = tag("surface", tag("contact", tag("collide_bitmask", "0")))
    body = collision("body", box(*UAV_SIZE))
    body.append(touch)
    link = tag("link", tag("gravity", False), box_inertia(UAV_MASS, *UAV_SIZE), body, name="base_link")
    link.extend(_airframe(Material(colour_of(index, count), 0.5)))
    return tag("model", pose(*start, uav.altitude, 0, 0, heading), link, *plugins, name=uav.id)


def _airframe(paint: Material) -> Iterator[Element]:
    """Body, arms, motors, rotor discs with blades, legs, camera and lights; x is forward, y left."""
    yield visual("hull", box(0.34, 0.22, 0.10), paint)
    yield visual("canopy", sphere(0.10), paint, (0.06, 0, 0.04))
    yield visual("camera", sphere(0.05), CARBON, (0.18, 0, -0.06))
    for k, (x, y) in enumerate(((ARM, ARM), (-ARM, ARM), (-ARM, -ARM), (ARM, -ARM))):
        turn = math.atan2(y, x)
        yield visual(f"arm_{k}", box(math.hypot(x, y), 0.04, 0.03), CARBON, (x / 2, y / 2, 0, 0, 0, turn))
        yield visual(f"motor_{k}", cylinder(0.04, 0.08), STEEL, (x, y, 0.04))
        yield visual(f"rotor_{k}", cylinder(0.24, 0.005), ROTOR, (x, y, 0.10))
        yield visual(f"blade_{k}", box(0.46, 0.035, 0.008), CARBON, (x, y, 0.10, 0, 0, turn + 0.6))
        yield visual(f"light_{k}", sphere(0.03), PORT_LIGHT if y > 0 else STARBOARD_LIGHT, (x * 1.12, y * 1.12, 0))
    for k, y in enumerate((0.16, -0.16)):
        yield visual(f"skid_{k}", box(0.36, 0.025, 0.025), CARBON, (0, y, -0.15))
        for end, x in enumerate((0.12, -0.12)):
            yield visual(f"leg_{k}{end}", box(0.025, 0.025, 0.14), CARBON, (x, y, -0.09))
