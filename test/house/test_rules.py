"""The house rules that no linter knows."""

from __future__ import annotations

import runpy
import tokenize
from argparse import Namespace
from pathlib import Path

import pytest

from test.house.imports import imported

CHECKOUT = Path(__file__).resolve().parents[2]
EXECUTABLES = runpy.run_path(str(CHECKOUT / "setup.py"))["EXECUTABLES"]


@pytest.mark.parametrize("name", sorted(EXECUTABLES))
@pytest.mark.ros
def test_every_executable_exists(name: str) -> None:
    pytest.importorskip("rclpy", reason="needs ROS 2")
    module, function = EXECUTABLES[name].split(":")
    assert callable(getattr(imported(module), function))


def test_every_plan_node_is_an_executable() -> None:
    from uav_twin_migration.deployment.options import COMPOSITIONS, Options
    from uav_twin_migration.deployment.plan import plan
    from uav_twin_migration.scenario.load import load

    for composition in COMPOSITIONS:
        processes = plan(load("small"), "small", Options(compose=composition))
        assert {node.executable for process in processes for node in process.nodes} <= EXECUTABLES.keys()


def test_every_command_has_its_module_and_needs_groups_that_exist() -> None:
    from uav_twin_migration.cli.commands import COMMANDS

    groups = runpy.run_path(str(CHECKOUT / "setup.py"))["REQUIREMENTS"]
    for command in COMMANDS.values():
        assert (CHECKOUT / "uav_twin_migration" / "cli" / f"{command.module}.py").is_file()
        further = [*command.by_name.values(), *command.by_option.values()]
        assert {*command.requirements, *(group for some in further for group in some)} <= {*groups, "ros"}


def test_what_parts_of_a_command_need_is_known() -> None:
    from uav_twin_migration.cli.commands import BENCHMARKS, COMMANDS, FIGURES

    for room, found in (("benchmarks", BENCHMARKS), ("figures", FIGURES)):
        files = (CHECKOUT / "uav_twin_migration" / "studies" / room).glob("*.py")
        assert found.keys() == {file.stem for file in files if "\ndef run(" in file.read_text()}
    assert "libraries" in COMMANDS["bench"].groups(Namespace(names=["baselines"]))
    assert "libraries" in COMMANDS["bench"].groups(Namespace(names=[]))
    assert "libraries" not in COMMANDS["bench"].groups(Namespace(names=["game", "market"]))
    assert "ros" not in COMMANDS["bench"].groups(Namespace(names=["market"]))
    assert COMMANDS["bench"].needs_ros(Namespace(names=["game", "market"]))
    assert not COMMANDS["bench"].needs_ros(Namespace(names=["game", "protocol"]))


def test_an_option_brings_what_only_it_needs() -> None:
    from uav_twin_migration.cli.commands import COMMANDS

    assert "learning" in COMMANDS["sim"].groups(Namespace(train=True, record="", world="embedded"))
    assert COMMANDS["sim"].groups(Namespace(train=False, record="run", world="embedded")) == ("recording",)
    assert COMMANDS["sim"].groups(Namespace(train=False, record="", world="px4")) == ("px4",)


def test_every_message_field_says_its_unit() -> None:
    for path in sorted(CHECKOUT.glob("msg/*.msg")) + sorted(CHECKOUT.glob("srv/*.srv")):
        for line in path.read_text().splitlines():
            field = line.strip()
            if field and not field.startswith(("#", "---")) and not field.split()[1].endswith(("_ids", "_id")):
                assert "#" in field, f"{path.name}: {field} says neither its unit nor its meaning"


def test_no_name_of_a_registry_or_of_this_machine() -> None:
    forbidden = ("/work" + "/", "pypi" + ".org", "sha" + "red/", "debian" + ".org")
    for path in CHECKOUT.rglob("*"):
        if any(part.startswith(".") and part != ".ci" for part in path.relative_to(CHECKOUT).parts):
            continue
        if path.suffix in (".py", ".md", ".txt", ".yaml", ".xml", ".toml", ".cmake", ".msg") and path.is_file():
            with tokenize.open(path) if path.suffix == ".py" else path.open(encoding="utf-8") as file:
                text = file.read()
            assert not [word for word in forbidden if word in text], path


@pytest.mark.parametrize("room", ["uav_twin_migration", "web/src", "launch", "examples", "test"])
def test_no_file_is_long(room: str) -> None:
    lines = {
        file.relative_to(CHECKOUT): len(file.read_text(encoding="utf-8").splitlines())
        for kind in ("*.py", "*.ts")
        for file in (CHECKOUT / room).rglob(kind)
    }
    assert {file: count for file, count in lines.items() if count > 400} == {}
