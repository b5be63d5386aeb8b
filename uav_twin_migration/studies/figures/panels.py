"""Ways of doing something, side by side: a panel a measure, a line a way, each seed a dot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from uav_twin_migration.studies.sweep.results import Row, band

BLUE, GREY = "#0072b2", "#999999"
WIDTH, HEIGHT = 4.8, 0.34  # inches a panel, and a line in it
COLUMNS = 3

Ways = Mapping[str, Mapping[str, Any]]  # name -> the values of the sweep's axes by which its rows are known


class Measure(NamedTuple):
    """One panel."""

    title: str
    unit: str
    of: Callable[[Row], float]


def panels(
    rows: Sequence[Row], ways: Ways, measures: Sequence[Measure], title: str
) -> tuple[Figure, list[dict[str, Any]]]:
    """The picture, and its table: interquartile means with their 95 % intervals."""
    lines = -(-len(measures) // COLUMNS)
    canvas = Figure(figsize=(WIDTH * COLUMNS, 0.7 + lines * (1.1 + HEIGHT * len(ways))), layout="constrained")
    canvas.suptitle(f"{title}\ninterquartile means with their 95 % intervals; dots are seeds", fontsize=11)
    table: list[dict[str, Any]] = []
    places = canvas.subplots(lines, COLUMNS, sharey=True, squeeze=False).ravel()
    for measure, axes in zip(measures, places, strict=False):
        for place, (name, axis_values) in enumerate(ways.items()):
            there = [row for row in rows if all(row[axis] == value for axis, value in axis_values.items())]
            values = [measure.of(row) for row in there]
            runs, middle, low, high = band(values)
            axes.plot(values, [place] * len(values), ".", color=GREY, ms=4, zorder=1)
            axes.plot([low, high], [place, place], color=BLUE, lw=2)
            axes.plot([middle], [place], "o", color=BLUE, ms=6)
            entry = {"way": name, "measure": measure.title, "unit": measure.unit}
            table.append(entry | {"runs": runs, "middle": middle, "low": low, "high": high})
        axes.set_title(measure.title, fontsize=10)
        axes.set_xlabel(measure.unit)
        axes.set_yticks(range(len(ways)), list(ways))
        axes.set_ylim(len(ways) - 0.5, -0.5)
        axes.set_xlim(left=0.0)
        axes.grid(alpha=0.25, axis="x")
    for axes in places[len(measures) :]:
        axes.set_axis_off()
    return canvas, table
