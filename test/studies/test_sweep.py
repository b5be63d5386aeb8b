"""Sweeps: what is run, that it goes on where it stopped, that failures are kept, and that it can be reproduced."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from uav_twin_migration.cli.main import main
from uav_twin_migration.errors import InputError
from uav_twin_migration.studies.sweep import results, workers
from uav_twin_migration.studies.sweep.points import Task, tasks
from uav_twin_migration.studies.sweep.results import band, iqm
from uav_twin_migration.studies.sweep.run import flat, run
from uav_twin_migration.studies.sweep.spec import Spec, spec_of

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLE = CHECKOUT / "examples" / "sweeps" / "prices.yaml"
UNDERCUT = CHECKOUT / "examples" / "plugins" / "pricing.py"


def spec(**keys: Any) -> Spec:
    return spec_of({"run": "solve", "scenario": "small", **keys}, "test.yaml")


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


# --- what is run ------------------------------------------------------------------------------------------------------


def test_a_grid_has_every_combination_and_a_list_goes_side_by_side() -> None:
    over = {"market.rho": [0.3, 0.5], "at": [0, 10]}
    assert len(spec(over=over, seeds=2).points) == 8
    assert [tuple(point.values()) for point in spec(over=over, design="list").points] == [(0.3, 0), (0.5, 10)]
    assert len(spec(over=over, design="list", seeds=3).points) == 6


def test_a_range_is_spaced_as_it_says() -> None:
    rho = {"from": 0.1, "to": 0.9, "count": 3}
    assert [point["market.rho"] for point in spec(over={"market.rho": rho}).points] == [0.1, 0.5, 0.9]
    cost = {"from": 1, "to": 100, "count": 3, "scale": "log", "whole": True}
    assert [point["at"] for point in spec(over={"at": cost}).points] == [1, 10, 100]


def test_a_latin_hypercube_has_every_part_of_every_axis_once() -> None:
    over = {"market.rho": {"from": 0.2, "to": 0.6}, "at": {"from": 1, "to": 1000, "scale": "log"}, "policy": ["a", "b"]}
    points = spec(over=over, design="latin", samples=8, seed=4).points
    assert points == spec(over=over, design="latin", samples=8, seed=4).points
    parts = sorted(int((point["market.rho"] - 0.2) / 0.05) for point in points)
    assert parts == list(range(8))
    assert sorted(int(np.log10(point["at"]) / 3 * 8) for point in points) == list(range(8))
    assert [point["policy"] for point in points].count("a") == 4


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"run": "fly"}, "run: got 'fly', expected one of solve"),
        ({"ovr": {}}, "did you mean 'over'"),
        ({}, "over: got None"),
        ({"over": {"at": []}}, "over.at: "),
        ({"over": {"at": {"from": 3, "to": 1, "count": 2}}}, "over.at.to: got 1"),
        ({"over": {"at": {"from": 0, "to": 1, "count": 2, "scale": "log"}}}, "above 0"),
        ({"over": {"at": {"from": 0, "to": 1}}}, "over.at.count"),
        ({"over": {"at": [1]}, "design": "star"}, "design"),
        ({"over": {"at": [1], "market.rho": [0.2, 0.3]}, "design": "list"}, "equal length"),
        ({"over": {"at": list(range(400)), "b": list(range(400))}}, "at most 100000"),
        ({"over": {"at": [1]}, "plots": [{"x": "b"}]}, "plots[0].x"),
        ({"over": {"at": [1]}, "measures": "x"}, "measures"),
        ({"over": {"at": [1]}, "seeds": 0}, "seeds"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_key(keys: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=re.escape(told)):
        spec_of({"run": "solve", **keys}, "test.yaml")


@pytest.mark.parametrize(
    ("axis", "value", "told"),
    [
        ("market.rhoo", 0.5, "did you mean 'market.rho'"),
        ("market.rho", 2.0, "market.rho: got 2.0"),
        ("rsus[].capacity", -1, "rsus[0].capacity: got -1"),
        ("rsus[nobody].capacity", 1, "the id or number of one of rsus"),
        ("uavs[0].utility", "own.py:Own", "a file that exists"),
    ],
)
def test_a_setting_that_is_none_is_refused_before_anything_runs(
    axis: str, value: Any, told: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=re.escape(told)):
        tasks(spec(over={axis: [value]}), tmp_path)


def test_an_option_that_is_none_is_refused_before_anything_runs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        tasks(spec(over={"att": [3]}), Path())
    assert stopped.value.code == 2
    assert "did you mean '--at'" in capsys.readouterr().err


def document(task: Task) -> dict[str, Any]:
    return dict(json.loads(task.files["scenario.json"]))


def test_settings_reach_the_scenario_of_their_point(tmp_path: Path) -> None:
    over = {"rsus[rsu_2].capacity": [7.0], "uavs[].twin_size": [90.0], "market.rho": [0.41], "rsus[0].range": [333]}
    (one,) = tasks(spec(over=over), tmp_path)
    made = document(one)
    assert made["rsus"][1]["capacity"] == 7.0
    assert made["rsus"][0]["range"] == 333.0
    assert {uav["twin_size"] for uav in made["uavs"]} == {90.0}
    assert made["market"]["rho"] == 0.41


def test_cities_are_made_up_of_a_size_and_a_seed(tmp_path: Path) -> None:
    made = tasks(spec(scenario={"rsus": 2}, over={"city.uavs": [3, 5]}, seeds=2), tmp_path)
    assert [len(document(one)["uavs"]) for one in made] == [3, 3, 5, 5]
    assert len({one.key for one in made}) == 4


def test_plugins_and_policies_go_with_the_run_by_their_content(tmp_path: Path) -> None:
    shutil.copy(UNDERCUT, tmp_path / "rules.py")
    (tmp_path / "p.safetensors").write_bytes(b"some")
    text = "rules.py:Undercut(margin=0.2)"
    (one,) = tasks(spec(over={"rsus[].pricing": [text]}), tmp_path)
    (two,) = tasks(spec_of({"run": "evaluate", "over": {"policy": ["p.safetensors"]}}, "x"), tmp_path)
    (name,) = [name for name in one.files if name.endswith(".py")]
    assert document(one)["rsus"][0]["pricing"] == f"{name}:Undercut(margin=0.2)"
    assert two.files[two.arguments[1]] == b"some"
    before = one.key
    (tmp_path / "rules.py").write_text(UNDERCUT.read_text() + "\n")
    assert tasks(spec(over={"rsus[].pricing": [text]}), tmp_path)[0].key != before


# --- how it goes ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_sweep_of_the_page_runs_goes_on_and_is_reproduced(tmp_path: Path) -> None:
    page = (CHECKOUT / "docs" / "sweeps.md").read_text(encoding="utf-8")
    block = page.partition("<!-- sweep -->")[2].partition("```yaml\n")[2].partition("```")[0]
    assert block == EXAMPLE.read_text(encoding="utf-8")
    first, again = tmp_path / "first", tmp_path / "again"
    assert main(["sweep", str(EXAMPLE), "-o", str(first), "--jobs", "2"]) == 0
    rows = table(first / "results.csv")
    assert len(rows) == 24
    assert {row["status"] for row in rows} == {"done"}
    summed = table(first / "summary.csv")
    assert [float(row["runs"]) for row in summed] == [3.0] * 8
    assert all(float(r["prices.mean.low"]) <= float(r["prices.mean"]) <= float(r["prices.mean.high"]) for r in summed)
    assert {path.suffix for path in first.glob("prices_mean_over*")} == {".png", ".pdf", ".svg"}
    manifest = json.loads((first / "manifest.json").read_text())
    assert manifest["seeds"] == [0, 1, 2]
    assert {one["status"] for one in manifest["runs"]} == {"done"}
    assert {"uav_twin_migration", "python", "numpy"} <= manifest["versions"].keys()

    times = {path: path.stat().st_mtime_ns for path in (first / "runs").glob("*.json")}
    times.pop(gone := min(times))
    gone.unlink()
    assert main(["sweep", str(EXAMPLE), "-o", str(first), "--json", str(tmp_path / "how.json")]) == 0
    assert {path: path.stat().st_mtime_ns for path in times} == times  # these were not done again
    assert gone.exists()
    how = json.loads((tmp_path / "how.json").read_text())
    assert {key: how[key] for key in ("runs", "done", "failed")} == {"runs": 24, "done": 24, "failed": 0}

    assert main(["sweep", str(first / "sweep.yaml"), "-o", str(again), "--jobs", "1"]) == 0
    for name in ("results.csv", "summary.csv", "prices_mean_over_market_rho_by_rsus_unit_cost.png"):
        assert (again / name).read_bytes() == (first / name).read_bytes(), name


@pytest.mark.slow
def test_a_run_that_fails_is_kept_and_named_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "import os, signal\n"
        "class Own:\n"
        "    def __init__(self, how): self.how = how\n"
        "    def worth(self, rate, alpha, required_rate):\n"
        "        if self.how == 'raise': raise ValueError('this idea does not work')\n"
        "        if self.how == 'die': os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return alpha * rate / (rate + required_rate)\n"
    )
    texts = [f"own.py:Own(how='{how}')" for how in ("fine", "raise", "die")]
    over = {"utility": texts, "at": [0, 5]}
    (tmp_path / "spec.yaml").write_text(
        json.dumps({"run": "solve", "scenario": {"rsus": 2, "uavs": 2}, "over": over, "name": "ideas"})
    )
    assert main(["sweep", str(tmp_path / "spec.yaml"), "-o", str(tmp_path / "out"), "--jobs", "2"]) == 1
    told = capsys.readouterr().out
    assert "6 runs, 4 failed" in told
    assert "this idea does not work" in told
    assert "its process was killed" in told
    rows = table(tmp_path / "out" / "results.csv")
    assert [row["status"] for row in rows] == ["done", "done", *["failed"] * 4]
    assert (tmp_path / "out" / "own.py").read_bytes() == own.read_bytes()


def test_what_a_sweep_keeps_of_a_run_is_read_back(tmp_path: Path) -> None:
    (task,) = tasks(spec(over={"market.rho": [0.5]}), tmp_path)
    (tmp_path / "runs").mkdir()
    outcome = run(task)
    assert outcome.code == 0, outcome.said
    kept = results.keep(tmp_path, task, outcome)
    assert results.kept(tmp_path, task) == kept
    assert kept.result["prices.mean"] > 0.0
    (tmp_path / "runs" / f"{task.key}.json").write_text("{}")
    assert results.kept(tmp_path, task) is None


def test_no_ray_and_no_cluster_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from uav_twin_migration.errors import UavTwinError

    def absent(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(workers, "import_module", absent)
    with pytest.raises(UavTwinError, match="Python library ray, which is not installed"):
        list(workers.on_ray([], "auto"))


@pytest.mark.slow
def test_two_ray_nodes_do_the_same_as_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    wanted = tasks(spec(over={"market.rho": [0.4, 0.5, 0.6]}), tmp_path)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        found = {task.key: outcome.result for task, outcome in workers.on_ray(wanted, cluster.address)}
    finally:
        cluster.shutdown()
    assert found == {one.key: run(one).result for one in wanted}


# --- what it comes to -------------------------------------------------------------------------------------------------


def test_the_interquartile_mean_is_scipy_s_trimmed_one() -> None:
    stats = pytest.importorskip("scipy.stats")
    for count in range(1, 30):
        values = np.random.default_rng(count).normal(size=count)
        assert iqm(values) == pytest.approx(float(stats.trim_mean(values, 0.25)))


def test_a_band_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    bands = [band(random.normal(1.0, 1.0, 20).tolist(), seed) for seed in range(200)]
    assert 0.85 < np.mean([one.low <= 1.0 <= one.high for one in bands]) < 0.99
    assert band([1.0, 2.0, float("nan")]).runs == 2
    assert band([]).runs == 0


def test_numbers_of_a_result_get_dotted_names() -> None:
    told = {"a": {"b": 1, "c": None}, "d": [1.0, 3.0], "e": "x", "f": True, "g": [[1.0]], "h": []}
    assert dict(flat(told)) == {"a.b": 1.0, "d.mean": 2.0, "d.sum": 4.0, "f": 1.0}
