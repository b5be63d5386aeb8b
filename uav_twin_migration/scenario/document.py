"""The text of a file to plain values: mappings, lists and words, whatever YAML or JSON can be made to do.

YAML guesses no types here: every scalar is the text that stands in the file. Keys that come twice are refused with
their lines, and so are files that unfold to much more than they are: aliases of aliases, brackets within brackets.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import yaml

from uav_twin_migration.bounded import is_deep_yaml
from uav_twin_migration.scenario.settings import Refusal

NESTED = "brackets in brackets in ..."
SECTIONS = "the sections that docs/scenario.md lists"


def parse(text: str) -> object:
    """A document's values. Raises Refusal where it is neither YAML nor JSON, or is not what it seems."""
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text, object_pairs_hook=_unique)
        except (ValueError, RecursionError):
            pass  # YAML allows a mapping in braces that is no JSON, and tells the lines of keys that come twice
    try:
        if is_deep_yaml(text):
            raise Refusal(NESTED, SECTIONS)
        root = yaml.compose(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))
        return _Values(len(text)).of(root)
    except yaml.YAMLError as error:
        raise _not_yaml(text, error) from None
    except _UnfoldsError:
        raise Refusal(
            "aliases of aliases", "values that are written out: aliases unfold to more than the file"
        ) from None
    except RecursionError:
        raise Refusal(NESTED, SECTIONS) from None


class _UnfoldsError(Exception):
    """Aliases make a document larger than its text."""


def _unique(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    mapping: dict[str, object] = {}
    for key, value in pairs:
        if key in mapping:
            raise ValueError(key)
        mapping[key] = value
    return mapping


def _not_yaml(text: str, error: yaml.YAMLError) -> Refusal:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error).splitlines()[0]
    if "nesting depth" in what:
        return Refusal(NESTED, SECTIONS)
    if mark is None:
        return Refusal(text[:80], f"YAML ({what})")
    line = "".join(text.splitlines()[mark.line : mark.line + 1])
    return Refusal(line, f"YAML ({what})", f"line {mark.line + 1}")


class _Values:
    """Values out of YAML's nodes. Lighter than PyYAML's constructors.

    Without aliases a document has no more values than characters; `most` holds those with aliases to it, too.
    """

    def __init__(self, most: int) -> None:
        self.left = most

    def of(self, node: yaml.Node | None) -> Any:
        self.left -= 1
        if self.left < -1:  # an empty text has one value: none
            raise _UnfoldsError
        if isinstance(node, yaml.ScalarNode):
            return node.value
        if isinstance(node, yaml.SequenceNode):
            return self._list(node.value)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node.value)
        return None

    def _list(self, nodes: list[yaml.Node]) -> list[object]:
        values: list[object] = []
        try:
            for node in nodes:
                values.append(self.of(node))
        except Refusal as refusal:
            raise refusal.under(len(values)) from None
        return values

    def _mapping(self, pairs: list[tuple[yaml.Node, yaml.Node]]) -> dict[str, object]:
        mapping: dict[str, object] = {}
        lines: dict[str, int] = {}
        for node, value in pairs:
            if not isinstance(node, yaml.ScalarNode):
                raise Refusal(self.of(node), "a word as key")
            key = str(node.value)
            line = node.start_mark.line + 1
            if key in mapping:
                where = f"lines {lines[key]} and {line}" if lines[key] != line else f"line {line}"
                raise Refusal(self.of(value), f"the key once; it comes twice, on {where}", key)
            try:
                mapping[key], lines[key] = self.of(value), line
            except Refusal as refusal:
                raise refusal.under(key) from None
        return mapping
