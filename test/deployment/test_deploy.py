"""What is in deploy/: it can be read, and names commands, files and options that there are.

Its manifests were checked against Kubernetes 1.37's schemas with kubernetes-validate --strict on 2026-11-30.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from uav_twin_migration.cli.main import parse

CHECKOUT = Path(__file__).parents[2]
DEPLOY = CHECKOUT / "deploy"
MANIFESTS = sorted(DEPLOY.rglob("*.yaml"))


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: str(file.relative_to(DEPLOY)))
def test_it_is_yaml(file: Path) -> None:
    assert yaml.safe_load(file.read_text())


def containers() -> list[Any]:
    """Of all manifests, and of the compose file."""
    found = []
    for file in (DEPLOY / "kubernetes").glob("*.yaml"):
        found += [one["args"] for one in yaml.safe_load(file.read_text())["spec"]["template"]["spec"]["containers"]]
    services = yaml.safe_load((DEPLOY / "container/compose.yaml").read_text())["services"]
    return [*found, *(service["command"] for service in services.values())]


@pytest.mark.parametrize("arguments", containers(), ids=" ".join)
def test_what_containers_run_is_a_command(arguments: list[str]) -> None:
    assert parse(list(arguments))[0] == "rsu"


def test_a_pod_has_the_time_to_drain() -> None:
    pod = yaml.safe_load((DEPLOY / "kubernetes/rsu.yaml").read_text())["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] >= 45


def test_the_container_s_build_names_what_there_is() -> None:
    text = (DEPLOY / "container/Containerfile").read_text()
    assert "deploy/container/build" in text
    assert (DEPLOY / "container/build").stat().st_mode & 0o111
