"""The tutorials do what they say; those that start nodes are in test/ros/test_tutorials.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from test.tutorials import PAGES, blocks, follow, needs_ros


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if not needs_ros(page)], ids=lambda page: page.stem)
def test_a_tutorial_does_what_it_says(page: Path, tmp_path: Path) -> None:
    follow(page, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_tutorial_is_run_or_says_why_not(page: Path) -> None:
    for block in blocks(page):
        known = re.fullmatch(r"run|run: ros|prints|file: [\w.]+|by hand: .+", block.purpose)
        assert known or block.language not in ("sh", "python", "text", "yaml"), f"{page.name}:\n{block.text}"
