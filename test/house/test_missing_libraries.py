"""What is not installed is named, with how to get it, wherever it is missed."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from uav_twin_migration import errors
from uav_twin_migration.cli.commands import missing_libraries
from uav_twin_migration.errors import is_externally_managed, missing_library
from uav_twin_migration.nodes import start


@pytest.fixture
def signals() -> Iterator[None]:
    """What a node's start does to them is undone."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_libraries_are_named_with_the_command_that_brings_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "is_externally_managed", lambda: False)
    assert str(missing_library("this needs", "mcap>=1.5", "rosbags")) == (
        "this needs the Python libraries mcap and rosbags, which are not installed: pip install 'mcap>=1.5' rosbags"
    )


def test_where_pip_refuses_a_virtual_environment_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "is_externally_managed", lambda: True)
    assert str(missing_library("this needs", "mcap")).endswith("(python3 -m venv --system-site-packages DIR)")


def test_a_python_is_externally_managed_as_pep_668_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Seen in a Debian 12 root, 2026-11: /usr/lib/python3.11/EXTERNALLY-MANAGED, and not in a virtual environment."""
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(sys, "base_prefix", sys.prefix)
    assert not is_externally_managed()
    (tmp_path / "EXTERNALLY-MANAGED").touch()
    assert is_externally_managed()
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    assert not is_externally_managed()


def test_all_of_a_group_that_is_missing_is_asked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in ("nacl", "cryptography") else name)
    assert missing_libraries("keys") == ["PyNaCl", "cryptography"]


def test_a_node_whose_library_is_missing_ends_as_for_bad_input(
    signals: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> object:
        raise ModuleNotFoundError("No module named 'pymavlink'", name="pymavlink")

    monkeypatch.setattr("importlib.import_module", missing)
    assert start.start("uav_twin_migration.nodes.px4:main") == 2
    assert "px4 needs the Python library pymavlink" in capsys.readouterr().err
