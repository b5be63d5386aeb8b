"""The page as a file: small, of one piece, and what web/ builds to."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from test.monitor import said
from uav_twin_migration.monitor.html import PARTS, Run, page

WEB = Path(__file__).resolve().parents[2] / "web"
LARGEST = 100_000  # bytes of the page without data, compressed


def test_the_page_is_small() -> None:
    assert len(gzip.compress(page().encode(), 9)) < LARGEST


def test_the_page_asks_nobody_else_for_anything() -> None:
    text = page()
    assert not re.findall(r'(?:src|href)="?(?:https?:)?//', text)
    assert not re.findall(r"@import|url\(", text)


def test_a_browser_is_told_to_run_this_script_alone() -> None:
    text = page()
    script = re.findall(r"<script>(.*?)</script>", text, re.S)[-1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}'" in text
    assert "default-src 'none'" in text
    assert "{{" not in re.sub(r"<script.*?</script>|<style.*?</style>", "", text, flags=re.S)


def test_runs_are_packed_into_the_page() -> None:
    listener = said.small_city()
    frame = listener.frame(0.6, sampled=True)
    text = page([Run("</script><b>", listener.city.cast(), [frame])])
    packed = re.findall(r'id="data">([^<]*)</script>', text)[0]
    document = json.loads(gzip.decompress(base64.b64decode(packed)))
    assert document["runs"][0]["label"] == "</script><b>"
    assert document["runs"][0]["frames"][0]["t"] == 0.6


def test_the_licence_of_what_is_vendored_comes_along() -> None:
    assert "MIT" in (PARTS / "uPlot.LICENSE").read_text()
    assert (PARTS / "page.js").read_text().startswith("/* uPlot")


@pytest.mark.slow
def test_types_are_right_and_the_built_page_is_that_of_the_sources(tmp_path: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm: whether the page is what its sources build to is not checked here")
    web = tmp_path / "web"
    shutil.copytree(WEB, web, ignore=shutil.ignore_patterns("node_modules"))
    (tmp_path / "uav_twin_migration").mkdir()
    for command in (["ci", "--ignore-scripts", "--no-audit", "--no-fund"], ["run", "types"], ["run", "build"]):
        told = subprocess.run([npm, *command], cwd=web, capture_output=True, text=True, timeout=300)
        assert told.returncode == 0, told.stdout + told.stderr
    built = tmp_path / "uav_twin_migration" / "monitor" / "page"
    for file in sorted(built.iterdir()):
        assert file.read_bytes() == (PARTS / file.name).read_bytes(), f"{file.name}: run npm run build in web/"
