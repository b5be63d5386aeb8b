"""What an RSU prices with until a learner says otherwise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from uav_twin_migration.market.leader import AdaptablePricer
from uav_twin_migration.market.pricing import ElasticityPricer, PluggedRule
from uav_twin_migration.policy import artifact, observation
from uav_twin_migration.policy.actor import Actor
from uav_twin_migration.policy.artifact import Policy
from uav_twin_migration.policy.observed import ObservedRule
from uav_twin_migration.policy.pricer import PolicyPricer
from uav_twin_migration.shipped import shipped_file

DEFAULT = "default"  # the policy that comes with the package
NONE = "none"  # the fallback rule
UNTRAINED = "untrained"  # a policy that has learned nothing yet
SHIPPED = "config/policies/default.safetensors"

UNTRAINED_ACTION = -1.2  # a mark-up of about two
UNTRAINED_EXPLORATION = 0.5


def choose(name: str) -> Policy | None:
    """The policy of this name or in this file; None for the fallback rule, also where no policy was shipped.

    Raises:
        PolicyRefused: the file cannot be read or must not be used.
    """
    if name == NONE:
        return None
    if name == UNTRAINED:
        return untrained()
    if name != DEFAULT:
        return artifact.load(name)
    shipped = shipped_file(SHIPPED)
    return artifact.load(shipped) if shipped else None


def untrained() -> Policy:
    """Always the same action, explored widely, as a network that has not been trained. Any policy may replace it."""
    indifferent = np.zeros((1, observation.SIZE)), np.array([UNTRAINED_ACTION])
    return Policy(Actor([indifferent]), version=0, exploration=UNTRAINED_EXPLORATION)


def make_pricer(
    unit_cost: float,
    price_cap: float,
    capacity: float,
    rho: float,
    policy: str,
    exploration: float,
    seed: int = 0,
    tell: Callable[[str], None] | None = None,
    plugin: str = "",
    equilibrium_price: Callable[[], float] | None = None,
) -> PolicyPricer:
    """An RSU's pricer: a policy, and for as long as there is none, the rule.

    Args:
        policy: for `choose`.
        exploration: standard deviation of the noise on the action; below 0 what the policy says, and none for the rule.
        seed: of that noise.
        tell: gets a sentence when the rule takes over from the policy, and when the policy is back.
        plugin: a pricing rule that prices instead of both; without `tell`, what fails in it is raised.
        equilibrium_price: tells a plug-in what this RSU would ask in equilibrium, credit/MHz; in virtual time.

    Raises:
        PolicyRefused: the policy's file cannot be read or must not be used.
    """
    rule: AdaptablePricer = ElasticityPricer(unit_cost, price_cap, capacity, seed=seed)
    plugged = None
    if plugin:
        policy, rule = NONE, PluggedRule(plugin, unit_cost, price_cap, capacity, seed, tell, equilibrium_price)
        plugged = rule.rule
    observed = ObservedRule(rule, unit_cost, price_cap, capacity, rho, max(exploration, 0.0), seed)
    wanted = None if exploration < 0.0 else exploration
    return PolicyPricer(
        unit_cost,
        price_cap,
        capacity,
        rho,
        observed,
        choose(policy),
        wanted,
        seed,
        tell or (lambda sentence: None),
        plugged,
    )
