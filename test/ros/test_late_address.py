"""An RSU whose host gets its address after it began: `uavtwin rsu run` in network namespaces, at first without any.

On a booted Debian 12 whose interface got its address 25 s late (systemd-nspawn, systemd-networkd, 2026-12-01) nobody
beyond the host heard such an RSU: its middleware went on telling the addresses of its start.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("cryptography")
pytest.importorskip("nacl")

from uav_twin_migration.cli.main import main
from uav_twin_migration.cli.rsu_host import wait
from uav_twin_migration.studies.harnesses.network import TUN_NAME, Host, Network, made_hosts, run, why_not

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=f"NO NETWORK NAMESPACES HERE, nothing is proven: {why_not()}"),
]

PATIENCE = 60.0  # s, for a busy machine
UAVTWIN = [sys.executable, "-m", "uav_twin_migration.cli"]


def hears(host: Host, directory: Path) -> str:
    """What the doctor says on a host of whom its running RSU hears."""
    command = ["ip", "netns", "exec", host.namespace, *UAVTWIN, "doctor", str(directory), "--json", "-"]
    findings = json.loads(subprocess.run(command, capture_output=True, text=True).stdout)["findings"]
    return " ".join(finding["detail"] for finding in findings if finding["check"] == "hearing")


def test_it_begins_anew_when_the_address_comes_and_is_heard(tmp_path: Path, domain: int) -> None:
    with made_hosts(("rsu_1", "rsu_2"), Network()) as hosts:
        early, late = hosts["rsu_1"], hosts["rsu_2"]
        for host, other in ((early, late), (late, early)):
            command = ["rsu", "init", str(tmp_path / host.name), "--rsu", host.name, "--scenario", "small"]
            command += ["--keys", str(tmp_path / "keys"), "--domain", str(domain)]
            assert main([*command, "--address", host.address, "--peer", other.address]) == 0
        run("ip", "-n", late.namespace, "addr", "del", f"{late.address}/24", "dev", TUN_NAME)
        for host in (early, late):
            host.start("rsu", [*UAVTWIN, "rsu", "run", str(tmp_path / host.name)], log=tmp_path / f"{host.name}.log")
        log, process = tmp_path / "rsu_2.log", late.processes["rsu"]
        assert wait(lambda: "it hosts no twins" in log.read_text(), PATIENCE), "it sells, without twins"
        run("ip", "-n", late.namespace, "addr", "add", f"{late.address}/24", "dev", TUN_NAME)
        assert wait(lambda: "begins anew" in log.read_text(), PATIENCE), "it begins anew"
        assert wait(lambda: "twins here: 0" in log.read_text(), PATIENCE), "it hosts twins"
        assert wait(lambda: "it hears rsu_2" in hears(early, tmp_path / "rsu_1"), PATIENCE), "the other RSU hears it"
        assert process.poll() is None
        process.terminate()
        assert process.wait(PATIENCE) == 0  # SIGTERM still ends it, in good order
