"""What an RSU's process does not load: each of these would stay for months."""

from __future__ import annotations

import subprocess
import sys

import pytest

NEEDLESS = ("lark", "em", "torch", "scipy", "importlib.metadata", "difflib", "transforms3d", "nav_msgs")


def test_an_rsu_s_process_loads_no_library_that_it_has_no_use_for() -> None:
    pytest.importorskip("rclpy")
    code = (
        "import sys\n"
        "from uav_twin_migration.cli import main, rsu\n"
        "rsu.spare_memory()\n"
        "from uav_twin_migration.nodes import rsu\n"
        "from uav_twin_migration.msg import PriceOffer, UavHeartbeat\n"
        "for message in (PriceOffer, UavHeartbeat):\n"
        "    message.__class__.__import_type_support__()\n"
        f"print(*[name for name in {NEEDLESS!r} if sys.modules.get(name)])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr
