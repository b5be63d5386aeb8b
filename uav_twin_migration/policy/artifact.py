"""The policy as a file: safetensors with metadata. Loading one executes nothing, and refuses what it cannot vouch for.

Tensors `layer<i>.weight` [out, in] and `layer<i>.bias` [out], float32, i = 0, 1, ... The metadata (strings, as
safetensors has it):

======================  ==============================================================================
format                  "uav-twin-policy/2": name and version of all this
observation_schema      name and version of the observation that the network reads, e.g. "uav-twin-price/3"
policy_version          a number that rises with every policy a learner publishes
architecture            sizes of the layers, e.g. "41-14-12-1", ReLU between them
exploration             standard deviation of the action with which it was recorded or trained last
ranges                  JSON: the observations it was trained for, `{"feature": [lowest, highest]}`, by the names of
                        `observation.NAMES`; a feature that is not named may have any value
training                JSON: how it came about (seed, iterations, exploitability, games' ranges, ...)
======================  ==============================================================================

An artifact of an earlier version is upgraded as it is read, step by step; one of a later version is refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from uav_twin_migration.bounded import number, read_json, whole
from uav_twin_migration.errors import InputError
from uav_twin_migration.policy import observation
from uav_twin_migration.policy import tensors as safetensors
from uav_twin_migration.policy.actor import Actor, Single

NAME, VERSION = "uav-twin-policy", 2
FORMAT = f"{NAME}/{VERSION}"
LARGEST_FILE = 1 << 20  # bytes; a dense actor of 128 + 128 neurons has 90 kB
MOST_LAYERS = 8
LARGEST_WEIGHT = 1e4  # beyond, float32 sums lose the digits that tell prices apart


class Reason(str, Enum):
    """Why an artifact is refused; `/diagnostics` counts by these names."""

    UNREADABLE = "unreadable"  # the file cannot be read
    OVERSIZED = "oversized"
    CORRUPT = "corrupt"  # no whole safetensors file, or not the bytes that were hashed
    METADATA = "metadata"  # misses what an artifact must say, or says nonsense
    NEWER = "newer"  # of a version of this software that is newer than this one
    SCHEMA = "schema"  # reads another observation
    SHAPE = "shape"  # layers do not fit each other, the observation or the architecture
    NOT_FINITE = "not_finite"
    STALE = "stale"  # not newer than the policy in use


class PolicyRefused(InputError):  # noqa: N818 - a refusal, as /diagnostics counts it
    """An artifact that must not be used, with the reason."""

    def __init__(self, reason: Reason, source: str, key: str, value: object, expected: str) -> None:
        super().__init__(source, key, value, expected)
        self.reason = reason


Refuse = Callable[[Reason, str, object, str], PolicyRefused]
Tensors = Mapping[str, npt.NDArray[Any]]
Content = tuple[Tensors, Mapping[str, str]]  # and metadata


def _ranges_named(content: Content) -> Content:
    tensors, metadata = content
    return tensors, {**metadata, "ranges": "{}"}


# From each earlier version to the next. test/policy keeps an artifact of each.
UPGRADES: dict[int, Callable[[Content], Content]] = {1: _ranges_named}


@dataclass(frozen=True)
class Policy:
    """An actor with what is known about it."""

    actor: Actor
    version: int = 1
    exploration: float = 0.1
    schema: str = observation.SCHEMA
    training: Mapping[str, Any] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # of features

    def bounds(self) -> tuple[observation.Observation, observation.Observation]:
        """Lowest and highest features [observation.SIZE] that it was trained for; infinite where it names none."""
        found = [self.ranges.get(name, (-np.inf, np.inf)) for name in observation.NAMES]
        low, high = np.array(found, dtype=np.float32).T
        return low, high


def sha256(data: bytes) -> str:
    """The hash that travels beside an artifact."""
    return hashlib.sha256(data).hexdigest()


def to_bytes(policy: Policy) -> bytes:
    """The artifact. The same policy gives the same bytes."""
    tensors = {}
    for i, (weight, bias) in enumerate(policy.actor.layers):
        tensors[f"layer{i}.weight"], tensors[f"layer{i}.bias"] = weight, bias
    metadata = {
        "format": FORMAT,
        "observation_schema": policy.schema,
        "policy_version": str(policy.version),
        "architecture": "-".join(map(str, policy.actor.sizes)),
        "exploration": repr(float(policy.exploration)),
        "ranges": _json(policy.ranges),
        "training": _json(policy.training),
    }
    return safetensors.to_bytes(tensors, metadata)


def _json(content: Mapping[str, Any]) -> str:
    """Short, and the same for the same content."""
    return json.dumps(dict(content), sort_keys=True, separators=(",", ":"))


def from_bytes(data: bytes, source: str = "policy", expected_hash: str | None = None) -> Policy:
    """Read and check an artifact.

    Raises:
        PolicyRefused: it is oversized, not the hashed bytes, no safetensors, of a newer version or another schema,
            misshapen or not finite.
    """

    def refuse(reason: Reason, key: str, value: object, expected: str) -> PolicyRefused:
        return PolicyRefused(reason, source, key, value, expected)

    if len(data) > LARGEST_FILE:
        raise refuse(Reason.OVERSIZED, "size", len(data), f"at most {LARGEST_FILE} bytes")
    if expected_hash is not None and sha256(data) != expected_hash.lower():
        raise refuse(Reason.CORRUPT, "SHA-256", sha256(data), expected_hash)
    try:
        content = safetensors.from_bytes(data)
    except ValueError as error:
        raise refuse(Reason.CORRUPT, "content", str(error), "a safetensors file with metadata") from None
    tensors, metadata = _upgraded(content, refuse)
    check_schema(metadata.get("observation_schema", ""), refuse)
    try:
        named = metadata["ranges"]
        version = whole(metadata["policy_version"])
        exploration = number(metadata["exploration"])
        training = read_json(metadata["training"], LARGEST_FILE)
    except (KeyError, ValueError) as error:
        raise refuse(Reason.METADATA, "metadata", str(error), "policy_version, exploration, ranges, training") from None
    if not (0 < version < 1 << 63 and 0.0 <= exploration < 10.0 and isinstance(training, dict)):
        raise refuse(Reason.METADATA, "policy_version", version, "a number in 1 to 2^63, exploration in 0 to 10")
    ranges = _ranges(named, refuse)
    layers = _layers(tensors, refuse)
    actor = Actor(layers)
    architecture = "-".join(map(str, actor.sizes))
    if metadata.get("architecture") != architecture:
        raise refuse(Reason.SHAPE, "architecture", metadata.get("architecture"), f"{architecture!r}, as its layers are")
    return Policy(actor, version, exploration, metadata["observation_schema"], training, ranges)


def load(path: str | Path) -> Policy:
    """Read and check an artifact's file. Raises PolicyRefused."""
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise PolicyRefused(Reason.UNREADABLE, str(path), "file", reason, "a readable file") from None
    return from_bytes(data, str(path))


def save(policy: Policy, path: str | Path) -> int:
    """Write an artifact; returns its size in bytes. Never leaves half a file under that name."""
    data = to_bytes(policy)
    target = Path(path)
    partial = target.with_name(target.name + ".part")
    partial.write_bytes(data)
    partial.replace(target)
    return len(data)


def check_schema(schema: str, refuse: Refuse) -> None:
    """Raises PolicyRefused unless it is the observation that this version makes."""
    if schema == observation.SCHEMA:
        return
    name, version = observation.SCHEMA.split("/")
    if _version(schema, name) > int(version):
        raise refuse(Reason.NEWER, "observation_schema", schema, f"at most {observation.SCHEMA!r}; {HINT}")
    raise refuse(Reason.SCHEMA, "observation_schema", schema, f"{observation.SCHEMA!r}; train it anew (uavtwin train)")


HINT = "upgrade this software, or train the policy with this version of it"


def _upgraded(content: Content, refuse: Refuse) -> Content:
    """The content as this version writes it. Raises PolicyRefused."""
    found = content[1].get("format", "")
    version = _version(found, NAME)
    if version > VERSION:
        raise refuse(Reason.NEWER, "format", found, f"at most {FORMAT!r}; {HINT}")
    if version < 1:
        raise refuse(Reason.METADATA, "format", found, repr(FORMAT))
    for step in range(version, VERSION):
        content = UPGRADES[step](content)
    return content


def _version(text: str, name: str) -> int:
    """The number in "name/number"; 0 in anything else."""
    head, _, number = text.partition("/")
    return int(number) if head == name and re.fullmatch("[1-9][0-9]{0,8}", number) else 0


def _ranges(text: str, refuse: Refuse) -> dict[str, tuple[float, float]]:
    """The observations it was trained for. Raises PolicyRefused."""
    try:
        found = {str(name): (float(low), float(high)) for name, (low, high) in read_json(text, LARGEST_FILE).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise refuse(Reason.METADATA, "ranges", str(error), "JSON, for each feature its lowest and highest") from None
    for name, (low, high) in found.items():
        if name not in observation.NAMES or not -np.inf < low <= high < np.inf:
            raise refuse(Reason.METADATA, "ranges", {name: (low, high)}, "a feature's name, its lowest and highest")
    return found


def _layers(tensors: Tensors, refuse: Refuse) -> list[tuple[Single, Single]]:
    """Weights and biases from the observation to the action. Raises PolicyRefused where they do not fit."""
    count = len(tensors) // 2
    names = [f"layer{i}.{part}" for i in range(count) for part in ("weight", "bias")]
    if not 1 <= count <= MOST_LAYERS or set(names) != set(tensors):
        raise refuse(Reason.SHAPE, "tensors", sorted(tensors), f"layer0.weight, layer0.bias, ... of 1 to {MOST_LAYERS}")
    layers = []
    width = observation.SIZE
    for i in range(count):
        weight, bias = tensors[f"layer{i}.weight"], tensors[f"layer{i}.bias"]
        last = i == count - 1
        rows = 1 if last else max(len(bias) if bias.ndim == 1 else 0, 1)
        if weight.shape != (rows, width) or bias.shape != (rows,):
            found = f"weight {weight.shape}, bias {bias.shape}"
            raise refuse(Reason.SHAPE, f"layer{i}", found, f"weight ({rows}, {width}), bias ({rows},)")
        for part, values in (("weight", weight), ("bias", bias)):
            if not np.all(np.abs(values) <= LARGEST_WEIGHT):  # NaN is not, either
                raise refuse(Reason.NOT_FINITE, f"layer{i}.{part}", "NaN, inf or huge", f"at most {LARGEST_WEIGHT:g}")
        layers.append((weight, bias))
        width = rows
    return layers
