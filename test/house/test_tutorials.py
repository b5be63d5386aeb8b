"""The tutorials do what they say: every command in them is run, in order, in an empty folder, as a newcomer would.

A comment before a fenced block says what it is for:

    <!-- file: rule.py -->   the block is a file of that name
    <!-- run -->             its commands are run; `run: ros` where they start nodes
    <!-- prints -->          each of its lines stands in what the commands before it printed
    <!-- by hand: WHY -->    it is shown only

A block of commands without such a comment fails. `uavtwin` is the checkout's, `python3` the interpreter of the tests.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PAGES = sorted(path for path in (CHECKOUT / "docs" / "tutorials").glob("*.md") if path.stem != "index")
BLOCK = re.compile(r"(?:^<!-- ([^\n]*?) -->\n+)?^```(\w*)[^\n]*\n(.*?)^```$", re.M | re.S)


class Block(NamedTuple):
    """A fenced block: what the comment before it says, its language, its text."""

    purpose: str
    language: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    for purpose, language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        yield Block(purpose, language, text)


def needs_ros(page: Path) -> bool:
    """Whether a page's commands start nodes."""
    return any(block.purpose == "run: ros" for block in blocks(page))


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with `uavtwin` and `python3`, to be put before the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, words in (("uavtwin", "-m uav_twin_migration.cli"), ("python3", "")):
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [pytest.param(page, id=page.stem, marks=[pytest.mark.ros] if needs_ros(page) else []) for page in PAGES]
)
def test_a_tutorial_does_what_it_says(page: Path, tmp_path: Path, programs: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    python_path = os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": python_path, "OMP_NUM_THREADS": "1"}
    printed = ""
    for block in blocks(page):
        if block.purpose.startswith("file: "):
            (folder / block.purpose.removeprefix("file: ")).write_text(block.text, encoding="utf-8")
        elif block.purpose in ("run", "run: ros"):
            command = ["bash", "-euc", block.text]
            told = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
            assert told.returncode == 0, f"{block.text}{told.stdout}{told.stderr}"
            printed = told.stdout + told.stderr
        elif block.purpose == "prints":
            for line in filter(None, block.text.splitlines()):
                assert line.strip() in printed, f"{line!r} is not in what was printed:\n{printed}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_tutorial_is_run_or_says_why_not(page: Path) -> None:
    for block in blocks(page):
        known = re.fullmatch(r"run|run: ros|prints|file: [\w.]+|by hand: .+", block.purpose)
        assert known or block.language not in ("sh", "python", "text", "yaml"), f"{page.name}:\n{block.text}"
