"""`uavtwin sim --hosts`: a city over four hosts, network namespaces here, trades and moves its twins as on one."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from uav_twin_migration.deployment.shares import divided, read_hosts
from uav_twin_migration.scenario.generate import generate
from uav_twin_migration.scenario.load import save
from uav_twin_migration.scenario.vary import as_run
from uav_twin_migration.studies.harnesses.network import Network, made_hosts, why_not

BUSY = os.getloadavg()[0] > 4.0 * (os.cpu_count() or 1)  # a twin is lost where a process stands still for 10 s

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BUSY, reason="THIS MACHINE IS FAR TOO BUSY FOR FOUR HOSTS, nothing is proven"),
    pytest.mark.skipif(bool(why_not()), reason=f"NO NETWORK NAMESPACES HERE, nothing is proven: {why_not()}"),
]

NAMES = ("north", "east", "south", "west")
LONGEST = 150.0  # s, for a busy machine
TWIN_SIZE = 4.0  # Mbit


def test_a_city_over_four_hosts_trades_and_moves_twins_across_them(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    pytest.importorskip("nacl")
    from uav_twin_migration.security.authority import make_keys

    city = generate(4, 8, seed=3)
    city = replace(city, uavs=tuple(replace(uav, twin_size=TWIN_SIZE, speed=25.0) for uav in city.uavs))
    save(city, tmp_path / "city.yaml")
    make_keys(tmp_path / "keys", [rsu.id for rsu in city.rsus])
    with made_hosts(NAMES, Network(delay=0.005)) as hosts:
        addresses = [{"name": host.name, "address": host.address} for host in hosts]
        (tmp_path / "hosts.yaml").write_text(yaml.safe_dump({"hosts": addresses}))
        shares = divided(as_run(city, 0, local=True), read_hosts(str(tmp_path / "hosts.yaml")))
        assert [len(share.rsus) for share in shares] == [1, 1, 1, 1]
        command = [sys.executable, "-m", "uav_twin_migration.cli", "sim", str(tmp_path / "city.yaml"), "--plain"]
        command += ["--hosts", str(tmp_path / "hosts.yaml"), "--keys", str(tmp_path / "keys")]
        command += ["--duration", "40", "--json", str(tmp_path / "summary.json")]
        for host in hosts:
            host.start("sim", [*command, "--host", host.name], log=tmp_path / f"{host.name}.log")
        first = hosts[NAMES[0]].processes["sim"]
        try:
            assert first.wait(LONGEST) == 0
        finally:
            logs = {name: (tmp_path / f"{name}.log").read_text()[-2000:] for name in NAMES}
            print(*(f"--- {name}\n{log}" for name, log in logs.items()), sep="\n")
        assert all(hosts[name].processes["sim"].poll() is None for name in NAMES[1:])
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["rsus"] == 4
    assert summary["grants"] > 100
    assert summary["migrations_completed"] >= 2  # each from one host to another: an RSU a host
    assert summary["twins_lost"] == summary["twins_duplicated"] == 0
