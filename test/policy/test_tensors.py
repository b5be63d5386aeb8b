"""Files of tensors: the format's own library reads what is written here, and the other way round."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from uav_twin_migration.policy.tensors import from_bytes, to_bytes

TENSORS = {
    "layer0.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "layer0.bias": np.array([0.5, -1.0], dtype=np.float32),
    "none": np.zeros((0, 4), dtype=np.float32),
}
METADATA = {"format": "some", "what": "\u03c1 = 0.7"}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_what_is_written_comes_back() -> None:
    tensors, metadata = from_bytes(to_bytes(TENSORS, METADATA))
    assert same(tensors, TENSORS)
    assert metadata == METADATA
    assert {values.dtype for values in tensors.values()} == {np.dtype(np.float32)}


def test_the_formats_own_library_agrees(tmp_path: Any) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    assert same(safetensors.load(to_bytes(TENSORS, METADATA)), TENSORS)
    tensors, metadata = from_bytes(safetensors.save(TENSORS, METADATA))
    assert same(tensors, TENSORS)
    assert metadata == METADATA
    path = tmp_path / "file"
    path.write_bytes(to_bytes(TENSORS, METADATA))
    with safetensors.safe_open(path, framework="np") as file:
        assert file.metadata() == METADATA


def file_of(header: Any, body: bytes = b"\0" * 8) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


GOOD: dict[str, Any] = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "within its header"),
        ((1 << 63).to_bytes(8, "little"), "within its header"),
        (file_of([]), "no JSON object"),
        ((9).to_bytes(8, "little") + b"no header", "no JSON"),
        ((2000).to_bytes(8, "little") + b"[" * 2000, "no JSON"),
        (file_of({"__metadata__": {"seed": 1}, "a": GOOD}), "no strings"),
        (file_of({"__metadata__": "text", "a": GOOD}), "no strings"),
        (file_of({"a": GOOD}, b"\0" * 7), "not all there"),
        (file_of({"a": GOOD}, b"\0" * 9), "gaps or overlap"),
        (file_of({"a": GOOD, "b": GOOD}), "gaps or overlap"),
        (file_of({"a": GOOD | {"dtype": "F64"}}), "not F32"),
        (file_of({"a": GOOD | {"shape": [3]}}), "not all there"),
        (file_of({"a": GOOD | {"shape": [-2]}}), "no natural number"),
        (file_of({"a": GOOD | {"shape": [True, 2]}}), "no natural number"),
        (file_of({"a": GOOD | {"shape": [2.0]}}), "no natural number"),
        (file_of({"a": GOOD | {"shape": [1 << 40, 1 << 40]}}), "not all there"),
        (file_of({"a": GOOD | {"data_offsets": [8, 0]}}), "not all there"),
        (file_of({"a": GOOD | {"data_offsets": [0]}}), "no dtype"),
        (file_of({"a": None}), "no dtype"),
        (file_of({"a": GOOD | {"shape": 2}}), "no dtype"),
        (file_of({"a": GOOD | {"shape": {}, "data_offsets": [0, 4]}}, b"\0" * 4), "no dtype"),  # ended every RSU once
        (file_of({"a": GOOD | {"shape": [9] * 50_000}}), "more than 4 dimensions"),
        (file_of({"a": GOOD | {"shape": [0, 10**18], "data_offsets": [0, 0]}}, b""), "not all there"),
        (file_of({"a": GOOD | {"shape": [10**400]}}), "no JSON"),
    ],
)
def test_damage_is_told(data: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        from_bytes(data)
