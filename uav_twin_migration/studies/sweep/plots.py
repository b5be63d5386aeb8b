"""A sweep's pictures: interquartile means with their intervals, in the one style of all figures."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from uav_twin_migration.studies.figures.style import save
from uav_twin_migration.studies.sweep.points import unit_of
from uav_twin_migration.studies.sweep.results import REPETITIONS, Row, band, grouped, measures_of
from uav_twin_migration.studies.sweep.spec import Plot, Spec

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc3311", "#882299", "#777777", "#e69f00", "#56b4e9")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
MOST_LINES = len(COLORS)
USUAL = {  # measures that are drawn unless the sweep says which
    "solve": ("prices.mean", "profits.mean", "utilities.mean"),
    "evaluate": ("exploitability.mean", "price_gap.mean"),
    "train": ("exploitability", "neurons_removed"),
    "sim": ("mean_immersion", "price_gap_to_equilibrium", "age_of_migration_s.mean", "downtime_ms.mean"),
}
USUAL["virtual"] = USUAL["sim"]
UNITS = {
    "prices": "credit/MHz",
    "profits": "credit",
    "utilities": "credit",
    "mean_immersion": "credit",
    "mean_profit": "credit",
    "cpu_s": "s",
}


def draw(folder: Path, spec: Spec, rows: Sequence[Row]) -> list[Path]:
    """Every picture as PNG, PDF and SVG; returns the PNGs. One that has nothing to show is left out."""
    drawn = []
    for plot in spec.plots or _usual(spec, rows):
        for measure in [plot.y] if plot.y else _measures(spec, rows):
            canvas = picture(spec, plot, measure, rows)
            if canvas is not None:
                name = re.sub(r"\W+", "_", f"{measure}_over_{plot.x}" + (f"_by_{plot.by}" if plot.by else ""))
                drawn.append(save(canvas, folder / f"{name}.png")[0])
    return drawn


def _measures(spec: Spec, rows: Sequence[Row]) -> list[str]:
    there = measures_of(rows, spec.axes)
    return [name for name in spec.measures or USUAL[spec.run] if name in there]


def _usual(spec: Spec, rows: Sequence[Row]) -> list[Plot]:
    """The axis with most numbers along the bottom, the next as lines; of a Latin hypercube, each axis in turn."""
    counts = {axis: len({str(row[axis]) for row in rows}) for axis in spec.axes if axis not in REPETITIONS}
    if spec.document.get("design") == "latin":
        return [Plot(axis, "") for axis in counts]
    by_size = sorted(counts, key=lambda axis: (not _numeric(rows, axis), -counts[axis]))
    if not by_size:
        return [Plot(spec.axes[0], "")]
    others = [axis for axis in by_size[1:] if 1 < counts[axis] <= MOST_LINES]
    return [Plot(by_size[0], "", others[0] if others else "")]


def _numeric(rows: Sequence[Row], axis: str) -> bool:
    return all(isinstance(row[axis], (int, float)) and not isinstance(row[axis], bool) for row in rows)


def picture(spec: Spec, plot: Plot, measure: str, rows: Sequence[Row]) -> Figure | None:
    """A measure over an axis; None where nothing was measured."""
    there = [row for row in rows if math.isfinite(row.get(measure, math.nan))]
    if not there:
        return None
    canvas = Figure(figsize=(5.6, 4.0), layout="constrained")
    axes = canvas.subplots()
    numeric = _numeric(there, plot.x)
    places = list(dict.fromkeys(row[plot.x] for row in there))
    if numeric:
        places.sort()
    lines = grouped(there, [plot.by]) if plot.by else {("",): there}
    for number, (name, some) in enumerate(list(lines.items())[:MOST_LINES]):
        shift = 0.0 if numeric else (number - (len(lines) - 1) / 2) * 0.12
        _line(axes, plot, measure, some, places, numeric, shift, number, str(name[0]))
    _finish(axes, spec, plot, measure, places, numeric)
    others = [axis for axis in spec.axes if axis not in (plot.x, plot.by)]
    note = "interquartile mean, band: its 95 % interval"
    if others:
        note += f" over {', '.join(_short(axis) for axis in others)}"
    axes.set_title(f"{spec.name}\n{note}", fontsize=9)
    return canvas


def _line(
    axes: Axes,
    plot: Plot,
    measure: str,
    rows: Sequence[Row],
    places: Sequence[Any],
    numeric: bool,
    shift: float,
    number: int,
    name: str,
) -> None:
    alike = grouped(rows, [plot.x])
    here = [place for place in places if (place,) in alike]
    bands = [band([row[measure] for row in alike[(place,)]]) for place in here]
    x = here if numeric else [places.index(place) + shift for place in here]
    color, mark = COLORS[number], MARKS[number]
    label = (_label(name) if plot.by else None) or None
    middle = [one.middle for one in bands]
    if numeric:
        axes.fill_between(x, [one.low for one in bands], [one.high for one in bands], color=color, alpha=0.2, lw=0)
        axes.plot(x, middle, color=color, marker=mark, ms=4, label=label)
    else:
        spread = [[one.middle - one.low for one in bands], [one.high - one.middle for one in bands]]
        axes.errorbar(x, middle, yerr=spread, fmt=mark, color=color, capsize=3, label=label)


def _finish(axes: Axes, spec: Spec, plot: Plot, measure: str, places: Sequence[Any], numeric: bool) -> None:
    axes.set_xlabel(_with_unit(plot.x, unit_of(plot.x)))
    name, _, kind = measure.rpartition(".")
    axes.set_ylabel(_with_unit(f"{name} ({kind})" if name else measure, _unit_of_measure(measure)))
    if not numeric:
        axes.set_xticks(range(len(places)), [_label(str(place)) for place in places], fontsize=8)
        axes.set_xlim(-0.5, len(places) - 0.5)
    if "x" in plot.log and numeric:
        axes.set_xscale("log")
    if "y" in plot.log:
        axes.set_yscale("log")
    axes.grid(alpha=0.25)
    if plot.by:
        axes.legend(fontsize=8, title=_with_unit(plot.by, unit_of(plot.by)), title_fontsize=8)


def _unit_of_measure(measure: str) -> str:
    name = measure.partition(".")[0]
    if name in UNITS:
        return UNITS[name]
    return {"s": "s", "ms": "ms"}.get(name.rpartition("_")[2], "")


def _with_unit(name: str, unit: str) -> str:
    return f"{name}, {unit}" if unit else name


def _short(axis: str) -> str:
    return {"seed": "seeds", "city.seed": "cities"}.get(axis, axis)


def _label(text: str) -> str:
    """A value for people: of a plug-in its class and options, of nothing that it is the built-in."""
    return text.rpartition("/")[2].partition(".py:")[2] or text.rpartition("/")[2] or "built-in"
