"""The learner: hears what RSUs see, ask and sell, learns to price from it, and offers them what it learned.

Training runs in a thread of its own; the node goes on listening meanwhile.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uav_twin_migration.deployment import topics
from uav_twin_migration.errors import UavTwinError, missing_library
from uav_twin_migration.msg import Interaction, PolicyUpdate
from uav_twin_migration.nodes.ros import convert, qos_profiles
from uav_twin_migration.nodes.ros.diagnostics import Diagnostics
from uav_twin_migration.nodes.ros.guarded import Guarded
from uav_twin_migration.nodes.ros.parameters import declare
from uav_twin_migration.nodes.ros.spin import run
from uav_twin_migration.nodes.ros.timing import Timing, steady_timer
from uav_twin_migration.policy import artifact
from uav_twin_migration.policy.artifact import Policy, PolicyRefused
from uav_twin_migration.scenario.settings import parameter
from uav_twin_migration.security.policy_signature import Signer

if TYPE_CHECKING:
    from uav_twin_migration.learning.offline import OfflineTrainer

LOOK = 0.1  # s of wall time between two looks whether there is something to do

PARAMETERS = (
    parameter("first", 300, "interactions before the first policy", 100, 10**9),
    parameter("growth", 1.3, "how many times as many interactions before the next policy", 1.0, 100.0),
    parameter("most", 50000, "interactions that are remembered, the newest", 1, 10**9),
    parameter(
        "effort",
        0.25,
        "length of a training from 1500 interactions on, as a share of what uavtwin train --from-bag does by default",
        1e-3,
        1e3,
    ),
    parameter("prune", 0.9, "share of the hidden neurons to remove", 0.0, 0.999),
    parameter("exploration", 0.15, "standard deviation of the action's noise that a policy asks RSUs for", 0.0, 9.9),
    parameter("recordings", [""], "recordings to learn from besides, folders; empty for none"),
    parameter("output", "", "file for the newest policy; one that is there already is published at the start"),
    parameter("signing_key", "", "file of its private key, made by uavtwin keys; empty: policies are not signed"),
    parameter("seed", 0, "seed of the training"),
)


class LearnerNode(Guarded):
    """Feeds a `Learner`, trains when it says so, and publishes."""

    def __init__(self, **options: Any) -> None:
        super().__init__("learner", **options)
        # torch is imported here, not above: a simulation without a learner must not wait for it, or need it
        try:
            import torch
        except ImportError:
            raise missing_library("the learner needs", "torch") from None
        from uav_twin_migration.learning.online import Learner, LearnerSettings

        torch.set_num_threads(1)
        self._values = values = declare(self, PARAMETERS)
        self._learner = Learner(LearnerSettings(values["first"], values["growth"], values["most"]))
        self._signer = Signer(values["signing_key"]) if values["signing_key"] else None
        self._timing = Timing(self)
        self._thread = ThreadPoolExecutor(1, "training")
        self._stopping = threading.Event()
        self._training: Future[Policy] | None = None
        self._trainings = 0
        self._publisher = self.create_publisher(PolicyUpdate, topics.POLICY_UPDATES, qos_profiles.LATCHED)
        self.create_subscription(Interaction, topics.INTERACTIONS, self._learner.on_interaction, qos_profiles.MARKET)
        self.create_subscription(PolicyUpdate, topics.POLICY_UPDATES, self._on_policy, qos_profiles.LATCHED)
        self._diagnostics = Diagnostics(self, self._describe)
        self._remember()
        steady_timer(self, LOOK, self._on_tick)

    def _remember(self) -> None:
        """Take up what is there from an earlier life."""
        bags = [Path(name) for name in self._values["recordings"] if name]
        if bags:
            from uav_twin_migration.learning import recordings

            self._learner.add(recordings.read(bags, tell=self.get_logger().warning))
        output = self._values["output"]
        if output and Path(output).exists():
            try:
                self._publish(artifact.load(output))
            except PolicyRefused as refused:
                self.get_logger().warning(f"does not publish what it learned before, and learns anew: {refused}")

    # -- events ------------------------------------------------------------------------------------------------------

    def _on_policy(self, message: PolicyUpdate) -> None:
        """Somebody's policy, perhaps this learner's own."""
        try:
            policy = artifact.from_bytes(bytes(message.artifact), "policy update", message.sha256)
        except PolicyRefused as refused:
            self._diagnostics.throttled_log.note("a policy is refused", str(refused))
            self._learner.refused[f"policy_{refused.reason.value}"] += 1
        else:
            self._learner.on_policy(policy)

    def _on_tick(self) -> None:
        """Publish what has been learned, and learn when it is time."""
        if self._training is not None and self._training.done():
            training, self._training = self._training, None
            try:
                self._publish(replace(training.result(), version=self._learner.next_version()))
            except Exception as error:  # the last catch: whatever was heard, there will be another training
                self._diagnostics.throttled_log.note("a training gave no policy", f"{type(error).__name__}: {error}")
        if self._training is None and self._learner.due():
            interactions = self._learner.take()
            self._training = self._thread.submit(self._train, interactions, self._trainings)
            self._trainings += 1

    def _train(self, interactions: Any, number: int) -> Policy:
        """In the training thread."""
        from uav_twin_migration.learning.online import trained

        wanted = {name: self._values[name] for name in ("effort", "prune", "exploration")}
        return trained(interactions, self._values["seed"] + number, **wanted, check=self._check_stop)

    def _check_stop(self, trainer: OfflineTrainer) -> None:
        if self._stopping.is_set():
            raise UavTwinError("the learner was stopped while it trained")

    def _publish(self, policy: Policy) -> None:
        data = artifact.to_bytes(policy)
        message = PolicyUpdate(
            version=policy.version,
            observation_schema=policy.schema,
            artifact=list(data),
            sha256=artifact.sha256(data),
        )
        if self._signer is not None:
            message.key_id, message.signature = self._signer.key_id, list(self._signer.sign(data))
        message.header.stamp = convert.to_time(self._timing.now())
        self._publisher.publish(message)
        self._learner.on_policy(policy)
        if self._values["output"]:
            artifact.save(policy, self._values["output"])
        known = policy.training.get("interactions", "unknown")
        self.get_logger().info(f"policy {policy.version}, learned from {known} interactions: {len(data)} bytes")

    def _describe(self) -> dict[str, dict[str, object]]:
        learner = self._learner
        values: dict[str, object] = {
            "interactions": learner.heard,
            "remembered": learner.remembered,
            "newest_version": learner.newest_version,
            "training": self._training is not None,
        }
        values.update({f"refused/{reason}": count for reason, count in learner.refused.items()})
        return {"learner": values}

    def destroy_node(self) -> None:
        """Give up a training that is under way."""
        self._stopping.set()
        self._thread.shutdown()
        super().destroy_node()


def main() -> int:
    """``ros2 run uav_twin_migration learner``."""
    return run(lambda: [LearnerNode()])
