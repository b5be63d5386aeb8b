"""The book: docs/ builds as a site without a warning, and every page of it can be reached."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


def test_the_book_builds_without_a_warning(tmp_path: Path) -> None:
    """Strictly: dead links and anchors, pages without a place in the menu, and names that are not in the code fail."""
    pytest.importorskip("mkdocs", reason="needs mkdocs-material and mkdocstrings")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr
    for page in (CHECKOUT / "docs").rglob("*.md"):
        assert (tmp_path / page.relative_to(CHECKOUT / "docs")).with_suffix(".html").is_file(), page
    assert (tmp_path / "search" / "search_index.js").is_file(), "search would not work from disk"
    drawn = (tmp_path / "migration.html").read_text(encoding="utf-8")
    assert '<svg class="sequence"' in drawn
    assert "mermaid" not in drawn, "the theme would fetch Mermaid from elsewhere to draw it"
    solver = (tmp_path / "api" / "game.html").read_text(encoding="utf-8")
    assert 'id="uav_twin_migration.game.equilibrium.solve"' in solver
