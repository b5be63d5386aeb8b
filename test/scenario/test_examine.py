"""What is allowed in a scenario and hardly meant is told before anything runs."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from uav_twin_migration.cli.main import main
from uav_twin_migration.scenario.examine import separated, warnings
from uav_twin_migration.scenario.generate import LAYER, generate
from uav_twin_migration.scenario.load import dump, load, save
from uav_twin_migration.scenario.model import Building, Origin, Rsu, Scenario, Uav

L = Building(((0, 0), (30, 0), (30, 10), (10, 10), (10, 30), (0, 30)), 20.0)
BRIDGE = Building(((100, -50), (110, -50), (110, 50), (100, 50)), 5.0, base=10.0)
RSU = Rsu("west", (-200, 0), antenna_height=15, range=600, capacity=20, unit_cost=1, price_cap=20)
UAV = Uav("uav_1", ((-300, 20), (300, 20)), altitude=100, speed=12, acceleration=3, immersion_weight=12, twin_size=100)
TOWN = Scenario("town", Origin(50.1, 14.4), (RSU,), (UAV,), buildings=(L, BRIDGE))


def town(rsu: Rsu = RSU, *uavs: Uav) -> Scenario:
    return replace(TOWN, rsus=(rsu,), uavs=uavs or (UAV,))


@pytest.mark.parametrize("name", ["default", "small"])
def test_shipped_scenarios_have_nothing_to_warn_of(name: str) -> None:
    assert warnings(load(name)) == []


def test_a_good_scenario_has_nothing_to_warn_of() -> None:
    assert warnings(TOWN) == []
    assert warnings(town(replace(RSU, position=(5, 5), antenna_height=25))) == []  # on the roof
    assert warnings(town(replace(RSU, position=(20, 20)))) == []  # in the yard of the L
    assert warnings(town(replace(RSU, position=(105, 0), antenna_height=8))) == []  # under the bridge
    assert warnings(town(RSU, replace(UAV, altitude=8, route=((90, 0), (120, 0))))) == []


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        (town(replace(RSU, position=(5, 5))), ["rsus[0] west", "buildings[0]", "15 m", "20 m"]),
        (town(RSU, replace(UAV, altitude=10, route=((5, 5), (25, 5)))), ["uavs[0] uav_1", "starts inside", "10 m"]),
        (town(RSU, replace(UAV, altitude=10, route=((-50, 5), (50, 5)))), ["uav_1 flies through", "buildings[0]"]),
        (town(RSU, replace(UAV, altitude=12, route=((-50, 5), (150, 5)))), ["buildings[0]", "and 1 more"]),
        # only the way back to the start leads through the L
        (town(RSU, replace(UAV, altitude=10, route=((40, 5), (40, 40), (-9, 40), (-9, 5)))), ["flies through"]),
        (town(RSU, replace(UAV, altitude=10, route=((5, 5),))), ["starts inside"]),
    ],
)
def test_who_is_in_a_building_is_named(scenario: Scenario, words: list[str]) -> None:
    (sentence,) = warnings(scenario)
    assert all(word in sentence for word in words)


def test_a_route_to_and_fro_does_not_return_the_short_way() -> None:
    uav = replace(UAV, altitude=10, route=((40, 5), (40, 40), (-9, 40), (-9, 5)), loop=False)
    assert warnings(town(RSU, uav)) == []


def test_whom_nobody_can_reach_is_named() -> None:
    rsu, uav = warnings(town(replace(RSU, position=(90_000, 0))))
    assert "rsus[0] west" in rsu
    assert "89,700 m" in rsu
    assert "uavs[0] uav_1" in uav
    far = replace(UAV, id="uav_2", route=((5_000, 0), (6_000, 0)))
    (sentence,) = warnings(town(RSU, UAV, far))
    assert "uavs[1] uav_2" in sentence


def test_uavs_that_come_close_are_named() -> None:
    towards = replace(UAV, id="uav_2", route=((300, 22), (-300, 22)))
    (sentence,) = warnings(town(RSU, UAV, towards))
    assert "uav_1 and uav_2 come within 2." in sentence
    assert warnings(town(RSU, UAV, replace(towards, altitude=110))) == []
    assert warnings(town(RSU, UAV, towards), separation=1.0) == []
    assert warnings(town(RSU, UAV, towards), seconds=5.0) == []
    crowd = [replace(UAV, id=f"uav_{k}") for k in range(9)]
    *_, last = warnings(town(RSU, *crowd))
    assert "31 more pairs" in last


def test_the_command_examines_makes_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "made.yaml"
    assert main(["scenario", "new", "--rsus", "6", "--uavs", "30", "--seed", "4", "-o", str(made)]) == 0
    assert "seed 4" in capsys.readouterr().out
    assert load(made) == separated(generate(6, 30, 4), LAYER)
    assert main(["scenario", "check", str(made), "--duration", "10", "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["rsus"], document["uavs"]) == (6, 30)
    assert isinstance(document["warnings"], list)
    pytest.importorskip("matplotlib")
    assert main(["scenario", "draw", str(made), "-o", str(tmp_path / "made.png")]) == 0
    assert (tmp_path / "made.png").read_bytes().startswith(b"\x89PNG")
    capsys.readouterr()
    bad = (
        ["new", "--rsus", "0", "-o", str(made)],
        ["new", "-o", str(tmp_path / "made.txt")],
        ["draw", str(made), "-o", str(tmp_path / "made.docx")],
        ["check", str(tmp_path / "missing.yaml")],
    )
    for arguments in bad:
        assert main(["scenario", *arguments]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_commands_that_load_a_scenario_warn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "town.yaml"
    save(town(replace(RSU, position=(5, 5))), file)
    assert main(["world", str(file), "-o", str(tmp_path / "town.sdf")]) == 0
    assert "uavtwin world: warning: rsus[0] west stands inside" in capsys.readouterr().err


def test_a_scenario_comes_through_a_pipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text(dump(TOWN)))
    writer.start()
    assert main(["scenario", "check", str(pipe)]) == 0
    writer.join()
    assert "2 buildings" in capsys.readouterr().out
