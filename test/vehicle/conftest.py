"""A drone that flies by itself as soon as it can, and one that waits to be told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from test.vehicle.harness import Flight


@pytest.fixture
def flight() -> Iterator[Flight]:
    one = Flight()
    yield one
    assert one.px4.foreign == []  # PX4 was never sent what it does not understand
    one.close()


@pytest.fixture
def patient() -> Iterator[Flight]:
    """One that arms only when asked."""
    one = Flight(auto_arm=False)
    yield one
    one.close()
