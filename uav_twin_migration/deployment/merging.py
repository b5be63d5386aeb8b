"""Brings a configuration up to date, and keeps what an operator changed in it, also in the mappings within it.

Three states of each value: as it was written last (the base), as it is now (the operator's), as it would be written now
(the new one). Who alone has changed it wins; where both have, the operator does, and is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

MISSING: Any = object()
PRIVATE = ("unit_cost",)  # not shown: it is nobody else's business


class Merged(NamedTuple):
    """What comes of it."""

    values: dict[str, Any]
    changes: list[str]  # what differs from what was there, a line each
    kept: list[str]  # what the operator changed, and stays


def merge(base: Mapping[str, Any], own: Mapping[str, Any], new: Mapping[str, Any]) -> Merged:
    """Merge settings by name."""
    values: dict[str, Any] = {}
    changes, kept = [], []
    for name in dict.fromkeys([*new, *own]):
        was, here, wanted = (values_.get(name, MISSING) for values_ in (base, own, new))
        if isinstance(wanted, Mapping) and isinstance(here, Mapping):
            within = merge(was if isinstance(was, Mapping) else here, here, wanted)
            values[name] = within.values
            changes += [f"{name}.{line}" for line in within.changes]
            kept += [f"{name}.{line}" for line in within.kept]
            continue
        mine = here != was and here != wanted and own
        value = here if mine else wanted
        if mine:
            kept.append(f"{name}: stays {_shown(name, here)}, as it was changed here, not {_shown(name, wanted)}")
        elif here != wanted and own:
            changes.append(f"{name}: {_shown(name, here)} -> {_shown(name, wanted)}")
        if value is not MISSING:
            values[name] = value
    return Merged(values, changes, kept)


def _shown(name: str, value: Any) -> str:
    if value is MISSING:
        return "nothing"
    return "(private)" if name in PRIVATE else repr(value)
