"""Artifacts of all versions there have been are read; those of versions to come are refused politely.

`versions` keeps one real file of each version. So far there is `policy_1.safetensors` alone, as version 1 wrote it:
policy 7, layers 27-2-1, rounded weights of seed 0, exploration 0.15. Whoever makes version 2 adds a step to
`artifact.UPGRADES` and a file here, and leaves this one as it is.
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
FIRST = VERSIONS / "policy_1.safetensors"


def edited(**metadata: str) -> bytes:
    """The first version's file with other metadata."""
    tensors, found = tensors_file.from_bytes(FIRST.read_bytes())
    return tensors_file.to_bytes(tensors, found | metadata)


def test_a_file_of_every_version_is_kept_and_read() -> None:
    kept = sorted(VERSIONS.iterdir())
    assert [file.stem for file in kept] == [f"policy_{number}" for number in range(1, artifact.VERSION + 1)]
    for file in kept:
        policy = load(file)
        assert (policy.version, policy.exploration, policy.actor.sizes) == (7, 0.15, (27, 2, 1))
        assert float(policy.actor(np.ones(observation.SIZE, dtype=np.float32))) == pytest.approx(-5.488)


def test_an_earlier_version_is_upgraded_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def call_it_noise(content: artifact.Content) -> artifact.Content:
        tensors, metadata = content
        return tensors, {**metadata, "exploration": metadata["noise"]}

    def call_it_twice(content: artifact.Content) -> artifact.Content:
        tensors, metadata = content
        return tensors, {**metadata, "noise": str(2.0 * float(metadata["exploration"]))}

    monkeypatch.setattr(artifact, "VERSION", 3)
    monkeypatch.setattr(artifact, "UPGRADES", {1: call_it_twice, 2: call_it_noise})
    assert load(FIRST).exploration == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("key", "newer", "known"),
    [
        ("format", "uav-twin-policy/2", "uav-twin-policy/1"),
        ("observation_schema", "uav-twin-price/12", "uav-twin-price/1"),
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
    data = edited(format="uav-twin-policy/2")
    with pytest.raises(PolicyRefused):
        send(one, make_policy(version=7), data=data, sha256=sha256(data))
    with pytest.raises(PolicyRefused):
        send(one, make_policy(version=7), schema="uav-twin-price/2")
    assert one.refusals == {Reason.NEWER: 2}
    assert one.decide(HISTORY, ()) == before
