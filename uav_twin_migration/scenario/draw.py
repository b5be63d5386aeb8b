"""A scenario as a map: buildings by height, RSUs with their coverage, the UAVs' routes. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from uav_twin_migration.output import whole_file
from uav_twin_migration.scenario.model import Point, Scenario

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAPER, STREET, RSU = "#f1eee6", "#ffffff", "#c1121f"
MARGIN = 60.0  # m around what is drawn
NAMED_UAVS = 10  # above, routes are drawn thin and without a legend


def draw_map(scenario: Scenario, path: str | Path, streets: Sequence[Sequence[Point]] = (), dpi: int = 150) -> None:
    """Draw the scenario into a picture file (its suffix says the format); `streets` are polylines in metres."""
    with whole_file(path) as partial:
        drawn(scenario, streets)[0].savefig(partial, dpi=dpi, bbox_inches="tight")


def drawn(scenario: Scenario, streets: Sequence[Sequence[Point]] = ()) -> tuple[Figure, Axes]:
    """The map, for others to draw upon."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # no window, and no global state as pyplot has
    from matplotlib.figure import Figure

    low, high = bounds(scenario)
    width, depth = high - low
    size = 9.0
    figure = Figure(figsize=(size, size * depth / width), facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(facecolor=PAPER)
    for street in streets:
        axes.plot(*np.transpose(street), color=STREET, linewidth=7, solid_capstyle="round", zorder=1)
    _draw_buildings(axes, scenario)
    _draw_coverage(axes, scenario)
    _draw_routes(axes, scenario)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal", xlabel="east (m)", ylabel="north (m)")
    axes.set_title(f"{scenario.name}: {len(scenario.rsus)} RSUs, {len(scenario.uavs)} UAVs", loc="left")
    return figure, axes


def bounds(scenario: Scenario) -> tuple[Any, Any]:
    """Lower left and upper right corner (m) of all that the scenario has, coverage aside."""
    corners = [corner for building in scenario.buildings for corner in building.footprint]
    waypoints = [point for uav in scenario.uavs for point in uav.route]
    points = np.array([*corners, *waypoints, *(rsu.position for rsu in scenario.rsus)])
    return points.min(axis=0) - MARGIN, points.max(axis=0) + MARGIN


def _draw_buildings(axes: Axes, scenario: Scenario) -> None:
    from matplotlib.collections import PolyCollection

    by_height = sorted(scenario.buildings, key=lambda building: building.base + building.height)
    if not by_height:
        return
    roofs = np.array([building.base + building.height for building in by_height])
    footprints = PolyCollection(
        [building.footprint for building in by_height],
        array=roofs,
        cmap="Greys",
        edgecolor="#55524a",
        linewidth=0.4,
        zorder=2,
    )
    footprints.set_clim(-15.0, max(roofs.max(), 50.0))
    axes.add_collection(footprints)
    bar = axes.figure.colorbar(footprints, cax=axes.inset_axes((1.03, 0.0, 0.03, 0.4)), label="roof height (m)")
    bar.ax.set_ylim(bottom=0)


def _draw_coverage(axes: Axes, scenario: Scenario) -> None:
    from matplotlib.patches import Circle

    for rsu in scenario.rsus:
        axes.add_patch(
            Circle(rsu.position, rsu.range, fill=False, edgecolor=RSU, linestyle=(0, (5, 4)), linewidth=0.9, zorder=3)
        )
    halo: dict[str, Any] = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    axes.plot(
        *np.transpose([rsu.position for rsu in scenario.rsus]),
        "^",
        color=RSU,
        markeredgecolor="white",
        markersize=11,
        zorder=6,
        label="RSU and its range",
    )
    for rsu in scenario.rsus:
        axes.annotate(
            rsu.id,
            rsu.position,
            (0, -9),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=8,
            bbox=halo,
            zorder=6,
        )


def _draw_routes(axes: Axes, scenario: Scenario) -> None:
    """Routes side by side where they share a street: each is moved by a point or two on paper."""
    from matplotlib import colormaps
    from matplotlib.transforms import ScaledTranslation

    few = len(scenario.uavs) <= NAMED_UAVS
    colours = colormaps["Dark2" if len(scenario.uavs) <= 8 else "tab20"].colors  # type: ignore[attr-defined]
    for index, uav in enumerate(scenario.uavs):
        colour = colours[index % len(colours)]
        points = [*uav.route, uav.route[0]] if uav.loop else list(uav.route)
        aside = 1.5 * (index - (len(scenario.uavs) - 1) / 2) if few else 0.0
        moved = axes.transData + ScaledTranslation(aside / 72, -0.6 * aside / 72, axes.figure.dpi_scale_trans)
        axes.plot(
            *np.transpose(points),
            color=colour,
            linewidth=1.4 if few else 0.6,
            alpha=1.0 if few else 0.5,
            solid_joinstyle="round",
            transform=moved,
            zorder=4,
        )
        axes.plot(
            *uav.route[0],
            "o",
            color=colour,
            markeredgecolor="white",
            markersize=7 if few else 3,
            transform=moved,
            zorder=5,
            label=f"{uav.id}, {uav.altitude:g} m up" if few else None,
        )
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1.0) if few else None, fontsize=8, framealpha=0.9, borderaxespad=0
    )
