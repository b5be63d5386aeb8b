"""PPO of Stable-Baselines3 learns to price for one RSU, among three that follow the shipped policy.

Run it where the package and `stable-baselines3` are installed: python3 examples/train_with_another_library.py
"""

import sys

import gymnasium
from stable_baselines3 import PPO

from uav_twin_migration.learning.vector_env import ID, register

register()
market = gymnasium.make(ID)
steps = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
agent = PPO("MlpPolicy", market, gamma=0.0, n_steps=512, seed=0).learn(steps)

seen, _ = market.reset(seed=1)
over, earned = False, 0.0
while not over:
    seen, reward, _, over, info = market.step(agent.predict(seen, deterministic=True)[0])
    earned += info["profit"]
print(f"asks {info['price']:.2f} credit/MHz in the end and earned {earned:.0f} credit in a game")
