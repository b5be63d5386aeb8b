"""What the tests of this room begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from test.twin.target import Target
from test.twin.town import Town, settled
from uav_twin_migration.twin.hosting.store import Store


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """A town whose UAV has a host, and some history there."""
    return settled(Town(tmp_path))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "rsu1.db", "rsu1") as opened:
        yield opened


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(tmp_path)
