"""The first RSU on a bare Debian: docs/edge.md's steps, in a root that has nothing else, by somebody who may sudo.

The root is debootstrap's minbase with the interpreter's libraries, systemd and sudo, in namespaces of its own. What
takes minutes is not done again in it: the checkout and its environment are those of this test, bound in where they are.
systemd does not run in a chroot: the unit's own command is started as its user, with its variables.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from test.debian_root import NoRootError, base_system
from uav_twin_migration.cli.main import main
from uav_twin_migration.deployment.installation import VARIABLES

CHECKOUT = Path(__file__).resolve().parents[2]
ROOT = CHECKOUT / ".uavtwin" / "bare-root"
INCLUDE = ("python3", "libatomic1", "systemd", "sudo")
COMPLETE = ROOT / "opt" / "complete"
NAMESPACES = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child")
PATIENCE = 240.0  # s, all of it
STEPS = """\
set -e
export HOME=/root PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin
(set -a; . /opt/variables; {python} -m uav_twin_migration.cli rsu install /opt/rsu_1)
(set -a; . /opt/variables; {python} -m uav_twin_migration.cli rsu install /opt/rsu_1) > /tmp/again
systemd-analyze verify /etc/systemd/system/uavtwin-rsu-rsu_1.service > /tmp/verified 2>&1
id admin > /dev/null 2>&1 || useradd --create-home admin
echo 'admin ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/admin
command=$(sed -n 's/^ExecStart=//p' /etc/systemd/system/uavtwin-rsu-rsu_1.service)
as_service='setpriv --reuid uavtwin --regid uavtwin --init-groups'
(set -a; . /etc/uavtwin/environment; exec $as_service $command) > /tmp/log 2>&1 &
tries=0
until su admin -c 'sudo uavtwin doctor /etc/uavtwin/rsu_1 --json /tmp/doctor' > /tmp/told 2>&1; do
    tries=$((tries + 1))
    if [ $tries -gt 5 ]; then cat /tmp/told /tmp/log >&2; exit 1; fi
done
kill -INT $!
wait $!
"""


@pytest.fixture(scope="module")
def root() -> Path:
    if shutil.which("ip") is None or subprocess.run([*NAMESPACES, "true"], capture_output=True).returncode != 0:
        pytest.skip("NO BARE ROOT, no RSU is installed in one: no namespaces can be made here, or iproute2 is missing")
    if not COMPLETE.exists():
        if not os.environ.get("CI"):
            pytest.skip("NO BARE ROOT, no RSU is installed in one: to make it, as root: CI=1 pytest this file")
        release = release_of_this_debian()
        try:
            base_system(ROOT, release, INCLUDE)
        except NoRootError as error:
            pytest.skip(f"NO BARE ROOT, no RSU is installed in one: {error}")
        COMPLETE.touch()
    if os.geteuid() != 0:
        pytest.skip("NO BARE ROOT, no RSU is installed in one: needs root for chroot")
    return ROOT


def release_of_this_debian() -> str:
    """The release whose interpreter is this one's: the environment is bound in."""
    lines = Path("/etc/os-release").read_text().splitlines()
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    if found.get("ID") != "debian":
        pytest.skip(f"NO BARE ROOT, no RSU is installed in one: this is {found.get('ID')}, not Debian")
    return found["VERSION_CODENAME"].strip('"')


def bound(root: Path) -> list[str]:
    """The commands that bring the checkout, its environment and the interpreter into a root, where they are here."""
    places = {CHECKOUT, Path(sys.prefix), Path(sys.base_prefix)}
    for name in ("PYTHONPATH", "LD_LIBRARY_PATH", "AMENT_PREFIX_PATH"):
        places |= {Path(entry) for entry in os.environ.get(name, "").split(os.pathsep) if entry.startswith("/")}
    commands = []
    for place in sorted(places):
        inside = root / place.relative_to("/")
        beneath_another = any(other in place.parents for other in places)
        if beneath_another or place.is_relative_to("/usr") or not place.is_dir():
            continue
        commands += [f"mkdir -p {shlex.quote(str(inside))}", f"mount --bind {place} {shlex.quote(str(inside))}"]
        folders = [root / parent.relative_to("/") for parent in place.parents if parent != Path("/")]
        commands += [f"chmod 755 {shlex.quote(str(folder))}" for folder in folders]
    return commands


@pytest.mark.ros
@pytest.mark.slow
def test_an_rsu_is_installed_and_sells_on_a_bare_debian(root: Path, tmp_path: Path) -> None:
    host = tmp_path / "rsu_1"
    command = ["rsu", "init", str(host), "--rsu", "rsu_1", "--scenario", "small", "--keys", str(tmp_path / "keys")]
    assert main([*command, "--address", "127.0.0.1"]) == 0
    shutil.copyfile(CHECKOUT / "config" / "fastdds" / "loopback.xml", host / "fastdds.xml")
    for old in (root / "opt" / "rsu_1", root / "etc" / "uavtwin"):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(host, root / "opt" / "rsu_1")
    variables = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    lines = [f"{name}={shlex.quote(value)}" for name, value in variables.items()]
    (root / "opt" / "variables").write_text("\n".join(lines) + "\n")
    (root / "opt" / "steps").write_text(STEPS.format(python=sys.executable))
    away = shlex.quote(str(root))
    outside = ["set -e", "ip link set lo up", *bound(root), f"mount -t proc proc {away}/proc"]
    outside += [f"mount --rbind /dev {away}/dev", f"mount -t tmpfs tmpfs {away}/run"]
    outside += [f"exec chroot {away} /bin/bash /opt/steps"]
    done = subprocess.run(
        [*NAMESPACES, "bash", "-c", "\n".join(outside)], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "user uavtwin is made" in done.stdout or "/etc/uavtwin/ is made" in done.stdout
    assert "nothing to change" in (root / "tmp" / "again").read_text()
    findings = json.loads((root / "tmp" / "doctor").read_text())["findings"]
    statuses = {finding["check"]: finding["status"] for finding in findings}
    assert {statuses[check] for check in ("host", "ros", "interfaces", "keys", "store", "running")} == {"ok"}, findings
    assert "sells up to" in (root / "tmp" / "log").read_text()
