"""The table of settings: what each is, in which unit and bounds, who may know it, and whether it changes while running.

A setting is a field of a record, annotated with a `Setting`; its name, type and default are the field's own::

    lease_rounds: Annotated[float, Setting("rounds that a grant holds", "rounds", 1, 100, (SCENARIO, RSU))] = 2.0

`model.py` has the records of the scenario file, `parameters.py` those that only nodes know. From them come the
scenario's reader, the nodes' parameters and checks, the bounds of what is believed from others, the tables in docs/ and
config/scenario.schema.json. A new setting is one more field, and its use.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from uav_twin_migration import plugins

SCENARIO, RSU, UAV = "scenario", "rsu", "uav"  # who may know a setting
NEXT_ROUND, AT_ONCE = "from the next round on", "at once"  # when a change takes effect
REQUIRED: Any = object()  # the default of what must be given

ID = r"[a-zA-Z][a-zA-Z0-9_]{0,63}"
AN_ID = "a ROS name token: a letter, then letters, digits or _, at most 64 in all"
NOBODY_OR_ID = r"([a-zA-Z][a-zA-Z0-9_]{0,63})?"

T = TypeVar("T")
Reader = Callable[[Any], Any]


class Refusal(Exception):  # noqa: N818
    """One value that is not taken, and the keys on the way to it."""

    def __init__(self, value: object, expected: str, *keys: str | int) -> None:
        super().__init__(expected)
        self.value, self.expected, self.keys = value, expected, list(keys)

    def under(self, *keys: str | int) -> Refusal:
        self.keys[:0] = keys
        return self

    def where(self) -> str:
        """The keys as a dotted path: rsus[2].capacity."""
        path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in self.keys)
        return path.lstrip(".") or "file"


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting. Numbers, also those in lists, lie in [low, high]; texts are among `choices` or match `pattern`."""

    meaning: str
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    known_to: tuple[str, ...] = (SCENARIO,)
    changes: str = ""  # when a change takes effect while running; empty: it cannot change
    choices: tuple[str, ...] = ()
    pattern: str = ""
    least: int = 0  # entries of a list, characters of a text
    most: int = 0  # characters of a text, on one line; 0 for any text
    wanted: str = ""  # what a text or list must be, in words
    plugin: str = ""  # the kind of plug-in that a text names
    name: str = ""  # these three are the field's
    kind: Any = None
    default: Any = REQUIRED

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is REQUIRED

    @property
    def expected(self) -> str:
        """What a value must be, in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.wanted or self.kind not in (float, int):
            return self.wanted or _PLAIN[self.kind]
        bounds = [f"at least {shown(self.low)}"] * (self.low > -math.inf)
        bounds += [f"at most {shown(self.high)}"] * (self.high < math.inf)
        return " ".join([_PLAIN[self.kind], ", ".join(bounds)]).strip()

    @property
    def why_fixed(self) -> str:
        """Why it cannot change while running; empty where it can."""
        if self.changes:
            return ""
        if {RSU, UAV} <= set(self.known_to):
            return "RSUs and UAVs must agree on it: change it for all, and start them again"
        return "it is read when the node starts: change it there, and start the node again"

    @functools.cached_property
    def read(self) -> Reader:
        """Takes a raw value (of YAML, JSON or a parameter) and returns one of `kind`, or raises Refusal."""
        if self.kind is str and (self.choices or self.pattern):
            return self._text_reader()
        return _READERS[self.kind](self)

    def _text_reader(self) -> Reader:
        matches = re.compile(self.pattern).fullmatch if self.pattern else self.choices.__contains__
        expected = self.expected

        def read(raw: Any) -> str:
            if not isinstance(raw, str) or not matches(raw):
                raise Refusal(raw, expected)
            return raw

        return read


@functools.cache
def settings_of(record: Any) -> tuple[Setting, ...]:
    """The settings that are a record's fields; other fields are none."""
    hints = get_type_hints(record, include_extras=True)
    found = []
    for field in dataclasses.fields(record):
        hint = hints[field.name]
        if get_origin(hint) is Annotated:
            kind, setting = get_args(hint)
            default = REQUIRED if field.default is dataclasses.MISSING else field.default
            found.append(dataclasses.replace(setting, name=field.name, kind=kind, default=default))
    return tuple(found)


def setting_of(record: Any, name: str) -> Setting:
    """One setting of a record."""
    return next(setting for setting in settings_of(record) if setting.name == name)


def values_for(who: str, *records: Any) -> dict[str, Any]:
    """What somebody may know of records: values by name, numbers as the kind they are."""
    known = ((record, one) for record in records for one in settings_of(record.__class__) if who in one.known_to)
    values = ((setting, getattr(record, setting.name)) for record, setting in known)
    return {setting.name: float(value) if setting.kind is float else value for setting, value in values}


def parameter(name: str, default: Any, meaning: str, low: float = -math.inf, high: float = math.inf) -> Setting:
    """A setting of one kind of node alone; `default` is a type where it must be given."""
    required = isinstance(default, type)
    kind = default if required else Texts if isinstance(default, (list, tuple)) else type(default)
    return Setting(meaning, low=low, high=high, name=name, kind=kind, default=REQUIRED if required else default)


def plugin(kind: str, known_to: tuple[str, ...] = (SCENARIO,)) -> Setting:
    """A setting that names a plug-in of a kind."""
    meaning = f"{plugins.KINDS[kind].replaces}: a [plug-in](plugins.md#{kind})"
    return Setting(meaning, known_to=known_to, pattern=plugins.PATTERN, wanted=plugins.EXPECTED, plugin=kind)


def plugins_of(record: Any) -> dict[str, str]:
    """The plug-ins that a record names, by setting."""
    return {name: text for name in _plugins(record.__class__) if (text := getattr(record, name))}


@functools.cache
def _plugins(record: Any) -> tuple[str, ...]:
    return tuple(one.name for one in settings_of(record) if one.plugin)


def made_of(kind: type[T], values: Mapping[str, Any], **own: Any) -> T:
    """A dataclass out of settings by their names, and of what is told besides."""
    fields: Any = dataclasses.fields(kind)  # type: ignore[arg-type]
    return kind(**{field.name: values[field.name] for field in fields if field.name in values}, **own)


class Rule(NamedTuple):
    """What two settings are to each other: the first is ... than `factor` times the other."""

    name: str
    relation: str
    other: str
    factor: float = 1.0

    def holds(self, value: float, other: float) -> bool:
        """Whether it does."""
        return _RELATIONS[self.relation](value, self.factor * other)


CLOCKS_DIFFER = 1.1  # by at most 10 % in rate
RULES = (
    Rule("price_cap", "more than", "unit_cost"),
    Rule("offer_window", "less than", "round_period"),
    Rule("max_stay", "at least", "min_stay"),
    Rule("heartbeat_period", "at most", "twin_lease", 0.5),
    Rule("twin_beat", "at most", "twin_lease", 0.5),
    Rule("rehost_after", "at least", "twin_lease", CLOCKS_DIFFER),
    Rule("most", "at least", "first"),  # interactions that a learner remembers
)
_RELATIONS: dict[str, Callable[[float, float], bool]] = {
    "more than": lambda value, other: value > other,
    "at least": lambda value, other: value >= other,
    "less than": lambda value, other: value < other,
    "at most": lambda value, other: value <= other,
}


def check_rules(values: Mapping[str, Any]) -> None:
    """Raises Refusal where values, each good by itself, do not go together."""
    for rule in RULES:
        if rule.name in values and rule.other in values and not rule.holds(values[rule.name], values[rule.other]):
            times = f"{shown(rule.factor)} times " if rule.factor != 1.0 else ""
            expected = f"{rule.relation} {times}the {rule.other} {shown(values[rule.other])}"
            raise Refusal(values[rule.name], expected, rule.name)


def shown(value: float) -> str:
    """A number for people: 100000, 0.001, 1e18."""
    return re.sub(r"e\+?(-?)0*", r"e\1", f"{value:.10g}")


# --- readers, by type -----------------------------------------------------------------------------------------------


def _number(setting: Setting) -> Reader:
    low, high, expected = setting.low, setting.high, setting.expected

    def read(raw: Any) -> float:
        try:
            value = math.nan if isinstance(raw, bool) else float(raw)
        except (TypeError, ValueError, OverflowError):
            raise Refusal(raw, expected) from None
        if low <= value <= high and math.isfinite(value):
            return value
        raise Refusal(raw, expected)

    return read


def _integer(setting: Setting) -> Reader:
    number, expected = _number(setting), setting.expected

    def read(raw: Any) -> int:
        value = number(raw)
        if value != int(value):
            raise Refusal(raw, expected)
        return int(value)

    return read


def _boolean(setting: Setting) -> Reader:
    truth = {True: True, False: False, "true": True, "false": False}

    def read(raw: Any) -> bool:
        if isinstance(raw, (bool, str)) and raw in truth:
            return truth[raw]
        raise Refusal(raw, setting.expected)

    return read


def _text(setting: Setting) -> Reader:
    least, most, expected = setting.least, setting.most, setting.expected

    def read(raw: Any) -> str:
        if not isinstance(raw, str) or (most and not (least <= len(raw) <= most and raw.isprintable())):
            raise Refusal(raw, expected)
        return raw

    return read


def _numbers(count: int, setting: Setting) -> Reader:
    """So many numbers: a point."""
    number = _number(dataclasses.replace(setting, kind=float, wanted=""))
    expected = setting.expected

    def read(raw: Any) -> tuple[float, ...]:
        if not isinstance(raw, (list, tuple)) or len(raw) != count:
            raise Refusal(raw, expected)
        return tuple([number(one) for one in raw])

    return read


def _list(item: Any, setting: Setting) -> Reader:
    one_item = dataclasses.replace(setting, kind=item, wanted=AN_ID if setting.pattern == ID else "").read
    least, expected = setting.least, setting.expected

    def read(raw: Any) -> tuple[Any, ...]:
        if not isinstance(raw, (list, tuple)) or len(raw) < least:
            raise Refusal(raw, expected)
        values: list[Any] = []
        try:
            for element in raw:
                values.append(one_item(element))
        except Refusal as refusal:
            raise refusal.under(len(values)) from None
        return tuple(values)

    return read


Point = tuple[float, float]  # m, east and north of the origin
Position = tuple[float, float, float]  # m, east, north and above ground
Points = tuple[Point, ...]
Fix = tuple[float, float, float, float]  # s, and m east, north and above ground
Track = tuple[Fix, ...]
Texts = tuple[str, ...]
Numbers = tuple[float, ...]

_PLAIN: dict[Any, str] = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "a text",
    Point: "[east, north] in metres",
    Position: "three numbers: x, y, z in m",
    Fix: "four numbers: s, and m east, north and up",
    Track: "a list of fixes [s, east, north, up]",
    Points: "a list of points [east, north]",
    Texts: "a list of texts",
    Numbers: "a list of numbers",
}
_READERS: dict[Any, Callable[[Setting], Reader]] = {
    float: _number,
    int: _integer,
    bool: _boolean,
    str: _text,
    Point: functools.partial(_numbers, 2),
    Position: functools.partial(_numbers, 3),
    Fix: functools.partial(_numbers, 4),
    Track: functools.partial(_list, Fix),
    Points: functools.partial(_list, Point),
    Texts: functools.partial(_list, str),
    Numbers: functools.partial(_list, float),
}
