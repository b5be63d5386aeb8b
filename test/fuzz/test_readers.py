"""No reader of what comes from outside raises another exception than its own; `uavtwin bench fuzz` goes on.

`corpus/` has inputs that reached code which nothing else did, from coverage-guided runs (studies/harnesses/
coverage_fuzzing.py): they are tried first, and changed further.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from uav_twin_migration.studies.harnesses.fuzzing import READERS, fuzz, tried

CORPUS = Path(__file__).parent / "corpus"
EXECUTIONS = {"scenarios": 60, "recordings": 300}  # a page of YAML each time; a file
SECONDS = 8.0  # at most
ROS = "uav_twin_migration.msg"
NEEDS = {"signatures": "nacl", "messages": ROS, "bytes of messages": ROS, "recordings": "mcap"}


def kept(name: str) -> list[bytes]:
    return [file.read_bytes() for file in sorted((CORPUS / name).glob("*.bin"))]


@pytest.mark.parametrize("name", READERS)
def test_what_is_right_is_read(name: str) -> None:
    pytest.importorskip(NEEDS.get(name, "json"))
    reader = READERS[name]
    for data in reader.seeds():
        assert tried(reader, data)[0] == ""


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", READERS)
def test_mutated_input_raises_the_declared_exception_alone(name: str, seed: int) -> None:
    pytest.importorskip(NEEDS.get(name, "json"))
    result = fuzz(READERS[name], SECONDS, seed, EXECUTIONS.get(name, 2000), kept(name))
    assert [finding.what for finding in result.findings if "bytes" not in finding.what] == []
    assert result.executions > 10


@pytest.mark.parametrize("name", ["frames", "artifacts", "snapshots"])
def test_coverage_guided_input_raises_the_declared_exception_alone(name: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    run = [sys.executable, "-m", "uav_twin_migration.studies.harnesses.coverage_fuzzing", name, str(tmp_path)]
    ended = subprocess.run([*run, "-runs=500"], cwd=Path.cwd(), check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
