"""One look for all figures, ready for papers: a raster picture to look at, PDF and SVG to print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

DPI = 110
FEW_TICKS = 3  # powers of ten on an axis, below which the steps between them are labelled, too
STEPS = (1, 2, 5)
FORMATS = (".pdf", ".svg")
TEXT: Any = {"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "uav_twin_migration"}  # letters stay letters


def save(canvas: Figure, path: Path) -> list[Path]:
    """Write a figure as PNG, PDF and SVG beside each other. Returns the files; the same figure gives the same bytes.

    path: with the suffix .png.
    """
    for axes in canvas.axes:
        tidy(axes)
    files = [path.with_suffix(suffix) for suffix in (".png", *FORMATS)]
    with matplotlib.rc_context(TEXT):
        for file in files:
            dated = (
                {"Date": None} if file.suffix == ".svg" else {"CreationDate": None} if file.suffix == ".pdf" else None
            )
            canvas.savefig(file, dpi=DPI, bbox_inches="tight", metadata=dated)
    return files


def tidy(axes: Axes) -> None:
    """Numbers as people write them on logarithmic axes (0.5, 20, 1000), and no frame where no axis is."""
    for axis, scale, limits in (
        (axes.xaxis, axes.get_xscale(), axes.get_xlim()),
        (axes.yaxis, axes.get_yscale(), axes.get_ylim()),
    ):
        if scale == "log":
            axis.set_minor_formatter(NullFormatter())
            if not isinstance(axis.get_major_locator(), FixedLocator):
                label_powers(axis, limits)
    axes.spines[["top", "right"]].set_visible(False)


def label_powers(axis: Axis, limits: tuple[float, float]) -> None:
    """Ticks at powers of ten; at 2 and 5 between them where there are few."""
    low, high = sorted(limits)
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    inside = [power for power in powers if low <= 10.0**power <= high]
    steps = STEPS if len(inside) < FEW_TICKS else STEPS[:1]
    ticks = [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
