"""Real RSU processes, killed with -9 while they migrate twins; `uavtwin bench crash` does it a hundred times."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("cryptography")

from test.twin.files import delete
from uav_twin_migration.studies.benchmarks import crash as bench_crash
from uav_twin_migration.twin.hosting.backup import copy_store


def test_what_was_acknowledged_survives_kills() -> None:
    figures = {figure.name: figure.value for figure in bench_crash.measure(kills=4, seed=7)}
    assert figures["updates acknowledged"] > 50
    assert figures["updates lost"] == 0
    assert figures["twins or updates duplicated"] == 0
    assert figures["pieces corrupt"] == 0


def test_the_comparison_sees_what_is_missing_spoilt_or_twice(tmp_path: Path) -> None:
    with bench_crash.sky(seed=3) as here:
        here.rest()
        found: Counter[str] = Counter()
        here.kill("north", found)
        here.rest()
        here.close()
        assert bench_crash._examine(here) == ([], 0, 0, 0)
        flier = here.fliers["uav0"]
        host = next(rsu for rsu in bench_crash.RSUS if rsu == flier.host)
        flier.acknowledged.add(flier.sequence + 5)
        _, lost, _, _ = bench_crash._examine(here)
        assert lost == 1
        flier.acknowledged.remove(flier.sequence + 5)
        last = max(flier.acknowledged)
        flier.pieces[last] = (flier.pieces[last] + 1) % 100
        _, _, _, corrupt = bench_crash._examine(here)
        assert corrupt >= 1
        other = next(rsu for rsu in bench_crash.RSUS if rsu != host)
        delete(here.rsus[other].store)
        copy_store(here.rsus[host].store, here.rsus[other].store)
        _, _, duplicated, _ = bench_crash._examine(here)
        assert duplicated >= 1
