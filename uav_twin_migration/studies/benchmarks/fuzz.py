"""Readers of what comes from outside, fed with mutated input: how much they took, and what they did wrong."""

from __future__ import annotations

import os
from pathlib import Path

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.studies.benchmarks import Figure
from uav_twin_migration.studies.harnesses.fuzzing import READERS, fuzz

SUMMARY = "readers of what comes from outside under mutated input, a minute each (UAVTWIN_FUZZ_SECONDS for more)"
NEEDS = ("keys",)  # groups of setup.py's REQUIREMENTS besides the command's

SECONDS = "UAVTWIN_FUZZ_SECONDS"  # environment variable: for each reader
SEED = "UAVTWIN_FUZZ_SEED"


def run(directory: Path | None) -> list[Figure]:
    """Raises UavTwinError with the inputs' files where a reader raised another exception than its own, or was slow."""
    seconds, seed = float(os.environ.get(SECONDS, "60")), int(os.environ.get(SEED, "1"))
    figures, told = [], []
    for name, reader in READERS.items():
        result = fuzz(reader, seconds, seed)
        figures += [
            Figure(f"{name}: inputs", result.executions, ""),
            Figure(f"{name}: inputs that were read", result.taken, ""),
            Figure(f"{name}: slowest input", 1e3 * result.slowest, "ms"),
            Figure(f"{name}: exceptions that are not its own, or above 50 ms", len(result.findings), ""),
        ]
        for number, finding in enumerate(result.findings):
            file = (directory or Path()) / f"fuzz_{name}_{number}.bin"
            file.write_bytes(finding.data)
            told.append(f"{name}: {finding.what} (seed {seed}; {file})")
    if told:
        raise UavTwinError("\n".join(told))
    return figures
