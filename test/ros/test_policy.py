"""RSUs and the policies that arrive over the air."""

from __future__ import annotations

from typing import Any

import pytest
from lifecycle_msgs.msg import Transition
from uav_twin_migration.msg import Interaction, PolicyUpdate

from test.policy.test_artifact import make_policy
from test.ros.conftest import PATIENCE, RSU, Probe, Processes
from uav_twin_migration.deployment import topics
from uav_twin_migration.market.leader import RoundResult
from uav_twin_migration.nodes.ros import qos_profiles
from uav_twin_migration.policy import observation
from uav_twin_migration.policy.artifact import sha256, to_bytes
from uav_twin_migration.policy.choice import make_pricer


def update(number: int, **wrong: Any) -> PolicyUpdate:
    """A policy as a learner would send it, apart from what is `wrong` with it."""
    data = to_bytes(make_policy(version=number))
    fields = {
        "version": number,
        "observation_schema": observation.SCHEMA,
        "artifact": list(data),
        "sha256": sha256(data),
    }
    return PolicyUpdate(**{**fields, **wrong})


def refused(probe: Probe) -> dict[str, int]:
    """Policies that the RSU has refused, by reason."""
    counted = probe.diagnostics.get("rsu/rsu_0", {})
    return {key.partition("/")[2]: int(value) for key, value in counted.items() if key.startswith("policy_refused/")}


def version_in_use(probe: Probe) -> int:
    """Of the policy that priced the last closed round."""
    return probe.interactions[-1].policy_version if probe.interactions else -1


def test_an_rsu_swaps_policies_between_rounds_and_keeps_the_good_one(processes: Processes, probe: Probe) -> None:
    probe.answer_every_offer(uav_a=2.0)
    learner = probe.create_publisher(PolicyUpdate, topics.POLICY_UPDATES, qos_profiles.LATCHED)
    processes.start("rsu", "/rsu/rsu_0", **RSU, policy="none")
    probe.wait_for(lambda: version_in_use(probe) == 0, "a round that the rule priced")
    learner.publish(update(3))
    probe.wait_for(lambda: version_in_use(probe) == 3, "a round that policy 3 priced")
    wrong = (
        update(2),
        update(5, artifact=list(b"junk")),
        update(5, observation_schema="another/1"),
        update(5, sha256="0" * 64),
        update(6, version=7),
    )
    for count, bad in enumerate(wrong, start=1):
        learner.publish(bad)
        probe.wait_for(lambda: sum(refused(probe).values()) >= count, "a refusal in /diagnostics")  # noqa: B023 - now
    assert refused(probe) == {"stale": 1, "corrupt": 2, "schema": 1, "metadata": 1}
    assert version_in_use(probe) == 3
    learner.publish(update(4))
    probe.wait_for(lambda: version_in_use(probe) == 4, "a round that policy 4 priced")


def test_an_rsu_that_comes_late_gets_the_last_policy(processes: Processes, probe: Probe) -> None:
    probe.answer_every_offer(uav_a=2.0)
    learner = probe.create_publisher(PolicyUpdate, topics.POLICY_UPDATES, qos_profiles.LATCHED)
    for version in (1, 2, 3):
        learner.publish(update(version))
    processes.start("rsu", "/rsu/rsu_0", **RSU, policy="none")
    probe.wait_for(lambda: version_in_use(probe) == 3, "a round that policy 3 priced")
    assert refused(probe) == {}


def test_what_an_interaction_tells_is_enough_to_learn_from(processes: Processes, probe: Probe) -> None:
    probe.answer_every_offer(uav_a=2.0)
    processes.start("rsu", "/rsu/rsu_0", **RSU, policy="none", exploration=0.2)
    probe.wait_for(lambda: probe.interactions and probe.interactions[-1].sold > 0.0, "a round in which it sold")
    told = probe.interactions[-1]
    assert told.observation_schema == observation.SCHEMA
    assert len(told.observation) == observation.SIZE
    assert told.log_probability < 1.0
    assert told.demanded == 2.0
    assert told.profit > 0.0


def test_a_policy_file_that_must_not_be_used_ends_the_rsu_with_one_line(processes: Processes, tmp_path: Any) -> None:
    file = tmp_path / "bad.safetensors"
    file.write_bytes(b"junk")
    rsu = processes.start("rsu", "/rsu/rsu_0", **RSU, policy=str(file))
    _, said = rsu.communicate(timeout=PATIENCE)
    assert rsu.returncode == 2
    assert "bad.safetensors" in said


BUYERS = (2.0, 3.0)  # MHz that each of two UAVs asks for, in the units that the policy was trained in


def closed_round(told: Interaction, price: float, demanded: float) -> RoundResult:
    """A round of both buyers, of one or of none: it may be over before their answers reach the RSU."""
    of_all = {0: (), 2: BUYERS[:1], 3: BUYERS[1:], 5: BUYERS}
    bought = of_all[round(demanded)]
    spread = sum((one / demanded) ** 2 for one in bought)
    return RoundResult(
        told.round, price, demanded, demanded, demanded, len(bought), (), spread, 10.0, (), max(bought, default=0.0)
    )


@pytest.mark.parametrize(("credit", "mhz"), [(0.01, 1.0), (100.0, 1.0), (1.0, 100.0)])
def test_an_rsu_asks_the_same_in_every_unit(processes: Processes, probe: Probe, credit: float, mhz: float) -> None:
    """A price of the shipped policy, beside that of a pricer which closed the same rounds in credits and MHz."""
    probe.answer_every_offer(uav_a=BUYERS[0] * mhz, uav_b=BUYERS[1] * mhz)
    units = {"unit_cost": credit / mhz, "price_cap": 20.0 * credit / mhz, "capacity": 10.0 * mhz}
    processes.start("rsu", "/rsu/rsu_0", **{**RSU, **units}, policy="default", rho=0.6, autostart=False)
    probe.change_state(Transition.TRANSITION_CONFIGURE)
    probe.wait_for(lambda: probe.count_publishers(topics.INTERACTIONS) > 0, "the RSU, to be heard from its first round")
    probe.change_state(Transition.TRANSITION_ACTIVATE)

    def whole() -> Any:
        return [told for told in probe.interactions[:-1] if told.demanded == sum(BUYERS) * mhz]

    probe.wait_for(lambda: len(whole()) > 2, "three rounds of both, and one after them")
    *before, last = probe.interactions
    assert not any(before[0].observation[len(observation.SITUATION) :])  # it is the first
    closed = [closed_round(told, told.price * mhz / credit, told.demanded / mhz) for told in before]
    expected = make_pricer(1.0, 20.0, 10.0, 0.6, "default", 0.0).decide(closed, ()).price
    assert last.price * mhz / credit == pytest.approx(expected, rel=1e-6)
