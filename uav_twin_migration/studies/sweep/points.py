"""A sweep's points as runs of a command: arguments, files, and the hash by which a finished one is known again.

An axis with a dot is a setting of the scenario, by its name in the table of settings: ``market.rho``, ``rsus[].range``
for all, ``rsus[rsu_1].pricing`` for one; ``city.rsus``, ``city.uavs`` and ``city.seed`` make a city; ``ranges.rho`` is
one of the games' ranges. Any other axis is an option of the command.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uav_twin_migration import __version__
from uav_twin_migration.cli.main import parser_of
from uav_twin_migration.errors import InputError
from uav_twin_migration.plugins import beside, file_of
from uav_twin_migration.scenario.generate import generate
from uav_twin_migration.scenario.load import LISTS, SECTIONS, dump_json, load, loads
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.scenario.settings import SCENARIO, setting_of, settings_of
from uav_twin_migration.studies.sweep.spec import Spec, Values

CITY = ("city.rsus", "city.uavs", "city.seed")
COMMANDS = {
    "solve": ["solve"],
    "evaluate": ["evaluate"],
    "train": ["train"],
    "sim": ["sim"],
    "virtual": ["sim", "--virtual"],
}
FIRST = {"evaluate": "policy", "sim": "scenario", "virtual": "scenario"}  # the option that is no option but comes first
FUNCTION = "function"  # in place of a command: one of a study's own
SCENARIO_FILE, RESULT_FILE, POLICY_FILE = "scenario.json", "result.json", "policy.safetensors"
PATH = re.compile(r"(\w+)\[([^\]]*)\]\.(\w+)")


@dataclass(frozen=True)
class Task:
    """One run, complete: it can be done on any machine that has this package."""

    number: int
    values: Values  # of the axes
    run: str
    arguments: tuple[str, ...]  # of `uavtwin`; paths among them are those of `files`
    files: dict[str, bytes] = field(hash=False)  # by name, beside which it runs

    @property
    def key(self) -> str:
        """A hash of all that the result depends on, and of the package's version."""
        told = hashlib.sha256(json.dumps([__version__, self.run, self.arguments]).encode())
        for name, content in sorted(self.files.items()):
            told.update(f"{name} {len(content)} ".encode() + content)
        return told.hexdigest()[:20]

    @property
    def name(self) -> str:
        """For people."""
        return ", ".join(f"{axis} {value}" for axis, value in self.values.items())


def tasks(spec: Spec, folder: Path) -> list[Task]:
    """All runs of a sweep, checked. folder: that relative paths in it count from.

    Raises:
        InputError: a value is none that the setting may have, or an option none of the command's.
    """
    made = [_task(spec, number, values, folder) for number, values in enumerate(spec.points)]
    for one in made:
        parser_of(one.arguments[0]).parse_args(list(one.arguments[1:]))  # says what is wrong, and exits
    return made


def _task(spec: Spec, number: int, values: Values, folder: Path) -> Task:
    source = f"sweep {spec.name}"
    options: Values = dict(spec.options)
    settings: Values = {}
    city: Values = dict(spec.scenario) if isinstance(spec.scenario, dict) else {}
    ranges: list[str] = list(options.pop("ranges", []))
    scenario = spec.scenario
    for axis, value in values.items():
        if axis in CITY:
            city[axis.partition(".")[2]] = value
        elif axis.startswith("ranges."):
            ranges.append(f"{axis.partition('.')[2]}={value}")
        elif "." in axis:
            settings[axis] = value
        elif axis == "scenario":
            scenario = value
        else:
            options[axis] = value
    if spec.run == "solve" and "seed" in options:  # it draws nothing; the city may
        city["seed"] = options.pop("seed")
    files: dict[str, bytes] = {}
    if spec.run in ("solve", "sim", "virtual"):
        made = _scenario(scenario, city, settings, folder, source)
        files[SCENARIO_FILE] = _with_files(dump_json(made), made, files).encode()
        options["scenario"] = SCENARIO_FILE
    elif settings or city or scenario:
        raise InputError(source, next(iter(settings), "scenario"), scenario, f"nothing: {spec.run} reads no scenario")
    if spec.run == "train":
        options["output"] = POLICY_FILE
    if ranges:
        options["ranges"] = ranges
    options["json"] = RESULT_FILE
    named = {name: _shipped(value, folder, files) for name, value in options.items()}
    return Task(number, values, spec.run, tuple(_arguments(spec.run, named)), files)


def _arguments(run: str, options: Values) -> Iterator[str]:
    """A command line. Names are those of the options, with _ for -."""
    yield from COMMANDS[run]
    first = options.pop(FIRST.get(run, ""), None)
    if first is not None:
        yield str(first)
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            yield flag if value else "--no-" + flag[2:]
        elif isinstance(value, list):
            yield from (flag, *map(str, value))
        elif value != "":
            yield from (flag, str(value))


def _shipped(value: Any, folder: Path, files: dict[str, bytes]) -> Any:
    """An option's value, with a file that it names (a policy, a plug-in) shipped."""
    if not isinstance(value, str) or not value:
        return value
    plugin = file_of(value)
    path = folder / (plugin or value)
    if not path.is_file() or (plugin is None and path.suffix != ".safetensors"):
        return value
    name = _keep(path, files)
    return f"{name}:{value.partition('.py:')[2]}" if plugin else name


def _keep(path: Path, files: dict[str, bytes]) -> str:
    """Ship a file; its name there, by its content."""
    content = path.read_bytes()
    name = f"{path.stem}_{hashlib.sha256(content).hexdigest()[:8]}{path.suffix}"
    files[name] = content
    return name


def _with_files(text: str, scenario: Scenario, files: dict[str, bytes]) -> str:
    """A scenario's JSON, with the files of its plug-ins shipped."""
    for path in sorted({found for text_ in re.findall(r'"([^"\n]+\.py:[^"\n]*)"', text) if (found := file_of(text_))}):
        if not path.is_file():
            raise InputError(scenario.name, "plug-in", str(path), "a file that exists")
        text = text.replace(f"{path}:", f"{_keep(path, files)}:")
    return text


# --- scenarios --------------------------------------------------------------------------------------------------------


def _scenario(given: Any, city: Values, settings: Values, folder: Path, source: str) -> Scenario:
    """The scenario of a point."""
    if city or isinstance(given, dict):
        for name in city:
            if f"city.{name}" not in CITY:
                raise InputError(source, f"scenario.{name}", city[name], "rsus, uavs or seed")
        base = generate(int(city.get("rsus", 4)), int(city.get("uavs", 8)), int(city.get("seed", 1)))
    else:
        name = str(given or "default")
        base = load(folder / name if (folder / name).is_file() else name)
    if not settings:
        return base
    document = json.loads(dump_json(base))
    for path, value in settings.items():
        _set(document, path, value, folder, source)
    return loads(json.dumps(document), source)


def _set(document: dict[str, Any], path: str, value: Any, folder: Path, source: str) -> None:
    """Set a value by its path in the table of settings."""
    found = PATH.fullmatch(path)
    section, whose, name = found.groups() if found else (*path.partition(".")[::2], "")
    if not found:
        section, name = path.split(".", 1)
    records: dict[str, Any] = {**SECTIONS, **{key: of[0] for key, of in LISTS.items()}}
    known = [
        f"{key}{'[]' if key in LISTS else ''}.{one.name}"
        for key, record in records.items()
        for one in settings_of(record)
        if SCENARIO in one.known_to
    ]
    general = f"{section}[].{name}" if found else path
    if general not in known:
        near = difflib.get_close_matches(general, known, 1)
        raise InputError(
            source,
            f"over.{path}",
            path,
            f"a setting of docs/scenario.md; did you mean {near[0]!r}?" if near else "a setting of docs/scenario.md",
        )
    if setting_of(records[section], name).plugin and isinstance(value, str):
        value = beside(value, folder)
    if not found:
        document[section][name] = value
        return
    chosen = [
        one for number, one in enumerate(document[section]) if whose in ("", str(number), one.get("id", str(number)))
    ]
    if not chosen:
        raise InputError(source, f"over.{path}", whose, f"the id or number of one of {section}, or [] for all")
    for one in chosen:
        one[name] = value


def unit_of(axis: str) -> str:
    """The unit of an axis that is a setting; empty where it has none."""
    found = PATH.fullmatch(axis)
    section, name = (found[1], found[3]) if found else tuple(axis.split(".", 1)) if "." in axis else ("", "")
    record: Any = LISTS[section][0] if section in LISTS else SECTIONS.get(section)
    units = {one.name: one.unit for one in settings_of(record)} if record else {}
    return units.get(name, "")
