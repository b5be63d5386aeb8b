"""Building heights as people write them."""

from __future__ import annotations

import pytest

from uav_twin_migration.scenario.tags import (
    base_of,
    height_of,
    is_building,
    is_street,
    is_underground,
    material_of,
    parse_length,
    text,
    unpacked,
)


@pytest.mark.parametrize(
    ("written", "metres"),
    [
        (12, 12.0),
        (12.5, 12.5),
        ("12", 12.0),
        (" 12 m", 12.0),
        ("12m", 12.0),
        ("12,5", 12.5),
        ("~12", 12.0),
        ("about 12 metres", 12.0),
        ("3;4", 4.0),
        ("10-12", 12.0),
        ("40 ft", 12.192),
        ("40'", 12.192),
        ("40'6\"", 12.3444),
        ("40′", 12.192),
        ("40’6”", 12.3444),
        ("40 foot", 12.192),
        ("40 ft 6 in", 12.3444),
        ("40'6''", 12.3444),
        ("4''", 0.1016),
        ("30-40 ft", 12.192),
        (".5", 0.5),
        ("12 m; 30 ft", 12.0),
        ("0.012 km", 12.0),
        ("1200 cm", 12.0),
        ("ca. 12 m", 12.0),
        (["12", "15"], 15.0),
        ('["12", "15"]', 15.0),
        ("5 levels", None),
        ("0", 0.0),
        ("-5", None),
        ("1e999", 999.0),
        ("12000", None),
        ("tall", None),
        ("", None),
        ("yes", None),
        (None, None),
        (float("nan"), None),
        (float("inf"), None),
    ],
)
def test_lengths(written: object, metres: float | None) -> None:
    assert parse_length(written) == (None if metres is None else pytest.approx(metres))


@pytest.mark.parametrize(
    ("tags", "height"),
    [
        ({"height": "12 m", "building:levels": "9"}, (12.0, "height")),
        ({"height": "unknown", "building:levels": "3;4"}, (12.0, "levels")),
        ({"height": "0", "building:levels": "2"}, (6.0, "levels")),
        ({"height": "", "building:levels": "1000000"}, (15.0, "default")),
        ({"height": None, "building:levels": float("nan")}, (15.0, "default")),
        ({}, (15.0, "default")),
        ({"building:levels": "5", "roof:levels": "1"}, (18.0, "levels")),
        ({"numfloors": 4.0}, (12.0, "levels")),
        ({"measuredheight": 9.5}, (9.5, "height")),
        ({"heightroof": "100"}, (30.48, "height")),  # New York's is in feet
    ],
)
def test_the_best_known_height_is_taken(tags: dict[str, object], height: tuple[float, str]) -> None:
    assert height_of(tags, 15.0) == height


def test_tags_that_gdal_packs_are_unpacked() -> None:
    tags = unpacked({"Building": "yes", "other_tags": '"building:levels"=>"5","addr:street"=>"Na \'Zátorce\', 1"'})
    assert height_of(tags, 12.0) == (15.0, "levels")
    assert is_building(tags)


def test_what_is_a_building() -> None:
    assert is_building({"uID": 1})  # a plain file of footprints has no such tag
    assert is_building({"building": "yes"})
    assert is_building({"building": None, "building:part": "yes"})
    assert not is_building({"building": None})
    assert not is_building({"building": "no"})
    assert text(float("nan")) == ""


def test_bases() -> None:
    assert base_of({"min_height": "6 m"}) == 6.0
    assert base_of({}) == 0.0
    assert base_of({"building:min_level": "2"}) == 6.0
    assert base_of({"min_height": "0", "building:min_level": "2"}) == 0.0


def test_what_lies_below_the_ground() -> None:
    under: list[dict[str, object]] = [{"layer": "-1"}, {"level": -1}, {"location": "underground"}]
    above: list[dict[str, object]] = [{}, {"layer": "1"}, {"layer": "-1;0"}, {"level": "-1-3"}, {"location": "rooftop"}]
    under.append({"is_underground": True})
    above.append({"is_underground": False})
    assert all(is_underground(tags) for tags in under)
    assert not any(is_underground(tags) for tags in above)


def test_streets_that_do_not_exist() -> None:
    assert is_street({"highway": "residential"})
    assert is_street({"name": "a plain file of lines"})
    assert not any(is_street({"highway": kind}) for kind in ("proposed", "construction", "no", None))


@pytest.mark.parametrize(
    ("tags", "material"),
    [
        ({}, "concrete"),
        ({"building:material": "brick"}, "brick"),
        ({"building:material": "Timber framing"}, "wood"),
        ({"building:facade:material": "glass;metal"}, "glass"),
        ({"facade_material": "limestone"}, "marble"),
        ({"building:material": "no", "facade_material": "steel"}, "metal"),
        ({"building:material": "gingerbread"}, "concrete"),
    ],
)
def test_walls_are_of_what_tags_say(tags: dict[str, object], material: str) -> None:
    assert material_of(tags) == material
