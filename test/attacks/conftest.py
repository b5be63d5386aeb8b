"""A running market, and somebody beside it who says whatever they like: test/ros' real nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from test.ros.conftest import domain, probe, processes  # noqa: F401 - fixtures


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:  # of the whole session
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.ros)
