"""The PettingZoo environment passes PettingZoo's own tests."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pettingzoo", reason="needs the learning requirements")

from pettingzoo.test import parallel_api_test, parallel_seed_test

from uav_twin_migration.learning.games import MIXED
from uav_twin_migration.learning.parallel_env import MarketParallelEnv


@pytest.mark.filterwarnings("ignore")
def test_api() -> None:
    parallel_api_test(MarketParallelEnv(rounds=5), num_cycles=60)
    parallel_api_test(MarketParallelEnv(MIXED, rsus=7, uavs=5, rounds=3, random_start=True), num_cycles=20)


def test_seed() -> None:
    parallel_seed_test(lambda: MarketParallelEnv(rounds=4), num_cycles=40)


def test_reward_is_profit_per_uav() -> None:
    env = MarketParallelEnv(rounds=6)
    env.reset(seed=3)
    while env.agents:
        _, reward, _, _, info = env.step({agent: np.array([-1.0]) for agent in env.agents})
        assert all((reward[agent] > 0.0) == (info[agent]["profit"] > 0.0) for agent in reward)
        assert all(0.0 <= value < 1.6 for value in reward.values())  # nobody earns more than UAVs can spend
    assert env.state().shape == env.state_space.shape
