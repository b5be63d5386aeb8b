"""Messages as tidy tables: one row an observation, one column a variable.

Each kind of topic is a table, `/uav/uav_1/odometry` and `/uav/uav_2/odometry` together one. Lists of a message that go
side by side are a table of its entries; every other list is a table of its own. Each row of these names its message and
repeats its ids. Times are seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from uav_twin_migration.errors import InputError
from uav_twin_migration.recording.decoding import Decoder
from uav_twin_migration.recording.metadata import Topic
from uav_twin_migration.recording.reader import Reader

LONGEST = 36  # entries of an array of fixed length that become columns: a covariance has 36
BASE, NAME, ARRAY, SEQUENCE = 1, 2, 3, 4  # what rosbags calls the kinds of fields
OWNER = re.compile(r"/(uav|rsu)/([^/]+)/")
SECONDS = {"sec", "nanosec"}  # the fields of a Time or a Duration

Row = dict[str, Any]


class Entry(NamedTuple):
    """A row, and of which table."""

    table: str
    row: Row


class Tables:
    """Goes through a recording once; afterwards knows what could not be read."""

    def __init__(self, source: Path) -> None:
        self.reader = Reader(source)
        self.unread: dict[str, str] = {}  # topic -> why
        self._decoders: dict[str, Decoder | None] = {}
        self._names: dict[tuple[str, str], str] = {}  # last word of the topic, type -> table
        self._count: dict[str, int] = {}
        self._columns: dict[str, list[tuple[str, ...]]] = {}  # table -> those of each of its versions

    def __iter__(self) -> Iterator[Entry]:
        """Rows in the order of the recording."""
        for recorded in self.reader:
            topic = recorded.topic
            decoder = self._decoder(topic)
            if decoder is None:
                continue
            try:
                message = decoder(recorded.data)
            except ValueError as error:
                self.unread[topic.key] = str(error)
                continue
            table = self._table(topic)
            number = self._count[table] = self._count.get(table, -1) + 1
            owner = OWNER.search(topic.name)
            start: Row = {"time_s": recorded.time / 1e9, "topic": topic.name, "message": number}
            if owner:
                start[owner[1]] = owner[2]
            for entry in _entries(decoder, decoder.kind, message, table, start):
                yield Entry(self._of_columns(entry), entry.row)

    def _of_columns(self, entry: Entry) -> str:
        """The table of these very columns: entries of other columns than before are a table of their own."""
        known = self._columns.setdefault(entry.table, [])
        columns = tuple(entry.row)
        if columns not in known:
            known.append(columns)
        place = known.index(columns)
        return f"{entry.table}_{place + 1}" if place else entry.table

    def _decoder(self, topic: Topic) -> Decoder | None:
        if topic.key not in self._decoders:
            try:
                self._decoders[topic.key] = Decoder(topic)
            except InputError as error:
                self._decoders[topic.key] = None
                self.unread[topic.key] = str(error)
        return self._decoders[topic.key]

    def _table(self, topic: Topic) -> str:
        word = re.sub(r"\W", "_", topic.name.rpartition("/")[2]) or "messages"
        if (word, topic.kind) not in self._names:
            taken = word in self._names.values()
            self._names[word, topic.kind] = f"{word}_{topic.kind.rpartition('/')[2]}" if taken else word
        return self._names[word, topic.kind]


def _entries(decoder: Decoder, kind: str, message: Any, table: str, start: Row, depth: int = 0) -> Iterator[Entry]:
    """A message's row, then those of the lists in it."""
    row: Row = dict(start)
    lists: list[List] = []
    _flatten(decoder, kind, message, "", row, lists)
    yield Entry(table, row)
    ids = {key: value for key, value in row.items() if key not in start and _is_id(key)}
    index = "index" if depth == 0 else f"index_{depth + 1}"
    columns, others = _side_by_side([one for one in lists if one.kind is None])
    for place, values in enumerate(zip(*columns.values(), strict=True)):
        yield Entry(f"{table}_entries", {**start, **ids, index: place, **dict(zip(columns, values, strict=True))})
    for one in others:
        for place, value in enumerate(one.values):
            yield Entry(f"{table}_{one.name}", {**start, **ids, index: place, "value": _scalar(value)})
    for one in lists:
        for place, value in enumerate(one.values if one.kind else ()):
            inner = {**start, **ids, index: place}
            yield from _entries(decoder, str(one.kind), value, f"{table}_{one.name}", inner, depth + 1)


class List(NamedTuple):
    """A list in a message."""

    name: str
    kind: str | None  # of its entries; None for numbers, truths and texts
    values: Any


def _side_by_side(lists: list[List]) -> tuple[dict[str, list[Any]], list[List]]:
    """Lists that say one thing each of the same entries, as columns; and the others.

    What the entries are, lists of ids say: `uav_ids`, or `uav_ids` and `rsu_ids` of every pair of them, UAV by UAV.
    Several numbers for each entry, as of a position, are as many columns.
    """
    ids = [one for one in lists if one.name.endswith("_ids")]
    rest = [one for one in lists if not one.name.endswith("_ids")]
    if not ids or len(ids) > 2 or not all(len(one.values) for one in ids):
        return {}, lists
    first, last = len(ids[0].values), len(ids[-1].values)
    places = [(i, j) for i in range(first) for j in range(last)]
    lengths = {len(one.values) for one in rest}
    if len(ids) == 2 and first * last in lengths and lengths <= {0, first, last, first * last} and len(places) > 1:
        columns = {one.name[:-1]: [one.values[at[k]] for at in places] for k, one in enumerate(ids)}
        rest = [one._replace(values=_spread(one.values, places, first, last)) for one in rest]
    elif first == last:
        columns = {one.name[:-1]: list(one.values) for one in ids}
    else:
        return {}, lists
    count, others = len(next(iter(columns.values()))), []
    for one in rest:
        each, left = divmod(len(one.values), count)
        if left or not 1 <= each <= LONGEST:
            others.append(one)
            continue
        for k in range(each):
            columns[one.name if each == 1 else f"{one.name}_{k}"] = [_scalar(value) for value in one.values[k::each]]
    return columns, others


def _spread(values: Any, places: list[tuple[int, int]], first: int, last: int) -> Any:
    """Values of pairs as they are; of the firsts or the lasts alone, one for each pair."""
    if len(values) in (0, len(places)):
        return values
    return [values[j if len(values) == last else i] for i, j in places]


def _is_id(name: str) -> bool:
    return (name.endswith("_id") and not name.endswith("frame_id")) or name in ("round", "sequence")


def _flatten(decoder: Decoder, kind: str, message: Any, prefix: str, row: Row, lists: list[List]) -> None:
    """A message's scalars into a row; its lists, with the type of their entries, into `lists`."""
    for name, (what, about) in decoder.fields(kind):
        value, column = getattr(message, name), prefix + name
        if column == "structure_needs_at_least_one_member":
            continue
        column += "_" * (column in row)  # our own columns go first
        if what == BASE:
            row[column] = _scalar(value)
        elif what == NAME and {field for field, _ in decoder.fields(about)} == SECONDS:
            row[column.removeprefix("header_") + "_s"] = value.sec + value.nanosec / 1e9
        elif what == NAME:
            _flatten(decoder, about, value, f"{column}_", row, lists)
        else:
            (item, of), length = about
            if item == BASE and of[0] in ("uint8", "byte", "octet") and what == SEQUENCE:
                row[f"{column}_bytes"] = len(value)
            elif item == BASE and what == ARRAY and length <= LONGEST:
                row.update({f"{column}_{k}": _scalar(one) for k, one in enumerate(value)})
            else:
                lists.append(List(column, of if item == NAME else None, value))


def _scalar(value: Any) -> Any:
    """A number, truth or text as Python has it."""
    return value.item() if hasattr(value, "item") else value
