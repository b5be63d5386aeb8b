"""The tutorials that start nodes do what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from test.tutorials import PAGES, follow, needs_ros


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if needs_ros(page)], ids=lambda page: page.stem)
def test_a_tutorial_does_what_it_says(page: Path, tmp_path: Path, domain: int) -> None:
    follow(page, tmp_path)
