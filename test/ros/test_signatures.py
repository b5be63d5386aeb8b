"""What a signature is of: every field of a message, as it arrives."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rclpy.serialization import deserialize_message, serialize_message
from uav_twin_migration.action import MigrateTwin
from uav_twin_migration.msg import (
    BandwidthDemand,
    BandwidthGrant,
    MigrationReport,
    PriceOffer,
    TwinHost,
    TwinHostStatus,
    TwinReply,
    TwinRequest,
    TwinState,
    UavHeartbeat,
)

from uav_twin_migration.nodes.ros.signatures import Signing, Verifying, content
from uav_twin_migration.security.authority import make_signing_keys, make_uav_signing_keys
from uav_twin_migration.security.ed25519 import KeyFileError

pytest.importorskip("nacl")

MESSAGES = [
    PriceOffer(rsu_id="rsu_0", round=7, price=2.5, free_bandwidth=0.1, range=600.0),
    BandwidthGrant(rsu_id="rsu_0", round=7, price=2.5, uav_ids=["uav_1", "ü"], bandwidth=[0.1, 0.0]),
    TwinHostStatus(
        rsu_id="rsu_0", incarnation=2**63, time=0.1, uav_ids=["uav_1"], holdings=["hosting"], epochs=[2**40]
    ),
    TwinHost(rsu_id="rsu_0", address="10.0.0.1", port=7447, tls=True),
    TwinReply(rsu_id="rsu_0", uav_ids=["uav_1"], epochs=[1], reasons=[""], newest_epochs=[0], restored=[True]),
    TwinState(rsu_id="rsu_0", uav_ids=["uav_1"], epochs=[1], stamps=[0.5], positions=[1.0, 2.0, 3.0]),
    MigrationReport(uav_id="uav_1", source="rsu_0", target="rsu_1", epoch=3, reason="cancelled", sent=0.5),
]
OF_UAVS = [
    BandwidthDemand(sequence=7, uav_ids=["uav_1", "uav_2"], rsu_ids=["rsu_0"] * 2, rounds=[1, 2], bandwidth=[0.1, 0.0]),
    UavHeartbeat(uav_ids=["uav_1"], hosts=["rsu_0"], epochs=[2**40], sequences=[9], positions=[1.0, 2.0, 3.0]),
    TwinRequest(uav_ids=["uav_2"], rsu_ids=["rsu_0"], epochs=[1], sizes=[60.0]),
    MigrateTwin.Goal(uav_id="uav_1", epoch=2, target="rsu_1", rate=0.5),
]


def changed(message: Any) -> Iterator[Any]:
    """The message with one field after the other changed."""
    for name, kind in message.get_fields_and_field_types().items():
        if name == "signature":
            continue
        other = copy.deepcopy(message)
        value = getattr(other, name)
        if kind == "string":
            setattr(other, name, value + "x")
        elif kind == "boolean":
            setattr(other, name, not value)
        elif "BandwidthGrant" in kind:
            setattr(other, name, [*value, BandwidthGrant()])
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
def test_a_signature_survives_the_wire_and_no_change(message: Any, tmp_path: Path) -> None:
    make_signing_keys(tmp_path, ["rsu_0"])
    signing, verifying = Signing(str(tmp_path / "rsu_0.signing")), Verifying(str(tmp_path / "market.pub"))
    arrived = deserialize_message(serialize_message(signing.signed(copy.deepcopy(message))), type(message))
    assert verifying.believes(arrived)
    others = list(changed(arrived))
    assert len(others) == len(arrived.get_fields_and_field_types()) - 1
    assert not any(verifying.believes(other) for other in others)
    assert sum(verifying.refusals.values()) == len(others)


@pytest.mark.parametrize("message", OF_UAVS, ids=lambda message: type(message).__name__)
def test_a_uavs_signature_survives_the_wire_and_no_change(message: Any, tmp_path: Path) -> None:
    uavs = ["uav_1", "uav_2"]
    make_uav_signing_keys(tmp_path, {"uav_container": uavs})
    signing, verifying = (
        Signing(str(tmp_path / "uav_container.signing"), uavs),
        Verifying(str(tmp_path / "market.pub"), uavs=True),
    )
    arrived = deserialize_message(serialize_message(signing.signed(copy.deepcopy(message))), type(message))
    assert verifying.believes_uavs(arrived)
    others = list(changed(arrived))
    assert len(others) == len(arrived.get_fields_and_field_types()) - 1
    assert not any(verifying.believes_uavs(other) for other in others)
    assert sum(verifying.refusals.values()) == len(others)
    assert Verifying(str(tmp_path / "market.pub")).believes_uavs(
        others[0]
    )  # where signatures of UAVs are not asked for


def test_a_signature_file_of_other_uavs_is_refused(tmp_path: Path) -> None:
    make_uav_signing_keys(tmp_path, {"uav_container": ["uav_1", "uav_2"]})
    with pytest.raises(KeyFileError, match="not for uav_3"):
        Signing(str(tmp_path / "uav_container.signing"), ["uav_2", "uav_3"])


def test_entries_cannot_move_from_one_array_to_another() -> None:
    one = BandwidthGrant(uav_ids=["ab", "c"])
    other = BandwidthGrant(uav_ids=["a", "bc"])
    assert content(one) != content(other)


def test_without_keys_everything_is_believed() -> None:
    message = PriceOffer(rsu_id="rsu_0")
    assert Verifying("").believes(Signing("").signed(message))
    assert len(message.signature) == 0
