"""What people and editors read of the table of settings: tables for docs/, and a JSON Schema of the scenario file.

`python3 -m uav_twin_migration.scenario.documentation` writes docs/scenario.md, docs/parameters.md and
config/scenario.schema.json of a checkout anew, where they differ; a test holds them to the table.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from uav_twin_migration.plugins import KINDS
from uav_twin_migration.scenario.load import LISTS, SECTIONS
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.scenario.parameters import container_parameters, parameters_of
from uav_twin_migration.scenario.settings import (
    RSU,
    SCENARIO,
    UAV,
    Numbers,
    Point,
    Points,
    Position,
    Setting,
    Texts,
    Track,
    settings_of,
    shown,
)

BY_TRACK = ("route", "altitude")  # a UAV has them, or a track from which they follow
CHECKOUT = Path(__file__).resolve().parents[2]
SCHEMA = "config/scenario.schema.json"
BEGIN, END = "<!-- settings: {} -->", "<!-- end of settings -->"
_ROS_TYPES = {
    float: "double",
    int: "integer",
    bool: "bool",
    str: "string",
    Texts: "string[]",
    Numbers: "double[]",
    Position: "double[]",
}


def parameters_table(settings: Iterable[Setting]) -> str:
    """A node's parameters, in Markdown."""
    rows = [
        "| parameter | type | unit | default | what it may be | meaning | changes |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in settings:
        default = "required" if one.required else f"`{_default(one)}`" if _default(one) else "empty"
        cells = (
            f"`{one.name}`",
            _ROS_TYPES[one.kind],
            one.unit,
            default,
            one.expected,
            one.meaning,
            one.changes or "no",
        )
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def scenario_table() -> str:
    """All keys of the scenario file, in Markdown."""
    rows = ["| key | unit | default | meaning, and what it may be |", "|---|---|---|---|"]
    rows += [_row("", one) for one in settings_of(Scenario)]
    for section, kind in SECTIONS.items():
        rows += [f"| `{section}` | | | {_summary(kind)} |", *_rows(f"{section}.", kind)]
    for section, (kind, _, expected) in LISTS.items():
        rows += [f"| `{section}` | | | {expected}. {_summary(kind)} |", *_rows(f"{section}[].", kind)]
    return "\n".join(rows)


def _rows(prefix: str, kind: type) -> list[str]:
    return [_row(prefix, one) for one in settings_of(kind) if SCENARIO in one.known_to]


def _row(prefix: str, one: Setting) -> str:
    default = "" if one.required else _default(one)
    said = "; ".join(filter(None, (one.meaning, one.expected)))
    return f"| `{prefix}{one.name}` | {one.unit} | {default} | {said} |"


def _summary(kind: type) -> str:
    return (kind.__doc__ or "").partition("\n")[0].replace("``", "`")


def _default(one: Setting) -> str:
    if one.kind is bool:
        return str(one.default).lower()
    if isinstance(one.default, float):
        return shown(one.default)
    return str(list(one.default)) if isinstance(one.default, (tuple, list)) else str(one.default)


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the scenario file."""
    properties = {one.name: _property(one) for one in settings_of(Scenario)}
    properties |= {section: _object(kind) for section, kind in SECTIONS.items()}
    for section, (kind, least, _) in LISTS.items():
        properties[section] = {"type": "array", "minItems": least, "items": _object(kind)}
    required = [field.name for field in dataclasses.fields(Scenario) if field.default is dataclasses.MISSING]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A scenario of uav_twin_migration",
        **_mapping(properties, required),
    }


def _object(kind: type) -> dict[str, Any]:
    settings = [one for one in settings_of(kind) if SCENARIO in one.known_to]
    properties = {one.name: _property(one) for one in settings}
    return {
        "description": _summary(kind),
        **_mapping(properties, [one.name for one in settings if one.required and one.name not in BY_TRACK]),
    }


def _mapping(properties: Mapping[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": dict(properties)}


def _property(one: Setting) -> dict[str, Any]:
    unit = f" ({one.unit})" if one.unit else ""
    described: dict[str, Any] = {"description": f"{one.meaning}{unit}".strip() or one.expected}
    if not one.required:
        described["default"] = one.default
    if one.kind == Points:
        points = {"type": "array", "items": _point(one), "minItems": one.least}
        if one.name == "route":
            file = {"type": "object", "required": ["file"], "properties": {"file": {"type": "string"}}}
            return {**described, "oneOf": [points, file]}
        return {**described, **points}
    if one.kind == Track:
        fix = {**_point(one), "minItems": 4, "maxItems": 4}
        file = {"type": "object", "required": ["file"], "properties": {"file": {"type": "string"}}}
        return {**described, "oneOf": [{"type": "array", "items": fix}, file]}
    if one.kind == Point:
        return {**described, **_point(one)}
    if one.kind == Texts:
        return {**described, "type": "array", "items": {"type": "string"}}
    return {**described, **_scalar(one)}


def _point(one: Setting) -> dict[str, Any]:
    return {"type": "array", "items": _scalar(dataclasses.replace(one, kind=float)), "minItems": 2, "maxItems": 2}


def _scalar(one: Setting) -> dict[str, Any]:
    names = {float: "number", int: "integer", bool: "boolean", str: "string"}
    facts: dict[str, Any] = {"type": names[one.kind]}
    if one.choices:
        facts["enum"] = list(one.choices)
    if one.pattern:
        facts["pattern"] = f"^{one.pattern}$"
    if one.kind is str and one.most:
        facts |= {"minLength": one.least, "maxLength": one.most}
    if one.kind in (float, int):
        facts |= {name: bound for name, bound in (("minimum", one.low), ("maximum", one.high)) if math.isfinite(bound)}
    return facts


def tables() -> dict[str, dict[str, str]]:
    """The generated tables: by page, by the name in its marker."""
    nodes = {"rsu": parameters_of(RSU), "uav": parameters_of(UAV), "uav_container": container_parameters()}
    return {
        "docs/scenario.md": {"scenario": scenario_table()},
        "docs/parameters.md": {name: parameters_table(settings) for name, settings in nodes.items()},
        "docs/plugins.md": {"kinds": plugins_table(), **{kind: plugin_example(kind) for kind in KINDS}},
    }


def plugins_table() -> str:
    """The kinds of plug-ins, in Markdown."""
    rows = [
        "| kind | replaces | protocol: methods | named in the scenario by | built in (the first is the default) |",
        "|---|---|---|---|---|",
    ]
    for kind, one in KINDS.items():
        protocol = one.protocol.removeprefix("uav_twin_migration.")
        methods, built_in = (", ".join(f"`{name}`" for name in names) for names in (one.methods, one.built_in))
        cells = (f"[{kind}](#{kind})", one.replaces, f"`{protocol}`: {methods}", f"`{one.setting}`", built_in)
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def plugin_example(kind: str) -> str:
    """The example of a kind, which a test runs."""
    path = f"examples/plugins/{kind}.py"
    code = (CHECKOUT / path).read_text(encoding="utf-8").rstrip()
    return f"[{path}](../{path}):\n\n```python\n{code}\n```"


def with_tables(text: str, made: Mapping[str, str]) -> str:
    """A page with its tables anew, each between its markers."""
    for name, table in made.items():
        before, begin, rest = text.partition(BEGIN.format(name))
        _, end, after = rest.partition(END)
        text = f"{before}{begin}\n\n{table}\n\n{end}{after}"
    return text


def written() -> dict[str, str]:
    """What the files of the checkout should hold, by path."""
    pages = {page: with_tables((CHECKOUT / page).read_text(encoding="utf-8"), made) for page, made in tables().items()}
    return {**pages, SCHEMA: json.dumps(schema(), indent=1) + "\n"}


def main() -> None:
    """Write what differs."""
    for path, text in written().items():
        file = CHECKOUT / path
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            print(f"wrote {path}")


if __name__ == "__main__":
    main()
