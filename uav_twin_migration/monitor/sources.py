"""Where a recording was made: what it says itself, or what the person who looks at it says."""

from __future__ import annotations

from pathlib import Path

from uav_twin_migration.errors import InputError
from uav_twin_migration.recording import provenance
from uav_twin_migration.recording.reader import Reader
from uav_twin_migration.recording.writer import ABOUT
from uav_twin_migration.scenario.load import load
from uav_twin_migration.scenario.model import Scenario

SHOWN = ("policy", "seed", "version")


def scenario_of(source: Path, given: str = "") -> tuple[Scenario | None, dict[str, str]]:
    """A recording's scenario, None where it holds none and nobody gave one; and what else it says of its run.

    Raises:
        InputError: there is no such recording or scenario, or the one that it holds is none.
    """
    reader = Reader(source)
    next(iter(reader), None)  # what is said of the whole stands before its first message
    said = reader.about.get(ABOUT, {})
    about = {key: said[key] for key in SHOWN if said.get(key)}
    if given:
        return load(given), about
    try:
        return provenance.scenario_of(reader.attachments), about
    except InputError as error:
        raise InputError(f"{source}: {error.source}", error.key, error.value, error.expected) from None
