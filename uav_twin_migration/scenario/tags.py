"""What tags say of a building: its height, its base, whether it stands above ground at all.

Keys and units are those of the OpenStreetMap wiki (Key:height, Key:building:part, Map features/Units, Simple 3D
Buildings), of Overture's buildings schema, of CityGML, and of some cities' own files.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

STOREY = 3.0  # m, height of a level
FOOT = 0.3048  # m
HIGHEST = 1000.0  # m; more is a slip of the pen

HEIGHT_KEYS = ("height", "building:height", "building_height", "measuredheight", "hauteur", "est_height")
HEIGHT_KEYS_IN_FEET = ("heightroof", "height_roof")  # New York's building footprints
LEVELS_KEYS = ("building:levels", "building_levels", "building_l", "levels", "num_floors", "numfloors")
ROOF_LEVELS_KEYS = ("roof:levels", "roof_levels")  # not among the building's levels
BASE_KEYS = ("min_height", "building:min_height")
BASE_LEVEL_KEYS = ("building:min_level", "min_level", "min_floor")
KIND_KEYS = ("building", "building:part", "building_id", "has_parts", "highway", "area", "type")
MATERIAL_KEYS = ("building:material", "building:facade:material", "facade:material", "facade_material")
UNDERGROUND_KEYS = ("location", "layer", "level", "is_underground")

PACKED = "other_tags"  # of GDAL's OpenStreetMap driver, and of files that were made with it
READ = frozenset(
    (
        *HEIGHT_KEYS,
        *HEIGHT_KEYS_IN_FEET,
        *LEVELS_KEYS,
        *ROOF_LEVELS_KEYS,
        *BASE_KEYS,
        *BASE_LEVEL_KEYS,
        *KIND_KEYS,
        *UNDERGROUND_KEYS,
        *MATERIAL_KEYS,
        PACKED,
    )
)

NO_STREETS = frozenset(
    (
        *("proposed", "construction", "planned", "abandoned", "disused", "razed", "demolished", "removed", "historic"),
        *("corridor", "elevator", "platform", "rest_area", "services", "bus_stop", "emergency_bay"),
    )
)

MATERIALS = {  # of ITU-R P.2040, whose walls are most like these; all others count as concrete
    **dict.fromkeys(("brick", "bricks", "clay", "masonry", "adobe", "loam", "tiles", "plaster", "stucco"), "brick"),
    **dict.fromkeys(("wood", "timber", "timber_framing", "log", "bamboo"), "wood"),
    **dict.fromkeys(("glass", "mirror"), "glass"),
    **dict.fromkeys(("metal", "metal_plates", "steel", "tin", "aluminium", "copper", "corten", "zinc"), "metal"),
    **dict.fromkeys(("stone", "limestone", "sandstone", "granite", "marble", "slate"), "marble"),
}

UNITS = {  # m
    **dict.fromkeys(("", "m", "meter", "meters", "metre", "metres", "mtr", "mts"), 1.0),
    **dict.fromkeys(("'", "ft", "foot", "feet"), FOOT),
    **dict.fromkeys(('"', "in", "inch", "inches"), FOOT / 12),
    **dict.fromkeys(("yd", "yard", "yards"), 3 * FOOT),
    **{"km": 1000.0, "cm": 0.01, "mm": 0.001, "mi": 1609.344, "nmi": 1852.0},
}
STOREYS = ("level", "levels", "floor", "floors", "storey", "storeys", "story", "stories")

_MARKS = str.maketrans({"′": "'", "’": "'", "‘": "'", "´": "'", "`": "'", "″": '"', "”": '"', "“": '"', ",": "."})
_LENGTH = re.compile(r"""(-?(?:\d+(?:\.\d*)?|\.\d+))\s*("|'|[^\W\d_]*)""")
_PAIR = re.compile(r'"((?:[^"\\]|\\.)+)"=>"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


def unpacked(row: Mapping[str, object]) -> dict[str, object]:
    """A feature's tags by key in lower case, with those that GDAL packs into `other_tags` as "key"=>"value", ..."""
    tags = {key.lower(): value for key, value in row.items()}
    pairs = _PAIR.findall(text(tags.get(PACKED)))
    return {**{key.lower(): _ESCAPED.sub(r"\1", value) for key, value in pairs}, **tags}


def text(value: object) -> str:
    """A tag's value; "" for one that is missing (None, NaN) or says so (`building=no`)."""
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    written = "" if missing else str(value).strip()
    return "" if written.lower() in ("no", "none", "nan", "null", "<na>", "false") else written


def is_building(tags: Mapping[str, object]) -> bool:
    """Whether the tags call a shape a building; one without any such tag counts as one, too."""
    told = [key for key in ("building", "building:part") if key in tags]
    return not told or any(text(tags[key]) for key in told)


def is_part(tags: Mapping[str, object]) -> bool:
    """Whether a shape is a part of a building whose outline is another shape: `building:part`, or Overture's."""
    is_outline = bool(text(tags.get("building")))
    return not is_outline and bool(text(tags.get("building:part")) or text(tags.get("building_id")))


def is_underground(tags: Mapping[str, object]) -> bool:
    """Whether a shape lies below the ground: by `location`, by a `layer` or `level` below 0, or as Overture says."""
    if text(tags.get("location")).lower() == "underground" or text(tags.get("is_underground")).lower() in YES:
        return True
    return any(max(_numbers(tags.get(key)), default=0.0) < 0 for key in ("layer", "level"))


YES = ("true", "yes", "1", "1.0", "t")


def is_street(tags: Mapping[str, object]) -> bool:
    """Whether a line is a street that exists; one without a `highway` tag counts as one, too."""
    return "highway" not in tags or text(tags["highway"]).lower() not in ("", *NO_STREETS)


def material_of(tags: Mapping[str, object]) -> str:
    """What a building's walls are of, as far as radio is concerned; concrete unless a tag tells."""
    told = (text(tags.get(key)).lower().partition(";")[0].strip().replace(" ", "_") for key in MATERIAL_KEYS)
    return next((MATERIALS.get(name, "concrete") for name in told if name), "concrete")


def parse_length(value: object, unit: float = 1.0) -> float | None:
    """Metres out of 12, "12 m", "12,5", ".5", "~12", "10-12" or "3;4" or a list (the most counts), "40 ft", "4 yd".

    Feet and inches go together: "40'6\\"", "40 ft 6 in", also with typographic primes; two single quotes are inches.
    `unit`: metres of a number without a unit. None where there is no number from 0 to 1000 m, or its unit is no length.
    """
    lengths = [length for item in _items(value) for length in _lengths(item, unit)]
    return max((length for length in lengths if 0 <= length <= HIGHEST), default=None)


def height_of(tags: Mapping[str, object], default: float) -> tuple[float, str]:
    """A building's height (m) above ground, and what tells it: its "height", its number of "levels", or the "default".

    The height includes the roof.
    """
    for keys, unit in ((HEIGHT_KEYS, 1.0), (HEIGHT_KEYS_IN_FEET, FOOT)):
        height = _first_length(tags, keys, unit)
        if height:
            return height, "height"
    levels = _first_count(tags, LEVELS_KEYS)
    storeys = levels + _first_count(tags, ROOF_LEVELS_KEYS)
    if levels and storeys * STOREY <= HIGHEST:
        return storeys * STOREY, "levels"
    return default, "default"


def base_of(tags: Mapping[str, object]) -> float:
    """Height (m) above ground at which a building begins, 0 unless a tag tells."""
    base = _first_length(tags, BASE_KEYS)
    return STOREY * _first_count(tags, BASE_LEVEL_KEYS) if base is None else base


def _first_length(tags: Mapping[str, object], keys: Iterable[str], unit: float = 1.0) -> float | None:
    lengths = (parse_length(tags.get(key), unit) for key in keys)
    return next((length for length in lengths if length is not None and (length > 0 or keys is BASE_KEYS)), None)


def _first_count(tags: Mapping[str, object], keys: Iterable[str]) -> float:
    counts = (max(_numbers(tags.get(key)), default=0.0) for key in keys)
    return next((count for count in counts if 0 < count <= HIGHEST / STOREY), 0.0)


def _numbers(value: object) -> list[float]:
    """The numbers that a tag holds, without their units; a minus within the text is the dash of a range."""
    found = [float(number) for item in _items(value) for number, _ in _LENGTH.findall(item)[:1]]
    ranges = [abs(float(number)) for item in _items(value) for number, _ in _LENGTH.findall(item)[1:]]
    return [number for number in found + ranges if math.isfinite(number)]


def _items(value: object) -> list[str]:
    """What a tag lists: the items of a list, or of a text with semicolons between them; in plain characters."""
    if isinstance(value, str):
        parts: Iterable[object] = _without_brackets(value).split(";")
    elif isinstance(value, Iterable):
        parts = value
    else:
        parts = [value]
    return [text(part).lower().translate(_MARKS).replace("''", '"') for part in parts]


def _without_brackets(value: str) -> str:
    """A JSON list of texts, as some exports have it, with semicolons instead."""
    if value.startswith("[") and value.endswith("]"):
        return value[1:-1].replace('"', "").replace(",", ";")
    return value


def _lengths(written: str, unit: float) -> list[float]:
    """The lengths (m) in one item: several where it is a range, one where it is feet and inches."""
    found: list[tuple[float, str]] = []
    for number, name in _LENGTH.findall(written):
        if name in STOREYS:
            return []
        found.append((float(number), name))
    lengths: list[float] = []
    for k, (number, name) in enumerate(found):
        scale = UNITS.get(name, unit) if name else unit
        length = number if k == 0 else abs(number)
        before = UNITS.get(found[k - 1][1]) if k else None
        if before == FOOT and (scale == FOOT / 12 or not name):
            lengths[-1] += length * FOOT / 12
        else:
            lengths.append(length * scale)
    if not found or len(found) == 1 or found[0][1]:
        return lengths
    # a range whose unit stands at its end only: 10-12 m, 30-40 ft
    scale = UNITS.get(found[-1][1], unit) if found[-1][1] else unit
    return [abs(number) * scale for number, _ in found]
