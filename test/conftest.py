"""What all tests share: tests that start ROS 2 nodes run one after the other, beside all others."""

from __future__ import annotations

import pytest


@pytest.hookimpl(trylast=True)  # after test/ros has marked its own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("ros"):
            item.add_marker(pytest.mark.xdist_group("ros"))
