"""Artifacts of all versions there have been are read as far as they can be; others are refused politely.

`versions` keeps one real file of each version, each with policy 7, one hidden layer of 2, rounded weights of seed 0 and
exploration 0.15. Whoever makes another version adds a step to `artifact.UPGRADES` and a file here, and leaves these as
they are. A policy whose observation is no longer made cannot be used, whatever its file's version.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from test.policy.test_artifact import make_policy
from test.policy.test_pricer import HISTORY, pricer, send
from uav_twin_migration.policy import artifact, observation
from uav_twin_migration.policy import tensors as tensors_file
from uav_twin_migration.policy.artifact import PolicyRefused, Reason, from_bytes, load, sha256

VERSIONS = Path(__file__).parent / "versions"
FIRST = VERSIONS / "policy_1.safetensors"  # reads uav-twin-price/1
SECOND = VERSIONS / "policy_2.safetensors"  # reads uav-twin-price/2
NEWEST = VERSIONS / "policy_2_price_3.safetensors"


def edited(**metadata: str) -> bytes:
    """The newest version's file with other metadata."""
    tensors, found = tensors_file.from_bytes(NEWEST.read_bytes())
    return tensors_file.to_bytes(tensors, found | metadata)


def test_a_file_of_every_version_is_kept() -> None:
    kept = sorted(VERSIONS.iterdir())
    assert kept == [FIRST, SECOND, NEWEST]
    assert f"policy_{artifact.VERSION}_{observation.SCHEMA.removeprefix('uav-twin-').replace('/', '_')}" == NEWEST.stem
    policy = load(NEWEST)
    assert (policy.version, policy.exploration) == (7, 0.15)
    assert policy.actor.sizes == (observation.SIZE, 2, 1)
    assert policy.ranges == {"rho": (-1.0, 1.0)}
    assert float(policy.actor(np.ones(observation.SIZE, dtype=np.float32))) == pytest.approx(1.2772, abs=1e-4)


@pytest.mark.parametrize(("file", "schema"), [(FIRST, "uav-twin-price/1"), (SECOND, "uav-twin-price/2")])
def test_a_policy_that_reads_an_earlier_observation_is_refused_with_what_to_do(file: Path, schema: str) -> None:
    with pytest.raises(PolicyRefused) as refused:
        load(file)
    assert refused.value.reason is Reason.SCHEMA
    for word in (str(file), "observation_schema", schema, observation.SCHEMA, "uavtwin train"):
        assert word in str(refused.value)


def test_an_earlier_format_is_upgraded_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observation, "SCHEMA", "uav-twin-price/1")
    monkeypatch.setattr(observation, "SIZE", 27)
    assert load(FIRST).ranges == {}

    def call_it_noise(content: artifact.Content) -> artifact.Content:
        tensors, metadata = content
        return tensors, {**metadata, "exploration": metadata["noise"]}

    def call_it_twice(content: artifact.Content) -> artifact.Content:
        tensors, metadata = content
        return tensors, {**metadata, "noise": str(2.0 * float(metadata["exploration"]))}

    monkeypatch.setattr(artifact, "VERSION", 4)
    monkeypatch.setattr(artifact, "UPGRADES", {**artifact.UPGRADES, 2: call_it_twice, 3: call_it_noise})
    assert load(FIRST).exploration == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("key", "newer", "known"),
    [
        ("format", "uav-twin-policy/3", "uav-twin-policy/2"),
        ("observation_schema", "uav-twin-price/12", "uav-twin-price/3"),
    ],
)
def test_a_newer_one_is_refused_with_what_where_and_what_to_do(
    key: str, newer: str, known: str, tmp_path: Path
) -> None:
    file = tmp_path / "newer.safetensors"
    file.write_bytes(edited(**{key: newer}))
    with pytest.raises(PolicyRefused) as refused:
        load(file)
    assert refused.value.reason is Reason.NEWER
    for word in (str(file), key, newer, known, "upgrade"):
        assert word in str(refused.value)


@pytest.mark.parametrize("odd", ["uav-twin-policy/0", "uav-twin-policy/x", "uav-twin-policy", "other/2", ""])
def test_what_is_no_version_is_not_called_a_newer_one(odd: str) -> None:
    with pytest.raises(PolicyRefused) as refused:
        from_bytes(edited(format=odd))
    assert refused.value.reason is Reason.METADATA


def test_an_rsu_that_is_offered_a_newer_one_keeps_its_policy_and_counts() -> None:
    one = pricer(make_policy(version=3))
    before = one.decide(HISTORY, ())
    data = edited(format="uav-twin-policy/3")
    with pytest.raises(PolicyRefused):
        send(one, make_policy(version=7), data=data, sha256=sha256(data))
    with pytest.raises(PolicyRefused):
        send(one, make_policy(version=7), schema="uav-twin-price/4")
    assert one.refusals == {Reason.NEWER: 2}
    assert one.decide(HISTORY, ()) == before
