"""Files that come with the package: scenarios, policies, middleware profiles."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "uav_twin_migration"


def shipped_file(path: str | Path) -> Path | None:
    """Where a shipped file lies, given its path in the package's source; None where it does not exist."""
    return next((folder / path for folder in _folders() if (folder / path).is_file()), None)


def _folders() -> Iterator[Path]:
    """The checkout, the prefix this package is installed in, sourced workspaces."""
    parents = Path(__file__).resolve().parents
    yield parents[1]
    prefixes = [*parents, *map(Path, filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)))]
    for prefix in prefixes:
        yield prefix / "share" / PACKAGE
