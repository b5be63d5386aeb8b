"""Rounds that RSUs have closed, as a learner gets them: from the running system or from recordings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from uav_twin_migration.game.market import FloatArray
from uav_twin_migration.market.messages import LARGEST_BANDWIDTH, LARGEST_PRICE
from uav_twin_migration.policy import observation

NOBODY = "nobody_there"  # nothing wrong, but nothing to learn either
MOST_UAVS = 100_000  # that can have answered one RSU


@dataclass(frozen=True)
class Interactions:
    """B closed rounds, of any RSUs in any order."""

    observation: observation.Observation  # [B, observation.SIZE], before the price was posted
    action: FloatArray  # [B] of which the price came
    log_probability: FloatArray  # [B] of the action; NaN where it was not explored
    price: FloatArray  # [B] credit/MHz
    unit_cost: FloatArray  # [B] credit/MHz
    price_cap: FloatArray  # [B] credit/MHz
    capacity: FloatArray  # [B] MHz
    demanded: FloatArray  # [B] MHz, before rationing
    uavs: FloatArray  # [B] that answered
    version: FloatArray  # [B] of the policy that priced; 0 for a rule or an untrained policy

    def __len__(self) -> int:
        return len(self.price)

    def __getitem__(self, rows: Any) -> Interactions:
        """Some of them."""
        return Interactions(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def join(cls, parts: Sequence[Interactions]) -> Interactions:
        """One after the other; none where there are no parts."""
        if not parts:
            return cls(np.zeros((0, observation.SIZE), np.float32), *np.zeros((len(fields(cls)) - 1, 0)))
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    @classmethod
    def from_messages(cls, messages: Sequence[Any], refused: Counter[str] | None = None) -> Interactions:
        """From `msg/Interaction`s, or whatever has their fields.

        `refused` counts, by reason, those that cannot be learned from; they are left out.
        """
        good = []
        for message in messages:
            reason = flaw(message)
            if reason is None:
                good.append(message)
            elif refused is not None:
                refused[reason] += 1
        if not good:
            return cls.join([])
        columns = (
            np.array([getattr(message, name) for message in good], dtype=np.float64)
            for name in ("action", "log_probability", "price", "unit_cost", "price_cap", "capacity", "demanded")
        )
        seen = np.array([message.observation for message in good], dtype=np.float32)
        counts = (
            np.array([getattr(message, name) for message in good], dtype=np.float64)
            for name in ("uavs_in_range", "policy_version")
        )
        return cls(seen, *columns, *counts)


def flaw(message: Any) -> str | None:
    """Why nothing can be learned from a `msg/Interaction`, or None. Nobody is trusted to send sense."""
    if message.observation_schema != observation.SCHEMA:
        return "schema"
    seen = np.asarray(message.observation, dtype=np.float64)
    if seen.shape != (observation.SIZE,):
        return "shape"
    numbers = [message.action, message.price, message.unit_cost, message.price_cap, message.capacity, message.demanded]
    if not (np.isfinite(seen).all() and np.isfinite(numbers).all()):
        return "not_finite"
    sensible = (
        np.abs(seen).max() < 100.0
        and 0.0 < message.unit_cost < message.price_cap <= LARGEST_PRICE
        and message.unit_cost * 0.999 <= message.price <= message.price_cap * 1.001
        and 0.0 < message.capacity <= LARGEST_BANDWIDTH
        and 0.0 <= message.demanded <= LARGEST_BANDWIDTH
        and message.uavs_in_range <= MOST_UAVS
    )
    if not sensible:
        return "absurd"
    return None if message.uavs_in_range else NOBODY
