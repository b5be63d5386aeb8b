"""Well-known libraries on the same market: Stable-Baselines3 (PPO, DDPG) and TorchRL (MAPPO), as baselines.

All share one policy among all RSUs and are told gamma = 0, which this market needs, unless told otherwise. They get the
batched environment, which costs a fraction of one game at a time, unless the latter is asked for, and with it the
reward of our own methods: profit over about the most that could be earned. Their networks are as large as ours. A
centralised critic gets what our MAPPO's gets (`environment.Judgement`); those of Stable-Baselines3 see what its actors
see.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces

from uav_twin_migration.game.market import FloatArray
from uav_twin_migration.learning.environment import STATE_SIZE, MarketEnvironment, judge
from uav_twin_migration.learning.evaluation import Player, random_start
from uav_twin_migration.learning.games import GameDistribution, draw_games, draw_size
from uav_twin_migration.learning.parallel_env import LARGEST_ACTION, MarketParallelEnv
from uav_twin_migration.policy import observation
from uav_twin_migration.policy.actor import price_of

# Told how to price, and the CPU time spent so far without evaluations; returns whether to go on.
Report = Callable[[Player, float], bool]


@dataclass(frozen=True)
class Trial:
    """A baseline's settings; those it does not know are left alone."""

    games: int = 16
    rounds: int = 16
    learning_rate: float = 1e-3
    epochs: int = 4
    minibatch: int = 512
    clip: float = 0.4
    exploration: float = 0.3  # initial standard deviation of the action
    hidden: tuple[int, ...] = (128, 128)
    critic_hidden: tuple[int, ...] = (64, 64)
    gamma: float = 0.0  # how much the next round counts
    one_by_one: bool = False  # games as PettingZoo's ParallelEnv each, instead of all in one batch
    more: dict[str, Any] = field(default_factory=dict)


class _Stepped(NamedTuple):
    """A round of G games."""

    seen: observation.Observation  # [G, M, observation.SIZE], after it
    reward: FloatArray  # [G, M]
    state: FloatArray  # [G, M, STATE_SIZE] that a centralised critic may know of it
    over: bool  # whether it was the last one


class _Batch:
    """Games that are dealt anew when they are over; the first prices are random in half of them."""

    def __init__(self, distribution: GameDistribution, games: int, rounds: int, seed: int) -> None:
        self.distribution, self.games, self.rounds = distribution, games, rounds
        self.random = np.random.default_rng(seed)
        self.deal()

    def deal(self) -> observation.Observation:
        """New games; what their RSUs see."""
        rsus, uavs = draw_size(self.distribution, self.random)
        drawn = draw_games(self.distribution, self.random, self.games, rsus, uavs, self.rounds + 1)
        self.market = MarketEnvironment(drawn)
        if self.random.random() < 0.5:
            self.market.step(random_start(drawn, self.random))
        self.left = self.rounds
        return self.market.observe()

    def step(self, action: FloatArray) -> _Stepped:
        """Actions [G, M]."""
        outcome = self.market.step(price_of(action, self.market.unit_cost, self.market.price_cap))
        judgement = judge(outcome.market, outcome.prices)
        self.left -= 1
        reward = outcome.profit / judgement.reference
        return _Stepped(self.market.observe(), reward, judgement.state, self.left == 0)


class _Separate:
    """The same, each game a `MarketParallelEnv` of its own, with its reward, profit in units of what UAVs spend: what a
    library gets that knows nothing of batches."""

    def __init__(self, distribution: GameDistribution, games: int, rounds: int, seed: int) -> None:
        self.games, self.rounds = games, rounds
        seeds = np.random.SeedSequence(seed).generate_state(games)
        self.markets = [
            MarketParallelEnv(distribution, rounds=rounds, random_start=g % 2 == 0, seed=int(s))
            for g, s in enumerate(seeds)
        ]
        self.deal()

    def deal(self) -> observation.Observation:
        """New games; what their RSUs see."""
        self.left = self.rounds
        return np.stack([self._rows(market.reset()[0]) for market in self.markets])

    def step(self, action: FloatArray) -> _Stepped:
        """Actions [G, M]."""
        told = [
            market.step(dict(zip(market.agents, row[:, None], strict=True)))
            for market, row in zip(self.markets, action, strict=True)
        ]
        self.left -= 1
        seen = np.stack([self._rows(each[0]) for each in told])
        reward = np.array([list(each[1].values()) for each in told])
        return _Stepped(seen, reward, np.zeros((*reward.shape, STATE_SIZE)), self.left == 0)

    @staticmethod
    def _rows(told: dict[str, observation.Observation]) -> observation.Observation:
        return np.stack(list(told.values()))


def _games(distribution: GameDistribution, trial: Trial, seed: int) -> _Batch | _Separate:
    kind = _Separate if trial.one_by_one else _Batch
    return kind(distribution, trial.games, trial.rounds, seed)


def _player(act: Callable[[observation.Observation], FloatArray]) -> Player:
    def price(environment: MarketEnvironment, last: object) -> FloatArray:
        action = np.asarray(act(environment.observe()), dtype=np.float64)
        return price_of(action, environment.unit_cost, environment.price_cap)

    return price


def stable_baselines3(
    algorithm: str, distribution: GameDistribution, trial: Trial, seed: int, report: Report, every: int = 10
) -> None:
    """Train "PPO" or "DDPG" of Stable-Baselines3 until `report`, called every so many batches, says no."""
    import stable_baselines3
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.noise import NormalActionNoise, VectorizedActionNoise
    from stable_baselines3.common.vec_env import VecEnv

    class Env(VecEnv):
        """Every RSU of every game is an environment of its own to the library: parameters are shared."""

        def __init__(self) -> None:
            self.batch = _games(distribution, trial, seed)
            limit = np.full(observation.SIZE, np.inf, dtype=np.float32)
            action = spaces.Box(-LARGEST_ACTION, LARGEST_ACTION, (1,), np.float32)
            super().__init__(trial.games * distribution.rsus[0], spaces.Box(-limit, limit), action)
            self.render_mode = None

        def reset(self) -> Any:
            return self.batch.deal().reshape(self.num_envs, -1)

        def step_async(self, actions: Any) -> None:
            self.actions = actions

        def step_wait(self) -> Any:
            seen, reward, _, over = self.batch.step(self.actions.reshape(trial.games, -1).astype(np.float64))
            last = seen.reshape(self.num_envs, -1)
            infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
            if over:
                infos = [{"terminal_observation": row, "TimeLimit.truncated": True} for row in last]
                last = self.batch.deal().reshape(self.num_envs, -1)
            return last, reward.ravel().astype(np.float32), np.full(self.num_envs, over), infos

        def close(self) -> None:
            pass

        def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
            return [getattr(self, attr_name)] * self.num_envs

        def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
            setattr(self, attr_name, value)

        def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
            return []

        def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
            return [False] * self.num_envs

    env = Env()
    model: stable_baselines3.PPO | stable_baselines3.DDPG
    policy = {"net_arch": {"pi": list(trial.hidden), "vf": list(trial.critic_hidden)}, "activation_fn": torch.nn.ReLU}
    if algorithm == "PPO":
        model = stable_baselines3.PPO(
            "MlpPolicy",
            env,
            learning_rate=trial.learning_rate,
            n_steps=trial.rounds,
            batch_size=trial.minibatch,
            n_epochs=trial.epochs,
            gamma=trial.gamma,
            clip_range=trial.clip,
            policy_kwargs=policy | {"log_std_init": float(np.log(trial.exploration))},
            seed=seed,
            device="cpu",
            **trial.more,
        )
    else:
        noise = NormalActionNoise(np.zeros(1), np.full(1, trial.exploration))
        model = stable_baselines3.DDPG(
            "MlpPolicy",
            env,
            learning_rate=trial.learning_rate,
            batch_size=trial.minibatch,
            gamma=trial.gamma,
            train_freq=(1, "step"),
            gradient_steps=trial.epochs,
            learning_starts=trial.games * distribution.rsus[0] * trial.rounds,
            action_noise=VectorizedActionNoise(noise, env.num_envs),
            policy_kwargs={
                "net_arch": {"pi": list(trial.hidden), "qf": list(trial.hidden)},
                "activation_fn": torch.nn.ReLU,
            },
            seed=seed,
            device="cpu",
            **trial.more,
        )

    def act(seen: observation.Observation) -> FloatArray:
        action, _ = model.predict(seen.reshape(-1, seen.shape[-1]), deterministic=True)
        return np.asarray(action).reshape(seen.shape[:-1])

    class Callback(BaseCallback):
        def __init__(self) -> None:
            super().__init__()
            self.began, self.measuring, self.batches = time.process_time(), 0.0, 0

        def _on_step(self) -> bool:
            self.batches += env.batch.left == trial.rounds
            if env.batch.left != trial.rounds or self.batches % every:
                return True
            now = time.process_time()
            going = report(_player(act), now - self.began - self.measuring)
            self.measuring += time.process_time() - now
            return going

    model.learn(10**9, callback=Callback())


def torchrl_mappo(distribution: GameDistribution, trial: Trial, seed: int, report: Report, every: int = 10) -> None:
    """Train MAPPO of TorchRL: shared actor, centralised critic, clipped objective, until `report` says no."""
    from tensordict import TensorDict
    from tensordict.nn import NormalParamExtractor, TensorDictModule
    from torchrl.data import Bounded, Composite, Unbounded
    from torchrl.envs import EnvBase
    from torchrl.envs.utils import ExplorationType, set_exploration_type
    from torchrl.modules import IndependentNormal, MultiAgentMLP, ProbabilisticActor
    from torchrl.objectives import ClipPPOLoss

    torch.manual_seed(seed)
    rsus = distribution.rsus[0]
    shape = (trial.games, rsus)

    class Env(EnvBase):
        def __init__(self) -> None:
            super().__init__(device="cpu", batch_size=[trial.games])
            self.batch = _games(distribution, trial, seed)
            seen, state = Unbounded((*shape, observation.SIZE)), Unbounded((*shape, STATE_SIZE))
            agents = Composite(observation=seen, state=state, shape=shape)
            self.observation_spec = Composite(agents=agents, shape=[trial.games])
            self.action_spec = Composite(
                agents=Composite(action=Bounded(-LARGEST_ACTION, LARGEST_ACTION, (*shape, 1)), shape=shape),
                shape=[trial.games],
            )
            self.reward_spec = Composite(
                agents=Composite(reward=Unbounded((*shape, 1)), shape=shape), shape=[trial.games]
            )

        def _tell(self, seen: observation.Observation, state: FloatArray) -> Any:
            told = {"observation": torch.from_numpy(seen), "state": torch.from_numpy(state.astype(np.float32))}
            agents = TensorDict(told, batch_size=shape)
            return TensorDict({"agents": agents}, batch_size=[trial.games])

        def _reset(self, tensordict: Any = None, **kwargs: Any) -> Any:
            return self._tell(self.batch.deal(), np.zeros((*shape, STATE_SIZE)))

        def _step(self, tensordict: Any) -> Any:
            action = tensordict["agents", "action"][..., 0].numpy().astype(np.float64)
            seen, reward, state, over = self.batch.step(action)
            told = self._tell(seen, state)
            told["agents", "reward"] = torch.from_numpy(reward.astype(np.float32))[..., None]
            told["done"] = told["terminated"] = torch.full((trial.games, 1), over)
            return told

        def _set_seed(self, seed: int | None) -> None:
            pass

    def network(inputs: int, outputs: int, hidden: Sequence[int], centralised: bool) -> Any:
        return MultiAgentMLP(
            n_agent_inputs=inputs,
            n_agent_outputs=outputs,
            n_agents=rsus,
            centralized=centralised,
            share_params=not centralised,  # a shared critic of all would say the same for every RSU
            num_cells=list(hidden),
            activation_class=torch.nn.ReLU,
        )

    shared = network(observation.SIZE, 2, trial.hidden, False)
    spread = NormalParamExtractor(scale_mapping=f"biased_softplus_{trial.exploration}")
    where, what = ("agents", "observation"), ("agents", "action")
    parameters = TensorDictModule(
        torch.nn.Sequential(shared, spread), in_keys=[where], out_keys=[("agents", "loc"), ("agents", "scale")]
    )
    env = Env()
    actor = ProbabilisticActor(
        parameters,
        in_keys=[("agents", "loc"), ("agents", "scale")],
        out_keys=[what],
        spec=env.action_spec,
        distribution_class=IndependentNormal,
        return_log_prob=True,
        log_prob_key=("agents", "log_prob"),
    )
    known = ("agents", "known")  # what RSUs saw before the round, and the state of the round
    critic = TensorDictModule(
        network(observation.SIZE + STATE_SIZE, 1, trial.critic_hidden, True),
        in_keys=[known],
        out_keys=[("agents", "state_value")],
    )
    loss = ClipPPOLoss(
        actor, critic, clip_epsilon=trial.clip, entropy_bonus=False, normalize_advantage=True, **trial.more
    )
    loss.set_keys(
        reward=("agents", "reward"),
        action=what,
        sample_log_prob=("agents", "log_prob"),
        value=("agents", "state_value"),
        advantage=("agents", "advantage"),
        value_target=("agents", "value_target"),
        done="done",
        terminated="terminated",
    )
    optimizer = torch.optim.Adam(loss.parameters(), trial.learning_rate, eps=1e-5)

    def act(seen: observation.Observation) -> FloatArray:
        with torch.no_grad():
            told: FloatArray = shared(torch.from_numpy(seen))[..., 0].numpy()
        return told

    began, measuring = time.process_time(), 0.0
    for i in itertools.count(1):
        with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM):
            batch = env.rollout(trial.rounds, actor).reshape(-1)
            batch[known] = torch.cat([batch[where], batch["next", "agents", "state"]], dim=-1)
            # gamma = 0: a reward is its own return
            batch["agents", "value_target"] = batch["next", "agents", "reward"]
            critic(batch)
            batch["agents", "advantage"] = batch["agents", "value_target"] - batch["agents", "state_value"]
        rows = max(trial.minibatch // rsus, 1)
        for _ in range(trial.epochs):
            for part in torch.randperm(len(batch)).split(rows):
                told = loss(batch[part])
                optimizer.zero_grad()
                (told["loss_objective"] + told["loss_critic"]).backward()
                torch.nn.utils.clip_grad_norm_(loss.parameters(), 0.5)
                optimizer.step()
        if i % every == 0:
            now = time.process_time()
            going = report(_player(act), now - began - measuring)
            measuring += time.process_time() - now
            if not going:
                break
