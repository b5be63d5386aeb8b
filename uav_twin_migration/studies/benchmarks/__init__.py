"""Benchmarks, one a file, each beside its baseline in the same run.

A file has ``SUMMARY`` (what it measures), ``NEEDS`` (the requirements that it has besides its command's, "ros" among
them) and ``run(directory: Path | None) -> list[Figure]``; `uavtwin bench` finds it by its name.
"""

from __future__ import annotations

from typing import NamedTuple


class Figure(NamedTuple):
    """One measured number."""

    name: str
    value: float
    unit: str
    baseline: float | None = None  # the same by the plain way, in the same unit
    ratio: float | None = None  # how many times better than the baseline
