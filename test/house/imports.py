"""Modules that need libraries which an ordinary workspace may not have."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import pytest


def imported(name: str) -> ModuleType:
    """A module of ours; where somebody else's that it needs is missing, the test is skipped."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("uav_twin_migration"):
            raise
        pytest.skip(f"needs {error.name}")
