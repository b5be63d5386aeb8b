"""An ordinary workspace has what package.xml names without a condition: `colcon test` there collects every test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from test.house.test_dependencies import KEYS, WITHOUT_KEY, dependencies

CHECKOUT = Path(__file__).resolve().parents[2]

COLLECT = """
import sys
from importlib.machinery import PathFinder

import pytest

class Installed(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in MISSING else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Installed
sys.exit(pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider"]))
"""


def test_tests_are_collected_where_there_is_only_what_package_xml_names() -> None:
    pytest.importorskip("uav_twin_migration.msg", reason="needs ROS 2")
    named = {name for name, condition in dependencies().items() if not condition}
    missing = {module for module, key in KEYS.items() if key not in named} | WITHOUT_KEY
    missing |= {"playwright", "psutil", "safetensors", "ray", "momepy", "build"}
    program = f"MISSING = {missing!r}\n{COLLECT}"
    said = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True)
    assert said.returncode == 0, "\n".join(said.stdout.splitlines()[-40:])
