"""Changed copies of frozen records, of which every step of the protocol makes some."""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T")


def replace(record: T, /, **changes: Any) -> T:
    """As `dataclasses.replace`, at a tenth of its time, for records without `__post_init__`.

    Raises:
        TypeError: there is no such field.
    """
    known: dict[str, Any] = record.__dict__
    fields = {**known, **changes}
    if len(fields) != len(known):
        raise TypeError(f"{type(record).__name__} has no {', '.join(changes.keys() - known.keys())}")
    new = object.__new__(type(record))
    new.__dict__.update(fields)
    return new
