"""Frames for Foxglove and Lichtblick, which show them without anything being set up: scene, places on Earth, plots."""

from __future__ import annotations

import math
from typing import Any

from uav_twin_migration.errors import UavTwinError, missing_library
from uav_twin_migration.monitor.frames import Cast, Frame, Sample
from uav_twin_migration.monitor.scene import Shape, moving, standing, wall_triangles

EARTH = 6_378_137.0  # m, the radius at the equator
FRAME = "map"


class FoxgloveServer:
    """A WebSocket server that Foxglove connects to, on loopback. What viewers send is not asked for.

    Raises UavTwinError where the library is missing or the port is taken.
    """

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        """port: 8765 is what Foxglove suggests."""
        try:
            import foxglove
            from foxglove import channels, messages
        except ImportError:
            raise missing_library("Foxglove needs", "foxglove-sdk>=0.16") from None
        self._messages = messages
        self._context = context = foxglove.Context()  # which channels do not keep alive
        try:
            self._server = foxglove.start_server(name="uav_twin_migration", host=address, port=port, context=context)
        except Exception as error:  # the library's own, of whatever the system said
            raise UavTwinError(f"{address}:{port}: {error}; choose another --foxglove port") from None
        self._scene = channels.SceneUpdateChannel("/city/scene", context=context)
        self._buildings = channels.SceneUpdateChannel("/city/buildings", context=context)
        self._places = channels.LocationFixesChannel("/city/places", context=context)
        self._market = foxglove.Channel("/city/market", schema=PLOTS, message_encoding="json", context=context)
        self._shown: Cast | None = None
        self._sample: Sample | None = None
        self._told = -math.inf  # s, when the buildings were

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.port)

    def show(self, cast: Cast, frame: Frame) -> None:
        """Another frame."""
        self._sample = frame.sample or self._sample
        stamp = self._messages.Timestamp(int(frame.time), int(1e9 * (frame.time % 1.0)))
        nanoseconds = int(1e9 * frame.time)
        if cast is not self._shown or abs(frame.time - self._told) >= 5.0:  # also for those who come later
            self._shown, self._told = cast, frame.time
            self._buildings.log(self._update("city", list(standing(cast)), stamp), log_time=nanoseconds)
        shapes = list(moving(cast, frame, self._sample))
        self._scene.log(self._update("frame", shapes, stamp), log_time=nanoseconds)
        if cast.origin is not None:
            self._places.log(self._located(cast, frame, stamp), log_time=nanoseconds)
        if frame.sample is not None:
            self._market.log(plots(cast, frame, frame.sample), log_time=nanoseconds)

    def close(self) -> None:
        """Stop serving."""
        self._server.stop()

    def _update(self, id_: str, shapes: list[Shape], stamp: Any) -> Any:
        """One entity of all shapes: it replaces the last one of its name."""
        m = self._messages
        entity = m.SceneEntity(
            timestamp=stamp,
            frame_id=FRAME,
            id=id_,
            spheres=[
                m.SpherePrimitive(
                    pose=self._pose(one), size=m.Vector3(x=one.size, y=one.size, z=one.size), color=self._colour(one)
                )
                for one in shapes
                if one.kind == "sphere"
            ],
            cylinders=[
                m.CylinderPrimitive(
                    pose=self._pose(one),
                    size=m.Vector3(x=one.size, y=one.size, z=one.height),
                    bottom_scale=1.0,
                    top_scale=1.0,
                    color=self._colour(one),
                )
                for one in shapes
                if one.kind == "cylinder"
            ],
            lines=[
                m.LinePrimitive(
                    type=m.LinePrimitiveLineType.LineStrip,
                    pose=m.Pose(position=m.Vector3(), orientation=m.Quaternion(w=1.0)),
                    thickness=one.size,
                    points=[m.Point3(x=x, y=y, z=z) for x, y, z in one.points],
                    color=self._colour(one),
                )
                for one in shapes
                if one.kind == "line"
            ],
            triangles=[
                m.TriangleListPrimitive(
                    pose=m.Pose(position=m.Vector3(), orientation=m.Quaternion(w=1.0)),
                    points=[m.Point3(x=x, y=y, z=z) for x, y, z in wall_triangles(one)],
                    color=self._colour(one),
                )
                for one in shapes
                if one.kind == "walls"
            ],
            texts=[
                m.TextPrimitive(
                    pose=self._pose(one), billboard=True, font_size=one.size, color=self._colour(one), text=one.text
                )
                for one in shapes
                if one.kind == "text"
            ],
        )
        return m.SceneUpdate(entities=[entity])

    def _pose(self, shape: Shape) -> Any:
        x, y, z = shape.points[0]
        m = self._messages
        return m.Pose(position=m.Vector3(x=x, y=y, z=z), orientation=m.Quaternion(w=1.0))

    def _colour(self, shape: Shape) -> Any:
        r, g, b, a = shape.colour
        return self._messages.Color(r=r, g=g, b=b, a=a)

    def _located(self, cast: Cast, frame: Frame, stamp: Any) -> Any:
        m, origin = self._messages, cast.origin
        assert origin is not None
        fixes = []
        for x, y, z in frame.position:
            if math.isfinite(x + y + z):
                latitude = origin.latitude + math.degrees(y / EARTH)
                longitude = origin.longitude + math.degrees(x / EARTH / math.cos(math.radians(origin.latitude)))
                altitude = origin.altitude + float(z)
                fixes.append(
                    m.LocationFix(
                        timestamp=stamp, frame_id=FRAME, latitude=latitude, longitude=longitude, altitude=altitude
                    )
                )
        return m.LocationFixes(fixes=fixes)


NUMBERS = {"type": "object", "additionalProperties": {"type": "number"}}
PLOTS = {
    "type": "object",
    "title": "market",
    "properties": {
        "exploitability": {"type": "number"},
        "price": NUMBERS,
        "equilibrium": NUMBERS,
        "load": NUMBERS,
        "profit": NUMBERS,
        "immersion": NUMBERS,
        "age_of_information": NUMBERS,
    },
}


def plots(cast: Cast, frame: Frame, sample: Sample) -> dict[str, Any]:
    """Numbers by id, for plots; what is not known is left out."""

    def by_id(who: Any, values: Any) -> dict[str, float]:
        pairs = zip(who, values, strict=False)
        return {one.id: float(value) for one, value in pairs if math.isfinite(value)}

    found: dict[str, Any] = {
        "price": by_id(cast.rsus, sample.price),
        "equilibrium": by_id(cast.rsus, sample.equilibrium),
        "load": by_id(cast.rsus, sample.load),
        "profit": by_id(cast.rsus, sample.profit),
        "immersion": by_id(cast.uavs, sample.immersion),
        "age_of_information": by_id(cast.uavs, frame.age),
    }
    if math.isfinite(sample.exploitability):
        found["exploitability"] = sample.exploitability
    return found
