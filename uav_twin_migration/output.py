"""Results in files: whole ones, or none. A disk that fills up, or a kill, leaves what was there before."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from uav_twin_migration.errors import UavTwinError


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A file beside `path` to write to, which takes its place at the end, and goes where that does not come.

    What is no file on a disk (a pipe, /dev/stdout) gets the bytes at the end.

    Raises:
        UavTwinError: it cannot be written; one line that says why.
    """
    target = Path(os.path.realpath(path))
    is_device = target.exists() and not target.is_file()
    folder = Path(tempfile.gettempdir()) if is_device else target.parent
    partial = folder / f".{target.stem}.{os.getpid()}.part{target.suffix}"  # libraries go by the suffix
    try:
        if target.is_dir():
            raise IsADirectoryError(21, os.strerror(21))
        yield partial
        if is_device:
            with open(partial, "rb") as whole, open(target, "wb") as device:
                shutil.copyfileobj(whole, device)
        else:
            partial.replace(target)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UavTwinError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file (UTF-8): all of it or nothing.

    Raises:
        UavTwinError: it cannot be written.
    """
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
