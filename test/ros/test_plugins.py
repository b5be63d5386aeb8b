"""Plug-ins in running nodes."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from test.ros.conftest import PATIENCE, RSU, Probe, Processes
from uav_twin_migration.scenario.load import dump, load

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "plugins"


def test_an_rsu_outlives_its_rule_says_so_and_counts(processes: Processes, probe: Probe, tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    code = "class Own:\n asked = 0\n def decide(self, history, rivals):\n  self.asked += 1\n"
    own.write_text(code + "  return 3.5 if self.asked % 2 else 1 / 0\n")  # a round that nobody heard yet costs nothing
    probe.answer_every_offer(uav_a=2.0)
    rsu = processes.start("rsu", "/rsu/rsu_0", **RSU, pricing=f"{own}:Own")
    probe.wait_for(lambda: any(one.price == 3.5 for one in probe.interactions), "a round that the plug-in priced")

    def failures() -> int:
        return int(probe.diagnostics.get("rsu/rsu_0", {}).get("plugin_errors/pricing", 0))

    probe.wait_for(lambda: failures() >= 2, "its failures in /diagnostics")
    last = probe.interactions[-1].round
    probe.wait_for(lambda: probe.interactions[-1].round > last, "another round")
    assert rsu.poll() is None


def test_an_rsu_whose_rule_cannot_be_found_prices_by_the_builtin(processes: Processes, probe: Probe) -> None:
    probe.answer_every_offer(uav_a=2.0)
    processes.start("rsu", "/rsu/rsu_0", **RSU, pricing="nowhere.py:Own")
    probe.wait_for(lambda: bool(probe.interactions), "a round")
    probe.wait_for(lambda: "plugin_errors/pricing" in probe.diagnostics.get("rsu/rsu_0", {}), "the failure")


def test_a_city_runs_on_plugins(processes: Processes, domain: int, tmp_path: Path) -> None:
    scenario = load("small")
    of_rsus: Any = {
        "pricing": f"{EXAMPLES}/pricing.py:Undercut",
        "admission": f"{EXAMPLES}/admission.py:FewTwins(most=50)",
        "transfer": "stop_and_copy",
    }
    rsus = tuple(replace(rsu, **of_rsus) for rsu in scenario.rsus)
    named: Any = {
        "utility": f"{EXAMPLES}/utility.py:Saturating",
        "hosting": f"{EXAMPLES}/hosting.py:BestLink(dwell=1.0)",
        "mobility": f"{EXAMPLES}/mobility.py:Circle",
    }
    twins = replace(scenario.twins, application=f"{EXAMPLES}/application.py:LastPlaces")
    uavs = tuple(replace(uav, **named) for uav in scenario.uavs)
    radio = replace(scenario.radio, model=f"{EXAMPLES}/radio.py:Rain")
    city, out = tmp_path / "city.yaml", tmp_path / "out.json"
    city.write_text(dump(replace(scenario, rsus=rsus, uavs=uavs, radio=radio, twins=twins)))
    command = [sys.executable, "-m", "uav_twin_migration.cli", "sim", str(city), "--duration", "30", "--json", str(out)]
    for compose in ("processes", "uav_container"):
        run = processes.run([*command, "--real-time-factor", "3", "--plain", "--compose", compose])
        told = "".join(run.communicate(timeout=3 * PATIENCE))
        assert run.returncode == 0, told
        assert "plug-in" not in told, told
        summary = json.loads(out.read_text())
        assert summary["grants"] > 0
        assert summary["price_gap_to_equilibrium"] is None
        assert summary["mean_immersion"] > 0.0


def test_a_city_whose_plugin_cannot_be_found_does_not_start(processes: Processes, domain: int, tmp_path: Path) -> None:
    scenario = load("small")
    city = tmp_path / "city.yaml"
    uavs = tuple(replace(uav, utility="nowhere.py:Own") for uav in scenario.uavs)
    city.write_text(dump(replace(scenario, uavs=uavs)))
    run = processes.run([sys.executable, "-m", "uav_twin_migration.cli", "sim", str(city)])
    told = run.communicate(timeout=PATIENCE)[1]
    assert run.returncode == 2
    assert f"plug-in {tmp_path}/nowhere.py:Own: utility: got " in told
