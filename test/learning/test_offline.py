"""Learning from interactions alone."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the learning requirements")

import torch
from hypothesis import given
from hypothesis import strategies as st

from uav_twin_migration.cli.main import main
from uav_twin_migration.errors import InputError
from uav_twin_migration.game.followers import respond
from uav_twin_migration.game.market import Market
from uav_twin_migration.learning import recordings
from uav_twin_migration.learning.evaluation import ActorPlayer, Games, score
from uav_twin_migration.learning.games import GameDistribution
from uav_twin_migration.learning.interactions import Interactions, flaw
from uav_twin_migration.learning.offline import OfflineSettings, OfflineTrainer, train_from_recordings
from uav_twin_migration.learning.pruning import PruningSettings
from uav_twin_migration.learning.sales import Rounds, SalesModel, rounds_of
from uav_twin_migration.learning.simulated import collect
from uav_twin_migration.policy import observation
from uav_twin_migration.policy.artifact import load, to_bytes
from uav_twin_migration.policy.choice import choose, untrained

SHORT = OfflineSettings(model_steps=500, policy_steps=400, hidden=(32, 32))


@pytest.fixture(scope="module")
def recorded() -> Interactions:
    """Of an untrained policy."""
    return collect(ActorPlayer(untrained().actor), 6000, 0.5, GameDistribution(), np.random.default_rng(3))


def message(**different: Any) -> SimpleNamespace:
    """An interaction with nothing wrong but what is given."""
    fields = {
        "observation_schema": observation.SCHEMA,
        "observation": np.zeros(observation.SIZE, dtype=np.float32),
        "action": 0.0,
        "log_probability": float("nan"),
        "price": 2.0,
        "unit_cost": 1.0,
        "price_cap": 20.0,
        "capacity": 10.0,
        "demanded": 3.0,
        "uavs_in_range": 4,
        "policy_version": 0,
    }
    return SimpleNamespace(**{**fields, **different})


@given(seed=st.integers(0, 10**6))
def test_the_sales_model_is_the_followers_best_response(seed: int) -> None:
    """With the right (z, alpha, d) of a single UAV, revenue is the game's at any price."""
    random = np.random.default_rng(seed)
    rsus, rho = int(random.integers(2, 6)), float(random.uniform(0.3, 0.8))
    sigma = 1.0 / (1.0 - rho)
    efficiency, prices = random.uniform(1.0, 6.0, rsus), random.uniform(0.5, 8.0, rsus)
    alpha, rate = float(random.uniform(8.0, 20.0)), float(random.uniform(0.5, 2.0))
    market = Market(
        alpha=np.array([alpha]),
        required_rate=np.array([rate]),
        efficiency=efficiency[None],
        unit_cost=np.full(rsus, 0.4),
        capacity=np.full(rsus, np.inf),
        price_cap=np.full(rsus, 20.0),
        rho=np.asarray(rho),
    )
    attraction = efficiency / efficiency.sum() * efficiency ** (sigma - 1.0)
    rivals = (attraction * prices ** (1.0 - sigma))[1:].sum() / attraction[0]
    who = np.log([rivals ** (1.0 / (1.0 - sigma)), alpha, rate * attraction[0] ** (1.0 / (1.0 - sigma))])
    asked = np.linspace(0.5, 8.0, 12)
    posted = np.tile(prices, (len(asked), 1))
    posted[:, 0] = asked
    sold = np.array([respond(market, p).bandwidth[0, 0] for p in posted])
    nothing = torch.zeros(1)
    rounds = Rounds(nothing[None], nothing, nothing, torch.tensor([sigma - 1.0]), *[nothing] * 3)
    told = SalesModel(1, (4,)).revenue(
        torch.tensor(who, dtype=torch.float32).reshape(1, 3, 1), rounds, torch.log(torch.tensor(asked)).float()[None]
    )
    assert told[0].detach().numpy() == pytest.approx(asked * sold, rel=0.02, abs=0.2)  # the model's max is a smooth one


def test_what_is_learned_from_has_no_units(recorded: Interactions) -> None:
    credit, mhz = 37.0, 0.02
    factors = {"price": credit / mhz, "unit_cost": credit / mhz, "price_cap": credit / mhz}
    factors |= {"capacity": mhz, "demanded": mhz}
    columns = {name: column * factors.get(name, 1.0) for name, column in vars(recorded).items()}
    elsewhere = rounds_of(Interactions(**{**columns, "observation": recorded.observation}))
    for here, there in zip(rounds_of(recorded), elsewhere, strict=True):
        torch.testing.assert_close(there, here, rtol=1e-5, atol=1e-5)


def test_what_an_observation_says_is_recalled() -> None:
    rivals = np.array([[2.0, 2.0, 2.0], [np.nan, np.nan, np.nan]])
    columns = [*(np.full(2, value) for value in (3.0, 5.0, 4.0, 10.0, 4.0, 0.3, 6.0)), 6.0 * rivals, rivals]
    rounds = observation.encode_round(observation.RoundRecord._make(columns), 1.5, 20.0, 0.6)
    situation = observation.encode_situation(np.full(2, 1.5), 20.0, 0.6, 3)
    recalled = observation.recall(observation.assemble(situation, rounds[:, None]))
    assert recalled.rho == pytest.approx([0.6, 0.6], rel=1e-5)
    assert recalled.rivals[0] == pytest.approx(np.log(2.0 / 1.5), rel=1e-5)
    assert np.isnan(recalled.rivals[1])
    assert recalled.revenue == pytest.approx(np.log(3.0 * 5.0 / 4.0 / (10.0 * 1.5)), abs=1e-5)
    nothing = observation.recall(observation.assemble(situation, rounds[:, None][:, :0]))
    assert np.isnan([nothing.rivals, nothing.revenue]).all()


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"observation_schema": "another/1"}, "schema"),
        ({"observation": np.zeros(3)}, "shape"),
        ({"observation": np.full(observation.SIZE, np.nan)}, "not_finite"),
        ({"observation": np.full(observation.SIZE, 1e9)}, "absurd"),
        ({"demanded": float("inf")}, "not_finite"),
        ({"demanded": -1.0}, "absurd"),
        ({"price": 0.5}, "absurd"),
        ({"price": 21.0}, "absurd"),
        ({"unit_cost": 0.0}, "absurd"),
        ({"capacity": 0.0}, "absurd"),
        ({"uavs_in_range": 0}, "nobody_there"),
    ],
)
def test_what_makes_no_sense_is_not_learned_from(wrong: dict[str, Any], reason: str) -> None:
    assert flaw(message()) is None
    refused: Counter[str] = Counter()
    kept = Interactions.from_messages([message(), message(**wrong), message()], refused)
    assert len(kept) == 2
    assert refused == {reason: 1}


def test_a_policy_is_learned_from_what_an_untrained_one_did(recorded: Interactions) -> None:
    games = Games.draw(GameDistribution(), 32)
    before = score(games, ActorPlayer(untrained().actor)).mean
    after = score(games, ActorPlayer(train_from_recordings(recorded, SHORT).actor)).mean
    assert before > 0.06
    assert after < 0.03


def test_the_same_interactions_give_the_same_policy(recorded: Interactions) -> None:
    few = OfflineSettings(model_steps=30, policy_steps=30, hidden=(16, 16), seed=5)
    first, second = (to_bytes(train_from_recordings(recorded, few)) for _ in range(2))
    assert first == second


def test_neurons_go_while_it_learns(recorded: Interactions) -> None:
    settings = OfflineSettings(
        model_steps=20, policy_steps=60, hidden=(20, 20), pruning=PruningSettings(0.75, every=10)
    )
    trainer = OfflineTrainer(recorded, settings)
    trainer.run()
    assert trainer.average.hidden == (5, 5)
    assert trainer.policy(4).version == 4


def test_the_model_learns_what_is_sold(recorded: Interactions) -> None:
    trainer = OfflineTrainer(recorded, SHORT)
    before = trainer.model_error()
    for trainer.step in range(SHORT.model_steps):
        trainer.fit()
    assert trainer.model_error() < 0.5 * before
    assert rounds_of(recorded).revenue.shape == (len(recorded),)


def test_a_policy_that_is_good_already_is_kept_unless_it_is_beaten(recorded: Interactions) -> None:
    few = OfflineSettings(model_steps=200, policy_steps=1)  # learns nothing
    good = choose("default")
    assert good is not None
    trainer = OfflineTrainer(recorded, few, start=replace(good, ranges={}))
    trainer.run()
    assert not trainer.fits
    assert not trainer.better
    assert trainer.policy(9).version == 9
    assert to_bytes(trainer.policy(good.version)).count(b"kept") == 1
    for (kept, _), (weight, _) in zip(trainer.policy().actor.layers, good.actor.layers, strict=True):
        np.testing.assert_array_equal(kept, weight)
    bad = OfflineTrainer(recorded, SHORT, start=untrained())
    bad.run()
    assert bad.better
    assert bad.gain()[0] > 0.01


def test_a_policy_stays_where_it_was_trained_for_what_was_recorded(recorded: Interactions) -> None:
    shipped = choose("default")
    assert shipped is not None
    inside = OfflineTrainer(recorded, SHORT, start=shipped)
    assert inside.beyond < 0.01
    assert inside.fits
    assert inside.policy().actor is shipped.actor
    name = next(iter(shipped.ranges))
    lowest = float(inside.rounds.seen[:, observation.NAMES.index(name)].min())
    narrow = {**shipped.ranges, name: (lowest - 2.0, lowest - 1.0)}
    outside = OfflineTrainer(recorded, SHORT, start=replace(shipped, ranges=narrow))
    assert outside.beyond == 1.0
    assert not outside.fits


def test_too_few_interactions_are_refused(recorded: Interactions) -> None:
    with pytest.raises(InputError, match="at least"):
        OfflineTrainer(recorded[slice(50)], SHORT)


# -- recordings ------------------------------------------------------------------------------------------------------


def test_interactions_survive_a_recording(recorded: Interactions, tmp_path: Path) -> None:
    pytest.importorskip("rosbags")
    some = recorded[slice(200)]
    recordings.write(tmp_path / "bag", some)
    again = recordings.read([tmp_path / "bag"])
    for name, column in vars(some).items():
        np.testing.assert_array_equal(getattr(again, name), column)


def test_a_damaged_recording_is_learned_from_with_a_word(recorded: Interactions, tmp_path: Path) -> None:
    pytest.importorskip("rosbags")
    recordings.write(tmp_path / "bag", recorded)
    (file,) = (tmp_path / "bag").glob("*.mcap")
    file.write_bytes(file.read_bytes()[:-5000])
    said: list[str] = []
    read = recordings.read([tmp_path / "bag"], said.append)
    assert 0 < len(read) <= len(recorded)
    assert len(said) == 1
    assert "cut off" in said[0]


def test_the_command_trains_from_recordings_and_refuses_others(
    recorded: Interactions, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rosbags")
    recordings.write(tmp_path / "one", recorded[slice(3000)])
    recordings.write(tmp_path / "two", recorded[slice(3000, 6000)])
    policy = tmp_path / "policy.safetensors"
    bags = [str(tmp_path / name) for name in ("one", "two")]
    options = ["--budget-s", "1", "--prune", "0.9", "--seed", "2", "-o", str(policy), "--json", "-"]
    assert main(["train", "--from-bag", *bags, *options]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["interactions"] == 6000
    assert told["neurons_removed"] == pytest.approx(0.9, abs=0.02)
    assert {"cpu_s", "games", "curve", "exploitability", "parameters"} <= told.keys()
    assert load(policy).actor.parameters == told["parameters"]
    monkeypatch.setattr(observation, "SCHEMA", "uav-twin-price/99")
    assert main(["train", "--from-bag", *bags, *options]) == 2
    assert "uav-twin-price/99" in capsys.readouterr().err
