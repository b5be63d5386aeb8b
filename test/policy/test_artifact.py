"""Artifacts: what is written comes back, and what cannot be vouched for is refused with its reason."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uav_twin_migration.policy import artifact, observation
from uav_twin_migration.policy import tensors as tensors_file
from uav_twin_migration.policy.actor import Actor
from uav_twin_migration.policy.artifact import Policy, PolicyRefused, Reason, from_bytes, sha256, to_bytes


def make_policy(hidden: tuple[int, ...] = (6, 5), version: int = 3, seed: int = 0) -> Policy:
    rng = np.random.default_rng(seed)
    sizes = (observation.SIZE, *hidden, 1)
    layers = [(0.3 * rng.normal(size=(b, a)), rng.normal(size=b)) for a, b in itertools.pairwise(sizes)]
    return Policy(Actor(layers), version, 0.2, training={"seed": seed, "exploitability": 0.01})


def rebuilt(metadata: dict[str, str] | None = None, **tensors: np.ndarray) -> bytes:
    """The artifact of `make_policy` with some metadata or tensors replaced (None takes a tensor out)."""
    layers = make_policy().actor.layers
    content: dict[str, Any] = {}
    for i, (weight, bias) in enumerate(layers):
        content |= {f"layer{i}.weight": weight, f"layer{i}.bias": bias}
    content |= {name.replace("_", "."): value for name, value in tensors.items()}
    document = tensors_file.from_bytes(to_bytes(make_policy()))[1] | (metadata or {})
    return tensors_file.to_bytes({k: v for k, v in content.items() if v is not None}, document)


def reason(data: bytes, expected_hash: str | None = None) -> Reason:
    with pytest.raises(PolicyRefused) as refused:
        from_bytes(data, "somewhere", expected_hash)
    assert "somewhere" in str(refused.value)
    assert "\n" not in str(refused.value)
    return refused.value.reason


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    policy = make_policy()
    path = tmp_path / "policy.safetensors"
    assert artifact.save(policy, path) == path.stat().st_size
    again = artifact.load(path)
    assert (again.version, again.exploration, again.schema, again.training) == (
        3,
        0.2,
        observation.SCHEMA,
        policy.training,
    )
    for (weight, bias), (weight_again, bias_again) in zip(policy.actor.layers, again.actor.layers, strict=True):
        np.testing.assert_array_equal(weight, weight_again)
        np.testing.assert_array_equal(bias, bias_again)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_the_same_policy_gives_the_same_bytes() -> None:
    assert len({to_bytes(make_policy()) for _ in range(8)}) == 1


def test_a_network_without_hidden_layers_is_one() -> None:
    assert from_bytes(to_bytes(make_policy(()))).actor.sizes == (observation.SIZE, 1)


def test_refusals() -> None:
    good = to_bytes(make_policy())
    size = observation.SIZE
    nan = make_policy().actor.layers[1][0].copy()
    nan[2, 3] = np.nan
    assert reason(b"") is Reason.CORRUPT
    assert reason(good[:-1]) is Reason.CORRUPT
    assert reason(good + b"\0") is Reason.CORRUPT
    assert reason(b"\xff" * 8 + good[8:]) is Reason.CORRUPT
    assert reason(good, sha256(good + b" ")) is Reason.CORRUPT
    assert reason(b"\0" * (artifact.LARGEST_FILE + 1)) is Reason.OVERSIZED
    assert reason(rebuilt({"format": "another-policy/1"})) is Reason.METADATA
    assert reason(rebuilt({"policy_version": "new"})) is Reason.METADATA
    assert reason(rebuilt({"policy_version": "0"})) is Reason.METADATA
    assert reason(rebuilt({"policy_version": "9" * 30})) is Reason.METADATA
    assert reason(rebuilt({"exploration": "nan"})) is Reason.METADATA
    assert reason(rebuilt({"training": "[1]"})) is Reason.METADATA
    assert reason(rebuilt({"training": "{"})) is Reason.METADATA
    assert reason(rebuilt({"observation_schema": "uav-twin-price/0"})) is Reason.SCHEMA
    assert reason(rebuilt({"architecture": "1-2-3"})) is Reason.SHAPE
    assert reason(rebuilt(layer0_weight=np.zeros((6, size + 1), np.float32))) is Reason.SHAPE
    assert reason(rebuilt(layer2_weight=np.zeros((2, 5), np.float32))) is Reason.SHAPE
    assert reason(rebuilt(layer1_bias=np.zeros((1, 5), np.float32))) is Reason.SHAPE
    assert reason(rebuilt(layer1_bias=np.zeros(0, np.float32))) is Reason.SHAPE
    assert reason(rebuilt(layer3_weight=np.zeros((1, 1), np.float32))) is Reason.SHAPE
    assert reason(rebuilt(layer1_weight=nan)) is Reason.NOT_FINITE
    assert reason(rebuilt(layer1_weight=np.full((5, 6), np.inf, np.float32))) is Reason.NOT_FINITE
    assert reason(rebuilt(layer1_weight=np.full((5, 6), 1e9, np.float32))) is Reason.NOT_FINITE


def test_a_file_that_is_none(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(PolicyRefused) as refused:
            artifact.load(path)
        assert refused.value.reason is Reason.UNREADABLE


@given(st.data())
def test_no_damage_makes_it_do_anything_but_load_or_refuse(data: st.DataObject) -> None:
    content = bytearray(to_bytes(make_policy()))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(1, len(content))) :]
    try:
        policy = from_bytes(bytes(content))
    except PolicyRefused:
        return
    assert np.isfinite(policy.actor(np.ones(observation.SIZE, dtype=np.float32)))


@given(st.binary(max_size=200), st.integers(0, 300))
def test_noise_is_refused(noise: bytes, length: int) -> None:
    for content in (
        noise,
        length.to_bytes(8, "little") + noise,
        length.to_bytes(8, "little") + json.dumps({}).encode(),
    ):
        with pytest.raises(PolicyRefused):
            from_bytes(content)
