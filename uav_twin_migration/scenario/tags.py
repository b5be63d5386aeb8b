"""Building heights out of OpenStreetMap tags, as people really write them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

STOREY = 3.0  # m, height of a level
FOOT = 0.3048  # m
HIGHEST = 1000.0  # m; more is a slip of the pen

HEIGHT_KEYS = ("height", "building:height", "building_height", "est_height")
LEVELS_KEYS = ("building:levels", "building_levels", "building_l", "levels", "num_floors")
BASE_KEYS = ("min_height", "building:min_height")

_FEET = re.compile(r"""(\d+(?:\.\d+)?)\s*(?:'|ft|feet)\s*(?:(\d+(?:\.\d+)?)\s*(?:"|in))?""")
_NUMBER = re.compile(r"^-?\d+(?:\.\d+)?|\d+(?:\.\d+)?")  # a minus within the text is the dash of a range
_PACKED = re.compile(r'"([^"]+)"=>"([^"]*)"')


def unpacked(row: Mapping[str, object]) -> dict[str, object]:
    """A feature's tags by key in lower case, with those that GDAL packs into `other_tags` as "key"=>"value", ..."""
    tags = {key.lower(): value for key, value in row.items()}
    packed = _PACKED.findall(text(tags.get("other_tags")))
    return {**{key.lower(): value for key, value in packed}, **tags}


def text(value: object) -> str:
    """A tag's value; "" for one that is missing (None, NaN) or says so (`building=no`)."""
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    written = "" if missing else str(value).strip()
    return "" if written.lower() in ("no", "none", "nan", "<na>") else written


def is_building(tags: Mapping[str, object]) -> bool:
    """Whether the tags call a shape a building; one without any such tag counts as one, too."""
    told = [key for key in ("building", "building:part") if key in tags]
    return not told or any(text(tags[key]) for key in told)


def parse_length(value: object) -> float | None:
    """Metres out of 12, "12 m", "12,5", "~12", "10-12" or "3;4" (the most counts), "40 ft", "40'6"" (feet and inches).

    None where there is no number from 0 to 1000 m.
    """
    written = text(value).lower().replace(",", ".")
    feet = _FEET.search(written)
    if feet:
        lengths = [FOOT * (float(feet[1]) + float(feet[2] or 0) / 12)]
    else:
        lengths = [float(number) for number in _NUMBER.findall(written)]
    length = max(lengths, default=-1.0)
    return length if 0 <= length <= HIGHEST else None


def height_of(tags: Mapping[str, object], default: float) -> tuple[float, str]:
    """A building's height (m), and what tells it: its "height", its number of "levels", or the "default"."""
    for key in HEIGHT_KEYS:
        height = parse_length(tags.get(key))
        if height:
            return height, "height"
    for key in LEVELS_KEYS:
        levels = parse_length(tags.get(key))
        if levels and levels * STOREY <= HIGHEST:
            return levels * STOREY, "levels"
    return default, "default"


def base_of(tags: Mapping[str, object]) -> float:
    """Height (m) above ground at which a building begins, 0 unless a tag tells."""
    return next((base for key in BASE_KEYS if (base := parse_length(tags.get(key))) is not None), 0.0)
