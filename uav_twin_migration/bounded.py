"""Readers of what comes from outside: finite, in range, of bounded length and depth, and one exception: ValueError.

What they give is safe to compute with. What json, int and float take beyond that (NaN, integers of any length, nesting
until the stack ends) has ended threads that were not ready for it.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

LONGEST_NUMBER = 32  # characters; a double has 24, a 64-bit integer 20
DEEPEST = 32  # lists and objects within each other
DEEPEST_YAML = 500  # lists and mappings within each other: what any C stack holds
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|[][{}]', re.DOTALL)
_BLOCKS = re.compile(rf"[-?: \t]{{{DEEPEST_YAML}}}")  # blocks within blocks take a column each


def read_json(data: bytes | bytearray | str, largest: int) -> Any:
    """What a JSON document says, without numbers that are not finite or longer than `LONGEST_NUMBER`.

    largest: bytes that it may have.

    Raises:
        ValueError: it is no such document, or nested deeper than `DEEPEST`.
    """
    try:
        content = data.encode() if isinstance(data, str) else bytes(data)
        if len(content) > largest:
            raise ValueError(f"{len(content)} bytes, more than the {largest} allowed")
        text = content.decode()
        if _depth(content) > DEEPEST:
            raise ValueError(f"nested deeper than {DEEPEST}")
        return json.loads(text, parse_int=whole, parse_float=number, parse_constant=number)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _depth(content: bytes) -> int:
    deepest = depth = 0
    for match in _BRACKETS.finditer(content):
        bracket = match.group()
        if bracket in (b"[", b"{"):
            depth += 1
            deepest = max(deepest, depth)
            if deepest > DEEPEST:
                break
        elif bracket in (b"]", b"}"):
            depth -= 1
    return deepest


def is_deep_yaml(text: str) -> bool:
    """Whether a YAML document has more than `DEEPEST_YAML` lists and mappings within each other.

    What composes it in C, with the libyaml 0.2.5 that Debian and Ubuntu have, would end the process.

    Raises:
        yaml.YAMLError: it is no YAML.
    """
    if text.count("[") + text.count("{") < DEEPEST_YAML and not _BLOCKS.search(text):
        return False
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader)):  # no recursion here
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST_YAML:
            return True
    return False


def whole(text: str) -> int:
    """A whole number of no more than 64 bits. Raises ValueError."""
    if len(text) <= LONGEST_NUMBER:
        value = int(text)
        if abs(value) < 1 << 64:
            return value
    raise ValueError(f"{text[:LONGEST_NUMBER]!r} is no whole number of 64 bits")


def number(text: str) -> float:
    """A finite number. Raises ValueError."""
    if len(text) <= 10 * LONGEST_NUMBER:
        value = float(text)
        if math.isfinite(value):
            return value
    raise ValueError(f"{text[:LONGEST_NUMBER]!r} is no finite number")


def in_range(value: object, low: float, high: float) -> float:
    """A number (no bool) in [low, high] as a float. Raises ValueError."""
    if (type(value) is int or type(value) is float) and low <= value <= high:  # not for NaN, or integers however long
        return float(value)
    raise ValueError(f"{type(value).__name__} where a number in [{low:g}, {high:g}] was expected")
