"""Files as they are handed about: zipped, zipped in a zip, compressed, in folders; to files that a library can open.

Archives are unpacked into a temporary folder, with names of our own: nothing in an archive decides where it is written.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from uav_twin_migration.errors import InputError

DEEPEST = 3  # archives in archives
LARGEST = 16 << 30  # bytes that one archive may unpack to
MOST_MEMBERS = 10_000
ARCHIVES = (".zip", ".kmz")
COMPRESSED: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
BESIDE_SHAPES = (".shx", ".dbf", ".prj", ".cpg", ".qix", ".qpj", ".qmd", ".sbn", ".sbx", ".xml")
LEAFLETS = (".txt", ".md", ".pdf", ".html", ".png", ".jpg")
FOLDERS = (".gdb",)  # folders that are one file to a library
BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError, RuntimeError)
PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."


@contextmanager
def opened(path: Path) -> Iterator[list[tuple[str, Path]]]:
    """The files that a path stands for: their names, for people, and where each can be opened while this is open.

    A folder or an archive stands for all files in it. What is opened has a name of plain characters: libraries read
    meaning into others (`!`, `?`, `#`).

    Raises:
        InputError: nothing is there, or an archive cannot be unpacked.
    """
    if not path.exists():
        raise InputError("options", "file", str(path), "a file that exists")
    if not path.is_file() and not path.is_dir():
        raise InputError("options", "file", str(path), "a file on a disk; this is a pipe or a device: save it first")
    with tempfile.TemporaryDirectory(prefix="uavtwin-files-") as folder:
        room = _Room(Path(folder), str(path))
        yield [(name, file) for name, file in room.files(path, path.name, 0) if _is_data(file)]


class _Room:
    """The temporary folder that archives are unpacked into."""

    def __init__(self, folder: Path, source: str) -> None:
        self.folder, self.source = folder, source
        self.left = LARGEST
        self.made = 0

    def files(self, path: Path, name: str, depth: int) -> Iterator[tuple[str, Path]]:
        suffix = path.suffix.lower()
        if path.is_dir() and suffix not in FOLDERS:
            for inside in sorted(path.iterdir()):
                if not inside.name.startswith((".", "__MACOSX")) and (inside.is_dir() or inside.is_file()):
                    yield from self.files(inside, inside.name, depth)
        elif suffix in ARCHIVES or suffix in COMPRESSED:
            if depth == DEEPEST:
                raise InputError(self.source, "archive", name, f"at most {DEEPEST} archives within each other")
            try:
                inside = self._unzipped(path) if suffix in ARCHIVES else self._decompressed(path)
            except BROKEN as error:
                reason = str(error) or type(error).__name__
                raise InputError(self.source, "archive", name, f"one that can be unpacked ({reason})") from None
            yield from self.files(inside, Path(name).stem, depth + 1)
        else:
            yield name, self._plain(path)

    def _plain(self, path: Path) -> Path:
        """The path itself where its name is plain, else a link to it beside links to the files that belong to it."""
        if not set(str(path.absolute())) - set(PLAIN + "/"):
            return path
        links = self._new_folder()
        if path.is_dir():
            link = links / f"file{path.suffix}"
            link.symlink_to(path.absolute())
            return link
        for beside in path.parent.iterdir():
            if beside.name.startswith(path.stem + "."):
                (links / f"file{beside.name[len(path.stem) :]}").symlink_to(beside.absolute())
        return links / f"file{path.suffix}"

    def _new_folder(self) -> Path:
        self.made += 1
        folder = self.folder / str(self.made)
        folder.mkdir()
        return folder

    def _decompressed(self, path: Path) -> Path:
        target = self._new_folder() / _safe(path.stem)
        with COMPRESSED[path.suffix.lower()](path, "rb") as packed:
            self._copy(packed, target)
        return target

    def _unzipped(self, path: Path) -> Path:
        folder = self._new_folder()
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) > MOST_MEMBERS:
                raise InputError(self.source, "archive", f"{len(members)} files", f"at most {MOST_MEMBERS}")
            for member in members:
                parts = [_safe(part) for part in Path(member.filename).parts if part not in ("/", "..", ".")]
                if not parts or "__MACOSX" in parts:
                    continue
                target = folder.joinpath(*parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as packed:
                    self._copy(packed, target)
        return folder

    def _copy(self, packed: IO[bytes], target: Path) -> None:
        with open(target, "wb") as plain:
            while block := packed.read(1 << 20):
                self.left -= len(block)
                if self.left < 0:
                    raise InputError(self.source, "archive", target.name, f"at most {LARGEST >> 30} GiB unpacked")
                plain.write(block)
        if shutil.disk_usage(target.parent).free < 1 << 20:
            raise OSError(28, os.strerror(28))


def _safe(name: str) -> str:
    """A file name of plain characters only."""
    return "".join(character if character in PLAIN else "_" for character in name)[-100:].lstrip(".") or "file"


def _is_data(file: Path) -> bool:
    """Whether a file is one to open: no leaflet, and none that goes with a shapefile."""
    suffix = file.suffix.lower()
    if suffix in BESIDE_SHAPES:
        return not any(file.with_suffix(shape).exists() for shape in (".shp", ".SHP"))
    return suffix not in LEAFLETS
