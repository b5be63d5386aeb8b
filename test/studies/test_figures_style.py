"""Figures have one look and are ready to print."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="needs matplotlib")

from matplotlib.figure import Figure

from uav_twin_migration.studies.figures.style import save


def drawn(low: float, high: float) -> Figure:
    canvas = Figure()
    axes = canvas.subplots()
    axes.plot([1, 2], [low, high])
    axes.set_yscale("log")
    axes.set_ylabel("age, s")
    return canvas


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(3.0, 70.0, ["5", "10", "20", "50"]), (0.01, 900.0, ["0.1", "1"])]
)
def test_logarithmic_axes_have_numbers_as_people_write_them(
    tmp_path: Path, low: float, high: float, expected: list[str]
) -> None:
    canvas = drawn(low, high)
    save(canvas, tmp_path / "one.png")
    labels = [label.get_text() for label in canvas.axes[0].get_yticklabels(which="both")]
    assert set(expected) <= set(labels)
    assert not [label for label in labels if "10^" in label]


def test_a_figure_is_there_to_look_at_and_to_print_the_same_each_time(tmp_path: Path) -> None:
    first, second = (save(drawn(1.0, 5.0), tmp_path / f"{name}.png") for name in ("a", "b"))
    assert [file.suffix for file in first] == [".png", ".pdf", ".svg"]
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]
    assert "age, s" in first[2].read_text(encoding="utf-8")
