"""What a seal is of: every field of a message, as it arrives."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rclpy.serialization import deserialize_message, serialize_message
from uav_twin_migration.msg import BandwidthGrant, PriceOffer, TwinHost, TwinPresence, TwinReply

from uav_twin_migration.cli.keys import make_seals
from uav_twin_migration.nodes.seals import Ear, Voice, content

pytest.importorskip("nacl")

MESSAGES = [
    PriceOffer(rsu_id="rsu_0", round=7, price=2.5, free_bandwidth=0.1, range=600.0),
    BandwidthGrant(rsu_id="rsu_0", round=7, price=2.5, uav_ids=["uav_1", "ü"], bandwidth=[0.1, 0.0]),
    TwinPresence(rsu_id="rsu_0", life=2**63, time=0.1, uav_ids=["uav_1"], holdings=["hosting"], epochs=[2**40]),
    TwinHost(rsu_id="rsu_0", address="10.0.0.1", port=7447, tls=True),
    TwinReply(rsu_id="rsu_0", uav_ids=["uav_1"], epochs=[1], reasons=[""], fences=[0], restored=[True]),
]


def changed(message: Any) -> Iterator[Any]:
    """The message with one field after the other changed."""
    for name, kind in message.get_fields_and_field_types().items():
        if name == "seal":
            continue
        other = copy.deepcopy(message)
        value = getattr(other, name)
        if kind == "string":
            setattr(other, name, value + "x")
        elif kind == "boolean":
            setattr(other, name, not value)
        elif "sequence" in kind:
            setattr(other, name, [*value, "x" if "string" in kind else 1.0 if "double" in kind else 1])
        elif name == "header":
            value.stamp.nanosec += 1
        elif hasattr(value, "sec"):
            value.sec += 1
        elif hasattr(value, "x"):
            value.y += 1.0
        else:
            setattr(other, name, value + 1 if value < 2**63 else 0)
        yield other


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_seal_survives_the_wire_and_no_change(message: Any, tmp_path: Path) -> None:
    make_seals(tmp_path, ["rsu_0"])
    voice, ear = Voice(str(tmp_path / "rsu_0.seal")), Ear(str(tmp_path / "market.pub"))
    arrived = deserialize_message(serialize_message(voice.sealed(copy.deepcopy(message))), type(message))
    assert ear.believes(arrived)
    others = list(changed(arrived))
    assert len(others) == len(arrived.get_fields_and_field_types()) - 1
    assert not any(ear.believes(other) for other in others)
    assert sum(ear.refusals.values()) == len(others)


def test_entries_cannot_move_from_one_array_to_another() -> None:
    one = BandwidthGrant(uav_ids=["ab", "c"])
    other = BandwidthGrant(uav_ids=["a", "bc"])
    assert content(one) != content(other)


def test_without_keys_everything_is_believed() -> None:
    message = PriceOffer(rsu_id="rsu_0")
    assert Ear("").believes(Voice("").sealed(message))
    assert len(message.seal) == 0
