"""The text of message definitions: a recording carries them, so that it can be read without what made it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from uav_twin_migration.shipped import PACKAGE, shipped_file

SEPARATOR = "=" * 80
PRIMITIVE = {
    *("bool", "byte", "char", "float32", "float64", "string", "wstring"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
}


@cache
def definition(kind: str) -> str | None:
    """A message type's definition with those of all types within it, as MCAP's "ros2msg" has it.

    `kind`: for example "std_msgs/msg/Header". None where a definition is not installed.
    """
    parts: dict[str, str] = {}
    wanted = [kind]
    while wanted:
        name = wanted.pop(0)
        if name in parts:
            continue
        file = _file(name, "msg")
        if file is None:
            return None
        parts[name] = file.read_text(encoding="utf-8").rstrip("\n") + "\n"
        wanted += inner_types(parts[name], name.partition("/")[0])
    first, *others = parts.items()
    return first[1] + "".join(f"{SEPARATOR}\nMSG: {short(name)}\n{text}" for name, text in others)


def type_hash(kind: str) -> str:
    """The RIHS01 hash of a message type (REP 2011), empty where it is not installed: ROS 2 Humble has none."""
    file = _file(kind, "json")
    if file is None:
        return ""
    hashes = json.loads(file.read_text(encoding="utf-8")).get("type_hashes", [])
    return next((str(entry["hash_string"]) for entry in hashes if entry["type_name"] == kind), "")


def inner_types(text: str, package: str) -> Iterator[str]:
    """The message types of a definition's fields, in full."""
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) < 2:
            continue
        kind = words[0].partition("[")[0].partition("<")[0]
        if kind in PRIMITIVE:
            continue
        owner, _, name = kind.rpartition("/")
        yield f"{owner.partition('/')[0] or package}/msg/{name}"


def short(kind: str) -> str:
    """A type's name as definitions write it: "std_msgs/Header"."""
    return kind.replace("/msg/", "/")


def _file(kind: str, suffix: str) -> Path | None:
    package, folder, name = kind.split("/")
    inside = Path(folder) / f"{name}.{suffix}"
    if package == PACKAGE and (shipped := shipped_file(inside)):
        return shipped
    prefixes = filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep))
    found = (Path(prefix) / "share" / package / inside for prefix in prefixes)
    return next((file for file in found if file.is_file()), None)
