"""What else the machine did is told with each figure, and no figure is called good that others' work spoiled."""

from __future__ import annotations

from pathlib import Path

import pytest

from uav_twin_migration.studies.machine import LOOK, Conditions, Times, Watch, times


def conditions(
    cores: int = 2, before: float = 0.0, others: float = 0.0, ours: float = 1.0, waiting: float = 0.0
) -> Conditions:
    return Conditions(cores, 0.3, before, others, ours, waiting)


@pytest.mark.parametrize(
    ("seen", "quiet", "bound"),
    [
        (conditions(ours=1.0), True, "one core"),
        (conditions(ours=1.95), True, "all 2 cores"),
        (conditions(ours=0.1), True, "no processor"),
        (conditions(ours=0.3, waiting=0.5), True, "the disk"),
        (conditions(others=1.0, ours=1.0), False, "other work"),
        (conditions(before=1.0, ours=1.0), False, "one core"),
    ],
)
def test_what_bounded_it_and_whether_it_may_be_called_good(seen: Conditions, quiet: bool, bound: str) -> None:
    assert seen.quiet is quiet
    assert bound in seen.bound
    assert any("BUSY" in line for line in seen.lines()) is not quiet


def test_others_are_all_that_is_not_ours() -> None:
    looks = iter([Times(0.0, 0.0, 0.0, 0.0), Times(2.0, 1.0, 0.0, 0.0), Times(12.0, 16.0, 2.0, 10.0)])
    slept: list[float] = []
    seen = Watch(lambda: next(looks), slept.append).conditions()
    assert slept == [LOOK]
    assert (seen.before, seen.others, seen.ours, seen.waiting) == (0.5, 0.5, 1.0, 0.2)
    assert not seen.quiet


def test_reads_linux(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 200 300 4000 500 60 70 80 0 0\ncpu0 1 2 3 4\n")
    now = times(stat)
    assert (now.busy, now.waiting) == (8.1, 5.0)
    assert times().busy >= 0.0
