"""A learner in virtual time: what `nodes/learner.py` is around the same memory and the same training.

A training is done at once and its policy published `TRAINING` later: how long one takes on a processor is of the
machine, and no run shall depend on that. Meanwhile the learner goes on listening.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from uav_twin_migration.errors import missing_library
from uav_twin_migration.market.leader import ClosedRound, LeaderSettings
from uav_twin_migration.policy import artifact
from uav_twin_migration.policy.artifact import Policy
from uav_twin_migration.studies.virtual.events import Process
from uav_twin_migration.studies.virtual.messages import interaction

if TYPE_CHECKING:
    from uav_twin_migration.studies.virtual.city import City

TRAINING = 10.0  # s that a training takes
NAME = "learner"


class VirtualLearner:
    """The learner's process. values: the parameters that its node would have."""

    def __init__(self, city: City, values: dict[str, Any]) -> None:
        """Raises UavTwinError where torch is missing."""
        try:
            import torch
        except ImportError:
            raise missing_library("the learner needs", "torch") from None
        from uav_twin_migration.learning.online import Learner, LearnerSettings, trained

        torch.set_num_threads(1)
        self._city, self._values, self._train = city, values, trained
        self._process = Process(city.events, NAME)
        self._learner = Learner(LearnerSettings())
        self._trainings, self._is_training = 0, False
        self.newest: Policy | None = None

    def hear(self, booked: ClosedRound, settings: LeaderSettings) -> None:
        """An RSU closed a round."""
        self._learner.on_interaction(SimpleNamespace(**interaction(booked, settings)))
        if not self._is_training and self._learner.due():
            policy = self._train(self._learner.take(), self._values["seed"] + self._trainings)
            self._trainings, self._is_training = self._trainings + 1, True
            self._process.at(self._city.events.now + TRAINING, partial(self._publish, policy))

    def _publish(self, policy: Policy) -> None:
        self._is_training = False
        self.newest = replace(policy, version=self._learner.next_version())
        self._learner.on_policy(self.newest)
        for rsu in self._city.air.rsus.values():
            self._city.network.send(NAME, rsu.process, partial(rsu.on_policy, self.newest), reliable=True)
        if self._values["output"]:
            artifact.save(self.newest, self._values["output"])
        known = self.newest.training.get("interactions", "unknown")
        said = f"policy {self.newest.version}, learned from {known} interactions"
        self._city.listener.city.tell(self._city.air.clock, "health", f"{said}.")
