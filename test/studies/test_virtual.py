"""A city in virtual time: what a run gives, that it gives it again, and what faults do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from uav_twin_migration.errors import InputError
from uav_twin_migration.monitor.listener import Listener
from uav_twin_migration.scenario.load import dump, load, loads
from uav_twin_migration.scenario.model import Randomness
from uav_twin_migration.studies.virtual import flights
from uav_twin_migration.studies.virtual.flights import Fading
from uav_twin_migration.studies.virtual.run import run
from uav_twin_migration.twin.hosting.store_reader import StoreReader

CHECKOUT = Path(__file__).resolve().parents[2]
SIM = [sys.executable, "-m", "uav_twin_migration.cli", "sim", "--virtual"]


def test_a_run_moves_twins_and_gives_the_keys_of_sim() -> None:
    summary = run("default", duration=25.0)
    assert summary.keys() >= Listener(load("default")).summary().keys()
    assert summary["twins"] == 8
    assert summary["migrations_completed"] >= 1
    assert not summary["twins_lost"] + summary["twins_duplicated"] + summary["twins_unserved"]
    assert summary["rounds"] >= 90
    assert 0.5 < summary["achieved_of_granted_rate"]["mean"] <= 1.0


def test_a_seed_gives_the_same_bits_in_any_process_and_another_seed_others() -> None:
    command = [*SIM, "small", "--duration", "8", "--json", "-"]
    here = run("small", duration=8.0)
    others = []
    for hash_seed, seed in (("1", "0"), ("2", "0"), ("1", "1")):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [*command, "--seed", seed], capture_output=True, text=True, check=True, cwd=CHECKOUT, env=environment
        )
        others.append(json.loads(done.stdout))
    assert here == others[0] == others[1]
    assert others[2] != here


def test_stores_may_be_on_a_disk(tmp_path: Path) -> None:
    faults = ["at 6 s: kill rsu_1", "at 8 s: back rsu_1"]
    summary = run("small", duration=12.0, faults=faults, twin_stores=str(tmp_path))
    assert not summary["twins_lost"] + summary["twins_duplicated"] + summary["twins_unserved"]
    stores = [StoreReader(path) for path in sorted(tmp_path.glob("*.db"))]
    assert [store.rsu for store in stores] == ["rsu_1", "rsu_2"]
    assert {uav for store in stores for uav, one in store.load().items() if one.own} == {"uav_1", "uav_2"}
    done = subprocess.run([*SIM, "small", "--twin-stores", str(tmp_path)], capture_output=True, text=True, cwd=CHECKOUT)
    assert done.returncode == 2
    assert "begins at 0 again" in done.stderr


def test_a_killed_host_comes_back_with_its_twins() -> None:
    faults = ["at 10 s: kill rsu_1", "at 12 s: back rsu_1"]
    summary = run("small", duration=20.0, faults=faults)
    assert not summary["twins_lost"] + summary["twins_duplicated"] + summary["twins_unserved"]
    assert summary["longest_silence_s"] > 2.0  # nobody served what was there
    assert run("small", duration=20.0)["longest_silence_s"] < 1.0


def test_a_twin_whose_host_is_gone_for_good_begins_anew() -> None:
    assert run("small", duration=25.0, faults=["at 8 s: kill rsu_1"])["twins_lost"] > 0


@pytest.mark.parametrize("fault", ["suspend rsu_1", "cut rsu_1", "cut rsu_1 from rsu_2", "slow rsu_1 20"])
def test_what_passes_does_no_harm(fault: str) -> None:
    summary = run("small", duration=20.0, faults=[f"at 8 s: {fault}", "at 13 s: back rsu_1"])
    assert not summary["twins_lost"] + summary["twins_duplicated"] + summary["twins_unserved"]


@pytest.mark.parametrize("fault", ["at 3 s: kil rsu_1", "kill rsu_1", "at 3 s: kill rsu_9", "at 3 s: cut uav_1"])
def test_a_fault_that_makes_no_sense_is_told(fault: str) -> None:
    with pytest.raises(InputError, match="faults"):
        run("small", duration=1.0, faults=[fault])


def test_a_scenario_keeps_its_faults() -> None:
    text = dump(load("small")).replace("\nrsus:", '\nfaults: ["at 3 s: kill rsu_1"]\n\nrsus:')
    scenario = loads(text)
    assert scenario.faults == ("at 3 s: kill rsu_1",)
    assert loads(dump(scenario)) == scenario
    with pytest.raises(InputError, match=r"faults\[0\]"):
        loads(text.replace("kill rsu_1", "kill rsu_9"))


def test_what_virtual_time_has_no_use_for_is_refused() -> None:
    done = subprocess.run([*SIM, "--real-time-factor", "4"], capture_output=True, text=True, cwd=CHECKOUT)
    assert done.returncode == 2
    assert "real_time_factor" in done.stderr


def test_fading_is_correlated_along_the_way_and_changes_what_is_sold() -> None:
    fading = Fading(replace(Randomness(), fading="normal(-2, 4)"), 3, seed=1)
    here = np.zeros((400, 3))
    first, second = fading.at(here), fading.at(here + np.array([5.0, 0.0, 0.0]))
    far = fading.at(here + np.array([5_000.0, 0.0, 0.0]))
    assert first.mean() == pytest.approx(-2.0, abs=0.4)
    assert first.std() == pytest.approx(4.0, rel=0.1)
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] == pytest.approx(np.exp(-0.1), abs=0.05)
    assert abs(np.corrcoef(first.ravel(), far.ravel())[0, 1]) < 0.15
    scenario = load("small")
    faded = replace(scenario, randomness=replace(scenario.randomness, fading="normal(0, 6)"))
    assert run(faded, duration=8.0)["mean_immersion"] != run(scenario, duration=8.0)["mean_immersion"]


def test_a_recording_tells_the_same_when_it_is_replayed(tmp_path: Path) -> None:
    pytest.importorskip("rosbags")
    pytest.importorskip("mcap")
    from uav_twin_migration.monitor.replay import replay
    from uav_twin_migration.monitor.sources import scenario_of
    from uav_twin_migration.recording.tables import Tables

    summary = run("small", duration=12.0, record=tmp_path / "run")
    assert run("small", duration=12.0) == summary  # who records changes nothing
    scenario, about = scenario_of(tmp_path / "run")
    assert scenario == load("small")
    assert about["seed"] == "0"
    seen = replay(tmp_path / "run", scenario)
    assert seen.damage == []
    for key in ("rounds", "offers", "demands", "grants", "twins", "migrations_completed", "twin_error_m"):
        assert seen.summary[key] == pytest.approx(summary[key], rel=0.05), key
    tables = Tables(tmp_path / "run")
    assert {"interactions", "states", "odometry", "link_quality"} <= {entry.table for entry in tables}
    assert tables.unread == {}


def test_what_is_worked_out_ahead_is_what_each_instant_gives_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario, periods = load("default"), flights.Periods(clock=0.1, odometry=0.2, link=0.25)
    ahead = flights.Flights(scenario, periods, seed=1)
    together = [ahead.next() for _ in range(60)]
    monkeypatch.setattr(flights, "AHEAD", 0.1)
    alone = flights.Flights(scenario, periods, seed=1)
    for instant in together:
        other = alone.next()
        assert (instant.position == other.position).all()
        assert (instant.measured is None) == (other.measured is None)
        if instant.measured is not None and other.measured is not None:
            assert instant.measured.uavs == other.measured.uavs
            assert (instant.measured.efficiency == other.measured.efficiency).all()
    assert sum(instant.measured is not None for instant in together) > 20
