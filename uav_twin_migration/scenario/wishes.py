"""What the person who imports a city may choose. Standard library only: the command line's help reads it."""

from __future__ import annotations

from dataclasses import dataclass

from uav_twin_migration.scenario.model import Origin

WIDEST = 20_000.0  # m from the origin, beyond which a plane is no map of the Earth


@dataclass(frozen=True)
class Wishes:
    """How a city is to be imported."""

    name: str = ""  # "" for that of the file
    rsus: int = 4
    uavs: int = 8
    seed: int = 1  # of the tours and of what RSUs and UAVs are like
    range: float = 600.0  # m, of the RSUs
    default_height: float = 12.0  # m, of buildings that do not tell theirs
    centre: Origin | None = None  # of the map; None for the median of the buildings
    radius: float = WIDEST  # m about the centre, beyond which buildings are left out
    layer: str | None = None  # of footprints, in a file of several layers
    street_layer: str | None = None
    crs: str | None = None  # projection of files that do not name theirs, as EPSG:...
