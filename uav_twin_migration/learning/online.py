"""A learner beside a running market: what it has heard, when it learns again, and under which number it publishes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from uav_twin_migration.learning.interactions import NOBODY, Interactions, flaw
from uav_twin_migration.learning.offline import OfflineSettings, OfflineTrainer
from uav_twin_migration.learning.pruning import PruningSettings
from uav_twin_migration.policy.artifact import Policy

ENOUGH = 1500  # interactions; fewer are learned from in a shorter time
LARGEST_VERSION = 1 << 53  # beyond, somebody who claims to have such a policy is not believed


@dataclass(frozen=True)
class LearnerSettings:
    """When a learner learns."""

    first: int = 300  # interactions before the first policy
    growth: float = 1.3  # how much more there must be before the next one
    most: int = 50_000  # that are kept, the newest


class Learner:
    """Collects interactions and says when to learn. It learns from all that it remembers, anew each time.

    Learners do not know of each other, but do each other no harm: a policy goes on above every version that was heard
    of, and none is published that was learned from fewer interactions than the one that is in use.
    """

    def __init__(self, settings: LearnerSettings) -> None:
        self.settings = settings
        self.heard = 0  # interactions, ever
        self.refused: Counter[str] = Counter()
        self.newest_version = 0  # that anybody has
        self._memory = Interactions.join([])
        self._fresh: list[Interactions] = []
        self._needed = settings.first

    @property
    def remembered(self) -> int:
        """Interactions to learn from."""
        return len(self._memory) + sum(map(len, self._fresh))

    def on_interaction(self, message: Any) -> None:
        """An RSU closed a round (`msg/Interaction`). What makes no sense is refused and counted."""
        reason = flaw(message)
        if reason is None:
            self.add(Interactions.from_messages([message]))
        elif reason != NOBODY:
            self.refused[reason] += 1
            return
        self._note_version(message.policy_version)

    def add(self, interactions: Interactions) -> None:
        """Interactions from elsewhere, as from a recording."""
        self.heard += len(interactions)
        self._fresh.append(interactions)

    def on_policy(self, policy: Policy) -> None:
        """Somebody published a policy."""
        self._note_version(policy.version)
        self._needed = max(self._needed, min(learned_from(policy), self.settings.most))

    def due(self) -> bool:
        """Whether it is time to learn."""
        return self.remembered >= self._needed

    def take(self) -> Interactions:
        """What to learn from; the next time comes when there is considerably more, or as much that is new."""
        self._memory = Interactions.join([self._memory, *self._fresh])[slice(-self.settings.most, None)]
        self._fresh = []
        known = len(self._memory)
        self._needed = round(known * self.settings.growth) + 1
        return self._memory

    def next_version(self) -> int:
        """The number of the policy that is published now."""
        self.newest_version += 1
        return self.newest_version

    def _note_version(self, version: int) -> None:
        if 0 <= version < LARGEST_VERSION:
            self.newest_version = max(self.newest_version, version)


def trained(
    interactions: Interactions,
    seed: int,
    effort: float = 0.25,
    prune: float = 0.9,
    exploration: float = 0.15,
    check: Callable[[OfflineTrainer], None] = lambda trainer: None,
) -> Policy:
    """What there is to learn from so many interactions.

    effort: length of the training from `ENOUGH` interactions on, as a share of what `uavtwin train --from-bag` does.
    prune: share of the hidden neurons to remove. exploration: standard deviation of the noise on the action that the
    policy asks for. check: is called now and then; what it raises ends the training.
    """
    settings = replace(
        OfflineSettings().scaled(effort * min(len(interactions) / ENOUGH, 1.0)),
        seed=seed,
        pruning=PruningSettings(prune, every=10),
        exploration=exploration,
    )
    trainer = OfflineTrainer(interactions, settings)
    trainer.run(check)
    return trainer.policy()


def learned_from(policy: Policy) -> int:
    """How many interactions a policy was learned from; 0 for one that was not learned from any."""
    told = policy.training.get("interactions", 0)
    return told if isinstance(told, int) else 0
