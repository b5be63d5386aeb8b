"""`uavtwin train` and `uavtwin evaluate` as a user calls them, and the policy that ships."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from test.policy.test_artifact import make_policy
from uav_twin_migration.cli.main import BAD_INPUT, DONE, main
from uav_twin_migration.learning import choices
from uav_twin_migration.learning.games import GAMES
from uav_twin_migration.policy import artifact, observation
from uav_twin_migration.shipped import shipped_file

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "plugins"
MARKETS: list[dict[str, Any]] = [
    {
        "alpha": [10.0, 15.0, 12.0],
        "required_rate": [2.0, 3.0, 2.5],
        "efficiency": [[3.0, 2.0], [1.0, 4.0], [2.0, 0.0]],
        "unit_cost": [1.0, 2.0],
        "capacity": None,
        "price_cap": 20.0,
        "rho": 0.6,
    },
    {
        "alpha": [10.0],
        "required_rate": [2.0],
        "efficiency": [[3.0]],
        "unit_cost": [1.0],
        "capacity": [30.0],
        "price_cap": 20.0,
        "rho": 0.5,
    },
]


def shipped() -> Path:
    path = shipped_file("config/policies/default.safetensors")
    assert path is not None
    return path


def evaluate(tmp_path: Path, *arguments: str) -> Any:
    result = tmp_path / "result.json"
    assert main(["evaluate", *arguments, "--json", str(result)]) == DONE
    return json.loads(result.read_text())


def test_the_options_name_what_there_is() -> None:
    assert set(choices.GAMES) == set(GAMES)
    pytest.importorskip("torch", reason="needs the learning requirements")
    from uav_twin_migration.cli.train_simulated import METHODS

    assert set(choices.METHODS) == set(METHODS)


def test_the_shipped_policy_is_small_and_good(tmp_path: Path) -> None:
    policy = artifact.load(shipped())
    assert policy.actor.sizes[1:-1] == (24, 24)
    assert shipped().stat().st_size <= 9000
    assert set(policy.ranges) == set(observation.NAMES)
    found = evaluate(tmp_path, str(shipped()))
    assert found["exploitability"]["mean"] < 0.02
    assert found["parameters"] == policy.actor.parameters


def test_given_markets(tmp_path: Path) -> None:
    file = tmp_path / "markets.json"
    file.write_text(json.dumps(MARKETS))
    found = evaluate(tmp_path, str(shipped()), "--markets", str(file))
    assert [len(prices) for prices in found["prices"]] == [2, 1]
    assert found["exploitability"]["mean"] < 0.1
    assert 0.0 < found["price_gap"]["median"] < 0.5
    again = evaluate(tmp_path, str(shipped()), "--markets", str(file), "--rounds", "40", "--seed", "5")
    assert np.allclose(np.concatenate(again["prices"]), np.concatenate(found["prices"]), rtol=0.05)  # it settles


def test_a_policy_that_knows_nothing_is_told_from_one_that_does(tmp_path: Path) -> None:
    artifact.save(make_policy(), tmp_path / "policy")
    assert evaluate(tmp_path, str(tmp_path / "policy"))["exploitability"]["mean"] > 0.1


def test_evaluate_knows_policies_by_the_names_that_sim_takes(tmp_path: Path) -> None:
    assert evaluate(tmp_path, "default", "--rounds", "2") == evaluate(tmp_path, str(shipped()), "--rounds", "2")
    assert evaluate(tmp_path, "none", "--rounds", "2")["exploitability"]["mean"] > 0.0


def test_evaluate_needs_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from uav_twin_migration.cli.main import main\n"
        f"sys.exit(main(['evaluate', {str(shipped())!r}, '--rounds', '2']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == DONE, done.stderr
    assert "exploitability" in done.stdout


def test_games_of_any_ranges(tmp_path: Path) -> None:
    inside = evaluate(tmp_path, str(shipped()), "--games", "wide", "--rounds", "3")
    assert inside["by_the_rule"] < 0.01
    beyond = evaluate(tmp_path, str(shipped()), "--ranges", "rho=0.95", "rsus=2", "uavs=5", "--rounds", "6")
    assert beyond["by_the_rule"] == 1.0
    assert beyond["exploitability"]["mean"] < 0.5


@pytest.mark.parametrize(
    "wrong", [["missing"], ["--rounds", "0"], ["--seed", "-1"], ["--markets", "missing"], ["--ranges", "rho"]]
)
def test_bad_input_to_evaluate(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = wrong if wrong == ["missing"] else [str(shipped()), *wrong]
    assert main(["evaluate", *arguments]) == BAD_INPUT
    assert len(capsys.readouterr().err.splitlines()) == 1


class TestTrain:
    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A budget of which little is needed: the CPU time that training takes must not matter here."""
        pytest.importorskip("torch", reason="needs the learning requirements")
        from uav_twin_migration.cli import train_simulated

        monkeypatch.setattr(
            train_simulated, "ITERATIONS_PER_SECOND", dict.fromkeys(train_simulated.ITERATIONS_PER_SECOND, 0.1)
        )
        monkeypatch.setattr(train_simulated, "DISTILLATIONS_PER_SECOND", 0.1)

    @staticmethod
    def train(folder: Path, *arguments: str) -> Any:
        result = folder / "result.json"
        code = main(["train", "-o", str(folder / "policy"), "--json", str(result), *arguments])
        return json.loads(result.read_text()) if code == DONE else code

    def test_it_trains_prunes_and_writes(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        pytest.importorskip("tensorboard")
        board = tmp_path / "board"
        options = ("--seed", "2", "--budget-s", "200", "--prune", "0.9", "--tensorboard", str(board))
        told = self.train(tmp_path, *options, "--method", "mappo", "--ranges", "uavs=4:8")
        assert list(board.glob("events.*"))
        assert told["neurons_removed"] > 0.9
        assert 0.0 < told["exploitability"] < 0.5
        assert [point["iteration"] for point in told["curve"]] == sorted({p["iteration"] for p in told["curve"]})
        assert told["games"] > 0
        assert told["cpu_s"] > 0.0
        policy = artifact.load(tmp_path / "policy")
        assert policy.actor.parameters == told["parameters"]
        assert policy.training["options"]["seed"] == 2
        assert "exploitability" in capsys.readouterr().out

    def test_utility_and_radio_model_are_plug_ins(self, tmp_path: Path) -> None:
        plugins = ("--utility", f"{EXAMPLES}/utility.py:Saturating", "--radio", f"{EXAMPLES}/radio.py:Rain")
        options = ("--budget-s", "60", "--prune", "0.5", "--method", "mappo", "--ranges", "uavs=4:6")
        assert 0.0 < self.train(tmp_path, *options, *plugins)["exploitability"] < 1.0
        training = artifact.load(tmp_path / "policy").training
        assert [training["options"][name] for name in ("utility", "radio")] == [plugins[1], plugins[3]]
        assert training["drawn_from"][0]["radio"]["model"] == plugins[3]
        assert self.train(tmp_path, "--budget-s", "60", "--radio", "nowhere.py:Own") == BAD_INPUT

    def test_the_same_options_give_the_same_file(self, tmp_path: Path) -> None:
        files = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            self.train(tmp_path / name, "--budget-s", "60", "--prune", "0.5", "--games", "standard")
            files.append((tmp_path / name / "policy").read_bytes())
        assert files[0] == files[1]

    def test_a_teacher_and_a_checkpoint(self, tmp_path: Path) -> None:
        pytest.importorskip("torch", minversion="2.4", reason="older ones read no checkpoint")
        checkpoint = tmp_path / "checkpoint"
        options = ("--budget-s", "60", "--prune", "0.9", "--teacher", str(shipped()))
        self.train(tmp_path, *options, "--checkpoint", str(checkpoint))
        first = (tmp_path / "policy").read_bytes()
        told = self.train(tmp_path, "--resume", str(checkpoint))  # has nothing left to do but the last step
        assert (tmp_path / "policy").read_bytes() == first
        assert told["neurons_removed"] > 0.9
        assert self.train(tmp_path, "--resume", str(checkpoint), "--seed", "9") == BAD_INPUT

    def test_an_interrupted_run_goes_on_as_if_it_had_not_been(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("torch", minversion="2.4", reason="older ones read no checkpoint")
        from uav_twin_migration.cli import train_simulated
        from uav_twin_migration.learning.training import measure

        checkpoint = tmp_path / "checkpoint"
        options = ("--budget-s", "60", "--prune", "0.9", "--seed", "4")
        self.train(tmp_path, *options)
        whole = (tmp_path / "policy").read_bytes()
        calls: list[int] = []

        def interrupted(trainer: Any, games: Any) -> Any:
            calls.append(trainer.iteration)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return measure(trainer, games)

        monkeypatch.setattr(train_simulated, "measure", interrupted)
        assert self.train(tmp_path, *options, "--checkpoint", str(checkpoint)) == 130
        monkeypatch.setattr(train_simulated, "measure", measure)
        (tmp_path / "policy").unlink()
        self.train(tmp_path, "--resume", str(checkpoint))
        assert (tmp_path / "policy").read_bytes() == whole

    def test_a_spent_budget_ends_the_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from uav_twin_migration.cli import train_simulated

        monkeypatch.setattr(
            train_simulated, "ITERATIONS_PER_SECOND", dict.fromkeys(train_simulated.ITERATIONS_PER_SECOND, 1e6)
        )
        told = self.train(tmp_path, "--budget-s", "0.2", "--prune", "0.9")
        assert told["cut_short"]
        assert told["neurons_removed"] > 0.9

    @pytest.mark.parametrize(
        "wrong",
        [
            ["--budget-s", "0"],
            ["--prune", "1"],
            ["--prune", "nan"],
            ["--seed", "-1"],
            ["--teacher", "missing"],
            ["--ranges", "weather=1:2"],
            ["--ranges", "rho=0.9:0.2"],
            ["--hidden", "0"],
            ["--resume", "missing"],
            ["--resume", __file__],
            ["-o", "missing/policy"],
        ],
    )
    def test_bad_input(self, wrong: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["train", "-o", str(tmp_path / "policy"), *wrong]) == BAD_INPUT
        assert len(capsys.readouterr().err.splitlines()) == 1
        assert not list(tmp_path.iterdir())
