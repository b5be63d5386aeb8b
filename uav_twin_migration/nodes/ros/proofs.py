"""What proves the rates of UAVs whose twins an RSU hosts: its own grants, and others' that UAVs hand over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from uav_twin_migration.market.messages import Grant, Offer, Refusal, Refusals
from uav_twin_migration.market.proof import ProvenGrants
from uav_twin_migration.msg import BandwidthGrant
from uav_twin_migration.nodes.ros.convert import grant_from_message, has_length_mismatch, seconds
from uav_twin_migration.nodes.ros.signatures import Verifying
from uav_twin_migration.nodes.ros.timing import Timing

MOST_GRANTS = 64  # that one message may hand over


class Proofs:
    """Translates between ROS and a `ProvenGrants`."""

    def __init__(self, rsu: str, values: dict[str, Any], timing: Timing, verifying: Verifying) -> None:
        self._proven = ProvenGrants(rsu)
        self._values, self._timing, self._verifying = values, timing, verifying

    @property
    def refusals(self) -> Refusals:
        """Grants that were handed over and prove nothing, by why."""
        return self._proven.refusals

    def on_offer(self, offer: Offer) -> None:
        """A rival's offer, which is believed."""
        self._proven.on_offer(self._timing.now(), offer)

    def on_own_grant(self, grant: Grant) -> None:
        """This RSU granted."""
        self._proven.on_own_grant(self._timing.now(), grant)

    def take(self, messages: Sequence[BandwidthGrant], held: set[str]) -> None:
        """Others' grants, handed over by who got them. held: the UAVs whose twins are here.

        What is known already is not verified again.
        """
        for message in messages[:MOST_GRANTS]:
            if has_length_mismatch(message):
                self._proven.refusals.note(Refusal.LENGTH_MISMATCH, message.rsu_id)
                continue
            named = held.intersection(message.uav_ids)
            known = all(self._proven.knows(message.rsu_id, message.round, uav) for uav in named)
            if not known and self._verifying.believes(message):
                stamp = seconds(message.header.stamp)
                self._proven.on_grant(self._timing.now(), grant_from_message(message), stamp, named)

    def rate(self, uav: str, claimed: float) -> float:
        """What a UAV says that its grants carry, Mbit/s, as far as they prove it."""
        return self._proven.rate(uav, claimed, self._values["highest_efficiency"], self._timing.now())
