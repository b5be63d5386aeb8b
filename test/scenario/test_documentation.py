"""docs/scenario.md names every key, with the default that the code has."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from uav_twin_migration.scenario.load import loads
from uav_twin_migration.scenario.model import (
    Building,
    MarketParameters,
    Origin,
    RadioParameters,
    Rsu,
    TwinParameters,
    Uav,
)

TEXT = (Path(__file__).parents[2] / "docs" / "scenario.md").read_text(encoding="utf-8")
SECTIONS = {
    "origin.": Origin,
    "rsus[].": Rsu,
    "uavs[].": Uav,
    "buildings[].": Building,
    "radio.": RadioParameters,
    "market.": MarketParameters,
    "twins.": TwinParameters,
}
KEYS = [(section, field) for section, kind in SECTIONS.items() for field in dataclasses.fields(kind)]


@pytest.mark.parametrize(("section", "field"), KEYS, ids=[section + field.name for section, field in KEYS])
def test_every_key_is_documented_with_its_default(section: str, field: dataclasses.Field[object]) -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith(f"| `{section}{field.name}` |")]
    assert len(rows) == 1
    default = rows[0].split("|")[3].strip()
    if field.default is dataclasses.MISSING:
        assert default == ""
    elif isinstance(field.default, tuple):
        assert default == str(list(field.default))
    elif isinstance(field.default, float):
        assert float(default) == field.default
    else:
        assert default == str(field.default).lower() or default == str(field.default)


def test_the_example_is_a_scenario() -> None:
    example = TEXT.split("```yaml\n")[1].split("```")[0]
    assert len(loads(example).rsus) == 2
