"""A drone that flies by itself as soon as it can, and one that waits to be told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # where pymavlink is missing, only the tests that fly are skipped
    from test.vehicle.harness import Flight


@pytest.fixture
def flight() -> Iterator[Flight]:
    from test.vehicle.harness import Flight

    one = Flight()
    yield one
    assert one.px4.foreign == []  # PX4 was never sent what it does not understand
    one.close()


@pytest.fixture
def patient() -> Iterator[Flight]:
    """One that arms only when asked."""
    from test.vehicle.harness import Flight

    one = Flight(auto_arm=False)
    yield one
    one.close()
