"""Makes a recording whole again, beside the one there is: nothing is ever taken away."""

from __future__ import annotations

import itertools
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from uav_twin_migration.errors import InputError, UavTwinError
from uav_twin_migration.recording import metadata
from uav_twin_migration.recording.metadata import File
from uav_twin_migration.recording.reader import Contents, Reader, contents, mcap_files
from uav_twin_migration.recording.writer import McapFile


class Repaired(NamedTuple):
    """What a recording held, and where the whole one is."""

    found: Contents
    folder: Path | None  # None where the recording is whole as it is


def repair(source: Path) -> Repaired:
    """Write a whole recording beside a damaged one, from what can be read of it; the damaged one stays as it is.

    A whole recording that lacks only its metadata.yaml gets that.

    Raises:
        InputError: there is no recording, or nothing that can be read.
        UavTwinError: the folder cannot be written.
    """
    found = contents(source)
    if not found.damage and (source.is_file() or (source / metadata.FILE).is_file()):
        return Repaired(found, None)
    if not found.messages and found.damage:
        raise InputError(str(source), "recording", found.damage[0], "one with a message that can be read")
    try:
        if not found.damage:
            files = [_about(file) for file in mcap_files(source)]
            metadata.write(source, files, list(found.topics.values()))
            return Repaired(found, None)
        return Repaired(found, _written_anew(source, found))
    except OSError as error:
        raise UavTwinError(f"cannot repair {source}: {error.strerror or error}; it is as it was") from None


def _written_anew(source: Path, found: Contents) -> Path:
    target = _free(source)
    partial = target.with_name(f".{target.name}.part")
    shutil.rmtree(partial, ignore_errors=True)  # of a repair that was interrupted
    partial.mkdir()
    try:
        files = []
        for file in mcap_files(source):
            try:
                is_damaged = bool(contents(file).damage)
            except InputError:
                continue  # it is no MCAP file: told already
            whole = partial / (file.name.removesuffix(".zstd") if is_damaged else file.name)
            if is_damaged:
                _rewrite(file, whole)
            else:
                _same(file, whole)
            files.append(_about(whole))
        metadata.write(partial, files, list(found.topics.values()))
        partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _free(source: Path) -> Path:
    """A name beside the recording that nothing has: <name>_repaired, <name>_repaired_2, ..."""
    source = source.resolve()
    stem = source.name.partition(".mcap")[0] if source.is_file() else source.name
    names = (f"{stem}_repaired{'' if number == 1 else f'_{number}'}" for number in itertools.count(1))
    return next(path for name in names if not (path := source.with_name(name)).exists())


def _about(file: Path) -> File:
    held = contents(file)
    return File(file.name, held.messages, held.span)


def _same(file: Path, copy: Path) -> None:
    """The same file at another place, without taking its room twice where the disk can do that."""
    try:
        os.link(file, copy)
    except OSError:
        shutil.copyfile(file, copy)


def _rewrite(file: Path, target: Path) -> None:
    """A whole file of what can be read of another."""
    whole = McapFile(target)
    reader = Reader(file)
    for message in reader:
        topic = message.topic
        if topic.key not in whole.topics:
            whole.add_topic(replace(topic, messages=0))
        whole.write(topic.key, message.data, message.time, message.published, message.sequence)
    for name, about in reader.about.items():
        whole.describe(name, about)
    for attachment in reader.attachments.values():
        whole.attach(attachment)
    whole.close()
