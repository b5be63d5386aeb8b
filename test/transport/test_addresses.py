"""Which addresses are this machine's own, and what waits for one."""

from __future__ import annotations

import os

import pytest

from uav_twin_migration.cli import rsu
from uav_twin_migration.cli.main import main
from uav_twin_migration.transport.addresses import is_here

ELSEWHERE = "203.0.113.77"  # RFC 5737: no machine has it


def test_an_address_is_here_where_something_could_listen_at_it() -> None:
    assert is_here("127.0.0.1")
    assert is_here("0.0.0.0")
    assert not is_here(ELSEWHERE)
    assert not is_here("2001:db8::77")  # RFC 3849, also where there is no IPv6
    assert is_here("somebody.invalid")  # a name: nobody is asked


def test_a_discovery_server_waits_for_its_host_s_address(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from uav_twin_migration.deployment import discovery

    answers = iter([False, False, True])
    begun: list[list[str]] = []
    monkeypatch.setattr(rsu, "is_here", lambda address: next(answers))
    monkeypatch.setattr(discovery, "FORGOTTEN", 0.0)
    monkeypatch.setattr(discovery, "lasting_server", lambda *where: ["server", *map(str, where)])

    def become(program: str, command: list[str]) -> None:
        begun.append(command)
        raise SystemExit(0)

    monkeypatch.setattr(os, "execv", become)
    with pytest.raises(SystemExit):
        main(["rsu", "discovery", "--wait-for", ELSEWHERE])
    assert begun == [["server", "0", "0.0.0.0", "11811"]]
    assert ELSEWHERE in capsys.readouterr().out
    assert next(answers, "asked until it is there") == "asked until it is there"
