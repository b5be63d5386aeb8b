"""The environments for other libraries pass those libraries' own tests, and refuse nonsense."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pettingzoo", reason="needs the learning requirements")

import gymnasium
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import parallel_api_test, parallel_seed_test

from uav_twin_migration.errors import InputError
from uav_twin_migration.learning.games import MIXED
from uav_twin_migration.learning.parallel_env import MarketParallelEnv, parallel_env
from uav_twin_migration.learning.vector_env import ID, MarketEnv, MarketVectorEnv, register

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.filterwarnings("ignore")
def test_pettingzoo() -> None:
    parallel_api_test(parallel_env(rounds=5), num_cycles=60)
    parallel_api_test(MarketParallelEnv(MIXED, rsus=7, uavs=5, rounds=3, random_start=True), num_cycles=20)
    parallel_seed_test(lambda: MarketParallelEnv(rounds=4), num_cycles=40)


@pytest.mark.filterwarnings("ignore")
def test_gymnasium() -> None:
    register()
    register()
    check_env(gymnasium.make(ID).unwrapped, skip_render_check=True)
    many = gymnasium.make_vec(ID, num_envs=8, vectorization_mode="vector_entry_point", rounds=3)
    seen, _ = many.reset(seed=4)
    assert many.observation_space.contains(seen)
    again, _ = many.reset(seed=4)
    np.testing.assert_array_equal(seen, again)
    truncated = [many.step(many.action_space.sample())[3].all() for _ in range(7)]
    assert truncated == [False, False, True, False, False, False, True]  # a step between two games deals


def test_the_vectorised_games_are_the_games() -> None:
    """All RSUs of all games ask the same; what they earn is what their observations' rounds tell next."""
    many = MarketVectorEnv(num_envs=12, rounds=4)
    many.reset(seed=3)
    _, reward, ended, _, told = many.step(np.full((12, 1), -1.0))
    assert reward.shape == (12,)
    assert not ended.any()
    assert ((reward > 0.0) == (told["profit"] > 0.0)).all()


def test_reward_is_profit_per_uav() -> None:
    env = MarketParallelEnv(rounds=6)
    env.reset(seed=3)
    while env.agents:
        _, reward, _, _, info = env.step({agent: np.array([-1.0]) for agent in env.agents})
        assert all((reward[agent] > 0.0) == (info[agent]["profit"] > 0.0) for agent in reward)
        assert all(0.0 <= value < 1.6 for value in reward.values())  # nobody earns more than UAVs can spend
    assert env.state().shape == env.state_space.shape


@pytest.mark.parametrize(
    "wrong",
    [{"rsus": 0}, {"uavs": -1}, {"rounds": 0}, {"rsus": 1.5}, {"rsus": True}, {"distribution": MIXED}],
)
@pytest.mark.parametrize("make", [parallel_env, MarketVectorEnv, MarketEnv])
def test_sizes_that_are_none_are_refused(make: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        make(**wrong)


def test_actions_that_are_none_are_refused() -> None:
    one, many = MarketParallelEnv(), MarketVectorEnv(8)
    for early in (lambda: one.step({}), one.state, lambda: many.step(np.zeros(8))):
        with pytest.raises(InputError, match="reset"):
            early()
    one.reset(seed=0)
    many.reset(seed=0)
    good = dict.fromkeys(one.agents, 0.0)
    for bad in ({}, {**good, "rsu_1": np.nan}, {**good, "rsu_1": [1.0, 2.0]}, {**good, "rsu_1": np.inf}):
        with pytest.raises(InputError):
            one.step(bad)
    for worse in (np.full(8, np.nan), np.zeros(7)):
        with pytest.raises(InputError):
            many.step(worse)
    with pytest.raises(InputError, match="multiple of 4"):
        MarketVectorEnv(9)


@pytest.mark.filterwarnings("ignore")
def test_the_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("stable_baselines3")
    file = EXAMPLES / "train_with_another_library.py"
    monkeypatch.setattr(sys, "argv", [str(file), "512"])
    runpy.run_path(str(file), run_name="__main__")
    assert "credit/MHz" in capsys.readouterr().out
