"""Cities for the tests of this room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("cryptography")

from test.transport.city import QUICK, City
from uav_twin_migration.security import authority as keys
from uav_twin_migration.security.certificates import Identity
from uav_twin_migration.transport.link import Limits


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("keys")
    keys.make_keys(directory, ["north", "south", "east"])
    return directory


@pytest.fixture
def city(authority: Path) -> Iterator[City]:
    opened = City(lambda name: Identity(authority, name), Limits(unread=4 << 20))
    yield opened
    opened.close()


@pytest.fixture
def strict(authority: Path) -> Iterator[City]:
    """One that loses patience soon."""
    opened = City(lambda name: Identity(authority, name), QUICK)
    yield opened
    opened.close()
