"""Every example runs, as it says itself that it is run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
RECORDING = CHECKOUT / "test" / "recording" / "versions" / "rosbag2_8"
NEEDS = {"read_a_recording.py": ("rosbags", "mcap"), "train_with_another_library.py": ("stable_baselines3", "torch")}
ARGUMENTS = {"read_a_recording.py": [str(RECORDING)]}
SAYS = {
    "solve_a_game.py": "equilibrium: prices",
    "price_with_a_rule.py": "in equilibrium:  prices",
    "bring_a_twin.py": "101 pieces",
    "read_a_recording.py": "2  /a",
}


@pytest.mark.parametrize("example", sorted(path.name for path in (CHECKOUT / "examples").glob("*.py")))
def test_example(example: str, tmp_path: Path) -> None:
    for module in NEEDS.get(example, ()):
        pytest.importorskip(module)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, str(CHECKOUT / "examples" / example), *ARGUMENTS.get(example, [])]
    told = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=300)
    assert told.returncode == 0, told.stderr
    assert SAYS.get(example, "") in told.stdout


@pytest.mark.parametrize("notebook", sorted(path.name for path in (CHECKOUT / "examples").glob("*.ipynb")))
def test_every_cell_of_a_notebook_runs(notebook: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")]))
    pages = nbformat.read(CHECKOUT / "examples" / notebook, as_version=4)
    nbclient.NotebookClient(pages, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
