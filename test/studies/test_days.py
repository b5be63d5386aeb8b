"""`bench days`: how long, how often, and what it does to a disk. The day itself is no test: it takes hours."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("cryptography")
pytest.importorskip("psutil")
pytest.importorskip("scipy")

from uav_twin_migration.errors import InputError
from uav_twin_migration.studies.benchmarks import days
from uav_twin_migration.studies.benchmarks.days import DAY, course_of, fill_disk, recoveries_of, small_disk


def test_a_day_unless_something_else_is_said() -> None:
    assert course_of("") == DAY
    short = course_of("10")
    assert short.duration == 600.0
    assert short.duration / short.restart_every >= 9.0  # each thing happens at least once
    for bad in ("1", "soon", "nan", "1e9"):
        with pytest.raises(InputError, match=days.MINUTES):
            course_of(bad)


def test_what_happened_is_counted_by_name_with_the_longest_recovery() -> None:
    struck = [days.Strike("a host is suspended", 1.0, 2.0), days.Strike("a host is suspended", 3.0, 4.0)]
    assert [(one.name, one.value) for one in recoveries_of(struck)] == [
        ("a host is suspended: times", 2),
        ("a host is suspended: all is well after", 4.0),
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="NO DISK FILLS UP: only root may mount a small one")
def test_a_full_disk_is_freed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(days, "DISK", 1)
    with small_disk(tmp_path) as mounted:
        if not mounted:
            pytest.skip("NO DISK FILLS UP: mounting is not allowed here")
        seen = []
        monkeypatch.setattr(time, "sleep", lambda _: seen.append(os.statvfs(tmp_path).f_bfree))
        fill_disk(tmp_path, 1.0)
        assert seen == [0]
        assert os.statvfs(tmp_path).f_bfree > 0
    assert not os.path.ismount(tmp_path)
