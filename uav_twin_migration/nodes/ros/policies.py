"""How an RSU gets its policies: believed only when a known learner signed them, and kept for its next start."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.msg import PolicyUpdate
from uav_twin_migration.policy.artifact import PolicyRefused, load
from uav_twin_migration.policy.pricer import PolicyPricer
from uav_twin_migration.security.policy_signature import Distrust, Keyring


class DistrustedError(UavTwinError):
    """A policy whose origin is not believed."""


class PolicyDesk:
    """Takes policies in for an RSU's pricer."""

    def __init__(self, learners: str, kept: str) -> None:
        """learners: folder of public keys; empty to believe unsigned policies, too. kept: file; empty to keep none."""
        self._keyring = Keyring(learners) if learners else None
        self._kept = Path(kept) if kept else None
        self.refusals: Counter[Distrust] = Counter()

    def first(self, policy: str) -> str:
        """The policy to begin with: the one that was kept, where it can be used, else `policy`.

        An RSU that forgot would take an old update for a new one, which who recorded it could send again.
        """
        if self._kept is None or not self._kept.exists():
            return policy
        try:
            load(self._kept)
        except PolicyRefused:
            return policy
        return str(self._kept)

    def take(self, message: PolicyUpdate, pricer: PolicyPricer) -> None:
        """Have the pricer use a policy from the next round on.

        Raises:
            DistrustedError, PolicyRefused: and the policy in use stays.
            KeyFileError: a learner's key cannot be read.
        """
        data = bytes(message.artifact)
        if self._keyring is not None:
            distrust = self._keyring.distrust(data, message.key_id, bytes(message.signature))
            if distrust is not None:
                self.refusals[distrust] += 1
                raise DistrustedError(f"policy {message.version} is refused: {distrust.value} (key {message.key_id!r})")
        pricer.update(data, message.sha256, message.version, message.observation_schema)
        if self._kept is not None:
            beside = self._kept.with_name(self._kept.name + ".new")
            beside.write_bytes(data)
            beside.replace(self._kept)
