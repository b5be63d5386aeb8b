"""One table of options: the command line, the launch files and what a simulation reads are the same."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from uav_twin_migration.deployment.options import SCENARIO, SIM, Options, add_to_parser, read_all
from uav_twin_migration.deployment.simulation import absolute, simulation
from uav_twin_migration.errors import InputError


def as_launch(values: dict[str, Any]) -> dict[str, str]:
    """Values as launch has them: text."""
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in values.items()}


def defaults() -> dict[str, Any]:
    return {option.name: option.default for option in (SCENARIO, *SIM)}


def test_the_command_line_and_launch_have_the_same_defaults() -> None:
    parser = argparse.ArgumentParser()
    add_to_parser(parser, SIM)
    typed = {"scenario": SCENARIO.default, **vars(parser.parse_args([]))}
    assert typed == defaults() == read_all((SCENARIO, *SIM), as_launch(defaults()))


def test_every_field_of_a_run_is_an_option() -> None:
    assert Options.__dataclass_fields__.keys() <= {option.name for option in SIM}
    untouched = Options()
    for option in SIM:
        if option.name in Options.__dataclass_fields__:
            assert getattr(untouched, option.name) == option.default


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("twins", "yes"),
        ("seed", "abc"),
        ("seed", "1.5"),
        ("duration", "-5"),
        ("duration", "nan"),
        ("world", "mars"),
        ("compose", "heap"),
        ("gui", ""),
    ],
)
def test_launch_refuses_what_the_command_line_refuses(name: str, text: str) -> None:
    with pytest.raises(InputError, match=name):
        read_all((SCENARIO, *SIM), {**as_launch(defaults()), name: text})
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_to_parser(parser, SIM)
    with pytest.raises((argparse.ArgumentError, SystemExit)):
        parser.parse_args([f"--{name}={text}"])


def test_a_namespace_moves_every_node() -> None:
    made = simulation({**defaults(), "scenario": "small", "namespace": "city/"}, "", namespace="/north")
    assert made.variables == {"UAVTWIN_NAMESPACE": "/north/city"}
    assert made.monitor is not None
    namespaces = {node.namespace for process in (*made.processes, made.monitor) for node in process.nodes}
    assert all(namespace.startswith("/north/city") for namespace in namespaces)
    with pytest.raises(InputError, match="namespace"):
        absolute("north", "2nd")
