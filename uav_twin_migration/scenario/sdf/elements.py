"""The SDF elements that models are made of: poses, shapes, materials, links. All lengths are metres, angles radians."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

Value = str | float | bool | Sequence[float]


class Material(NamedTuple):
    """A surface: its colour (red, green, blue in [0, 1]), how it shines, and how much light falls through it."""

    colour: tuple[float, float, float]
    specular: float = 0.05  # [0, 1]
    glow: float = 0.0  # [0, 1], share of the colour that is emitted
    transparency: float = 0.0  # [0, 1]


def text_of(value: Value) -> str:
    """A value as SDF writes it: numbers to a tenth of a millimetre, vectors separated by blanks."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"{float(f'{value:.4f}'):.10g}" if abs(value) >= 1 else f"{value:.4g}"
    return " ".join(text_of(float(part)) for part in value)


def tag(name: str, /, *content: Element | Value, **attributes: str) -> Element:
    """An element with children, or with one value as its text."""
    element = Element(name, attributes)
    for part in content:
        if isinstance(part, Element):
            element.append(part)
        else:
            element.text = text_of(part)
    return element


def pose(*values: float) -> Element:
    """x, y, z and, where given, roll, pitch, yaw."""
    return tag("pose", (*values, *(0.0,) * (6 - len(values))))


def placed(at: Sequence[float]) -> list[Element]:
    """A pose where it is needed."""
    return [pose(*at)] if any(at) else []


def box(*size: float) -> Element:
    """A box of three side lengths about its middle."""
    return tag("geometry", tag("box", tag("size", size)))


def cylinder(radius: float, length: float) -> Element:
    """An upright cylinder about its middle."""
    return tag("geometry", tag("cylinder", tag("radius", radius), tag("length", length)))


def sphere(radius: float) -> Element:
    """A sphere about its middle."""
    return tag("geometry", tag("sphere", tag("radius", radius)))


def prism(footprint: Iterable[Sequence[float]], height: float) -> Element:
    """A footprint of corners (x, y), extruded upwards from z = 0."""
    points = [tag("point", corner) for corner in footprint]
    return tag("geometry", tag("polyline", *points, tag("height", height)))


def material(surface: Material) -> Element:
    """The material element, in the form that both Gazebos understand."""
    colour, shine, glow = surface.colour, surface.specular, surface.glow
    element = tag("material", tag("ambient", (*colour, 1)), tag("diffuse", (*colour, 1)))
    if shine:
        element.append(tag("specular", (shine, shine, shine, 1)))
    if glow:
        element.append(tag("emissive", (*(part * glow for part in colour), 1)))
    return element


def visual(name: str, geometry: Element, surface: Material, at: Sequence[float] = ()) -> Element:
    """What is seen. Transparent parts cast no shadow."""
    element = tag("visual", *placed(at), geometry, material(surface), name=name)
    if surface.transparency:
        element.append(tag("transparency", surface.transparency))
        element.append(tag("cast_shadows", False))
    return element


def collision(name: str, geometry: Element, at: Sequence[float] = ()) -> Element:
    """What is hit."""
    return tag("collision", *placed(at), geometry, name=name)


def box_inertia(mass: float, x: float, y: float, z: float) -> Element:
    """Inertia (kg m^2) of a solid box of `mass` (kg) and side lengths about its middle."""
    moments = {"ixx": y * y + z * z, "iyy": x * x + z * z, "izz": x * x + y * y}
    products = [tag(name, 0.0) for name in ("ixy", "ixz", "iyz")]
    return tag(
        "inertial",
        tag("mass", mass),
        tag("inertia", *(tag(name, mass * value / 12) for name, value in moments.items()), *products),
    )


def static_model(name: str, *parts: Element, at: Sequence[float] = ()) -> Element:
    """A model of one link that never moves."""
    return tag("model", tag("static", True), *placed(at), tag("link", *parts, name="link"), name=name)
