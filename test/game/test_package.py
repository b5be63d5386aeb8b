"""What `import uav_twin_migration.game` offers."""

from __future__ import annotations

import doctest
import subprocess
import sys

import pytest

from uav_twin_migration import game


def test_every_name_is_there_and_documented() -> None:
    for name in game.__all__:
        assert getattr(game, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'solver'"):
        _ = game.solver


def test_its_example_runs() -> None:
    assert doctest.testmod(game).failed == 0


def test_importing_it_loads_nothing() -> None:
    code = "import sys, uav_twin_migration.game; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
