"""Following a tutorial: every command in it is run, in order, in an empty folder, as a newcomer would.

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

CHECKOUT = Path(__file__).resolve().parents[1]
PAGES = sorted(path for path in (CHECKOUT / "docs" / "tutorials").glob("*.md") if path.stem != "index")
BLOCK = re.compile(r"(?:^<!-- ([^\n]*?) -->\n+)?^```(\w*)[^\n]*\n(.*?)^```$", re.M | re.S)

MISSING = re.compile(r"needs? the Python librar.* not installed")


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


def follow(page: Path, folder: Path) -> None:
    """Do what a page says, in a new folder. Fails where a command does, or does not print what the page shows."""
    empty, programs = folder / "empty", folder / "bin"
    empty.mkdir()
    programs.mkdir()
    for name, words in (("uavtwin", "-m uav_twin_migration.cli"), ("python3", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (programs / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
    }
    printed = ""
    for block in blocks(page):
        if block.purpose.startswith("file: "):
            (empty / block.purpose.removeprefix("file: ")).write_text(block.text, encoding="utf-8")
        elif block.purpose in ("run", "run: ros"):
            command = ["bash", "-euc", block.text]
            told = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True, timeout=600)
            if missing := MISSING.search(told.stderr):  # as in a workspace that has only what package.xml names
                pytest.skip(f"{page.stem}: {missing[0]}")
            assert told.returncode == 0, f"{block.text}{told.stdout}{told.stderr}"
            printed = told.stdout + told.stderr
        elif block.purpose == "prints":
            for line in filter(None, block.text.splitlines()):
                assert line.strip() in printed, f"{line!r} is not in what was printed:\n{printed}"
