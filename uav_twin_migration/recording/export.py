"""A recording as tidy tables in files: CSV, or Parquet with pyarrow."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from typing import IO, Any

from uav_twin_migration.errors import InputError, UavTwinError
from uav_twin_migration.recording.tables import Row, Tables

ROWS = 20_000  # of a Parquet file that are written at once
ABOUT_FILE = "about.json"


class CsvTable:
    """A table that is written as CSV: a missing value is an empty field."""

    SUFFIX = ".csv"

    def __init__(self, path: Path, first: Row) -> None:
        self._file: IO[str] = open(path, "w", newline="", encoding="utf-8")  # noqa: SIM115 - closed by `close`
        self._writer = csv.DictWriter(self._file, list(first), lineterminator="\n")
        self._writer.writeheader()

    def write(self, row: Row) -> None:
        self._writer.writerow(row)

    def close(self) -> None:
        self._file.close()


class ParquetTable:
    """A table that is written as Parquet, compressed, with the types of its first rows."""

    SUFFIX = ".parquet"

    def __init__(self, path: Path, first: Row) -> None:
        self._path, self._rows, self._writer = path, [], None  # type: tuple[Path, list[Row], Any]

    def write(self, row: Row) -> None:
        self._rows.append(row)
        if len(self._rows) == ROWS:
            self._write()

    def _write(self) -> None:
        import pyarrow
        import pyarrow.parquet

        schema = None if self._writer is None else self._writer.schema
        table = pyarrow.Table.from_pylist(self._rows, schema=schema)
        if self._writer is None:
            self._writer = pyarrow.parquet.ParquetWriter(self._path, table.schema, compression="zstd")
        self._writer.write_table(table)
        self._rows = []

    def close(self) -> None:
        if self._rows:
            self._write()
        if self._writer is not None:
            self._writer.close()


def export(source: Path, folder: Path, parquet: bool = False) -> dict[str, Any]:
    """Write a recording's tables into a new folder, with the scenario and the policy that it holds.

    Returns what there is: `tables` (rows of each), `messages`, `unread` (topics, and why), `damage`, `about`.

    Raises:
        InputError: there is no recording, or the folder holds something.
        UavTwinError: the folder cannot be written, or a library is missing.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("options", "--output", str(folder), "a new or empty folder")
    tables = Tables(source)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        partial.mkdir(parents=True)
        told = _written(tables, partial, ParquetTable if parquet else CsvTable)
        if folder.exists():
            folder.rmdir()
        partial.replace(folder)
    except OSError as error:
        raise UavTwinError(f"cannot write {folder}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return told


def _written(tables: Tables, folder: Path, kind: type[CsvTable] | type[ParquetTable]) -> dict[str, Any]:
    opened: dict[str, CsvTable | ParquetTable] = {}
    rows: dict[str, int] = {}
    try:
        for name, row in tables:
            if name not in opened:
                opened[name] = kind(folder / f"{name}{kind.SUFFIX}", row)
            opened[name].write(row)
            rows[name] = rows.get(name, 0) + 1
    finally:
        for table in opened.values():
            table.close()
    reader = tables.reader
    for name, attachment in reader.attachments.items():
        (folder / Path(name).name).write_bytes(attachment.data)
    told = {
        "tables": dict(sorted(rows.items())),
        "messages": sum(topic.messages for topic in reader.topics.values()),
        "seconds": reader.span.nanoseconds / 1e9,
        "unread": tables.unread,
        "damage": reader.damage,
        "about": reader.about,
    }
    (folder / ABOUT_FILE).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return told
