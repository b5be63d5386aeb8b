"""No reader of what comes from outside raises another exception than its own; `uavtwin bench fuzz` goes on."""

from __future__ import annotations

import pytest

from uav_twin_migration.studies.harnesses.fuzzing import READERS, fuzz, tried

EXECUTIONS = {"scenarios": 60}  # it reads a page of YAML each time
SECONDS = 8.0  # at most


@pytest.mark.parametrize("name", READERS)
def test_what_is_right_is_read(name: str) -> None:
    if name == "signatures":
        pytest.importorskip("nacl")
    reader = READERS[name]
    for data in reader.seeds():
        assert tried(reader, data)[0] == ""


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", READERS)
def test_mutated_input_raises_the_declared_exception_alone(name: str, seed: int) -> None:
    if name == "signatures":
        pytest.importorskip("nacl")
    result = fuzz(READERS[name], SECONDS, seed, EXECUTIONS.get(name, 3000))
    assert [finding.what for finding in result.findings if "bytes" not in finding.what] == []
    assert result.executions > 10
