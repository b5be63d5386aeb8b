"""What a broken or hostile RSU may send: refused, counted, and without any trace."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from test.twin.target import EPOCH, HIGHEST, SESSION, Target, chunks, decode, refusal
from uav_twin_migration.twin.hosting.admission import HostSettings
from uav_twin_migration.twin.hosting.twin import UavTwin, UavTwins
from uav_twin_migration.twin.protocol import wire
from uav_twin_migration.twin.protocol.chunks import (
    Chunk,
    Entry,
    digest,
    digest_of_twin,
)
from uav_twin_migration.twin.protocol.epochs import make_epoch
from uav_twin_migration.twin.protocol.messages import (
    Accept,
    Checkpoint,
    Data,
    LeaseRenewal,
    Offer,
    Purpose,
    Reason,
    Refuse,
    Verified,
)
from uav_twin_migration.twin.protocol.replica_state import Record

# -- chunks ------------------------------------------------------------------------------------------------------------


def test_chunks_for_no_migration_leave_no_trace(target: Target) -> None:
    assert target.say(chunks(0, b"x" * 1000)) == refusal(Reason.NO_SESSION)
    assert target.say(Checkpoint("u1", SESSION, 0, bytes(32))) == refusal(Reason.NO_SESSION)
    assert target.is_empty()
    assert target.record == Record()


def test_chunks_of_another_session_or_sender_leave_no_trace(target: Target) -> None:
    assert isinstance(target.offer()[0], Accept)
    answer = target.say(chunks(0, b"x" * 1000, session=SESSION + 1))
    assert [one.reason for one in answer] == [Reason.NO_SESSION]
    assert target.say(chunks(0, b"x" * 1000), peer="unknown_rsu") == refusal(Reason.NO_SESSION)
    assert target.host.store._value("SELECT count(*) FROM chunks") == 0


def test_a_chunk_that_is_not_what_its_digest_says_ends_the_migration(target: Target) -> None:
    target.offer()
    target.say(chunks(0, b"right"))
    wrong = chunks(1, b"right")._replace(intact=False)
    assert target.say(wrong) == refusal(Reason.CORRUPT)
    assert target.host.counts["chunks_corrupt"] == 1
    assert target.is_empty()


def test_a_spoilt_byte_on_the_way_is_noticed() -> None:
    listed = [Chunk(7, 1, digest(b"content"), b"content")]
    frame = bytearray(b"".join(wire.encode_chunks(Data("u1", 1, 0, 1), listed)))
    frame[-1] ^= 1
    assert decode(bytes(frame)).intact is False


def test_a_chunk_larger_than_agreed_ends_the_migration(target: Target) -> None:
    target.offer(chunk_size=1000)
    assert target.say(chunks(0, b"x" * 1001)) == refusal(Reason.INVALID)
    assert target.is_empty()


def test_more_than_was_announced_ends_the_migration(target: Target) -> None:
    target.offer(size=10, chunk_size=1 << 20)
    limit = target.host.state.twin("u1").inbound_chunks
    assert limit is not None
    answers: list[Any] = []
    for place in range(limit.limit // (1 << 20) + 1):
        answers = target.say(chunks(place, bytes(1 << 20), number=place))
    assert answers == refusal(Reason.TOO_LARGE)
    assert target.is_empty()


@pytest.mark.parametrize("number", [1 << 24, (1 << 32) - 1])
def test_a_chunk_out_of_range_is_no_frame(number: int) -> None:
    listed = [Chunk(number, 1, digest(b""), b"")]
    with pytest.raises(wire.WireError, match="no chunk has that number"):
        decode(b"".join(wire.encode_chunks(Data("u1", 1, 0, 1), listed)))


def test_chunks_that_do_not_follow_on_what_is_here_are_ignored(target: Target) -> None:
    target.offer()
    assert target.say(chunks(5, b"later")) == []
    assert target.host.counts["out_of_order"] == 1
    assert target.host.store._value("SELECT count(*) FROM chunks") == 0
    target.say(chunks(0, b"first"))
    assert target.say(chunks(0, b"again")) == []
    assert target.record.inbound is not None
    assert target.record.inbound.version == 1


# -- offers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"size": 1 << 60}, Reason.TOO_LARGE),
        ({"size": 15 << 30}, Reason.FULL),
        ({"chunk_size": (1 << 20) + 1}, Reason.INVALID),
        ({"chunk_size": 0}, Reason.INVALID),
        ({"application": "another/1"}, Reason.INCOMPATIBLE),
        ({"epoch": EPOCH + 2}, Reason.UNCONFIRMED),
        ({"epoch": HIGHEST}, Reason.UNCONFIRMED),
    ],
)
def test_an_offer_that_cannot_be_meant_is_refused(tmp_path: Path, changes: dict[str, Any], reason: Reason) -> None:
    target = Target(tmp_path, HostSettings(reserve=1 << 60) if reason is Reason.FULL else None)
    assert target.offer(**changes) == refusal(reason)
    assert target.is_empty()
    assert target.record == Record()


def test_an_old_epoch_is_refused_with_the_newer_one(target: Target) -> None:
    assert target.offer(epoch=EPOCH - 1) == refusal(Reason.STALE, EPOCH)


def test_a_twin_cannot_move_beyond_the_last_epoch(target: Target) -> None:
    last = make_epoch(6) - 1  # of its term
    target.host.recognise(LeaseRenewal("u1", "enemy", last, last), 0.5)
    assert target.offer(epoch=last) == refusal(Reason.INVALID)
    assert target.is_empty()


def test_an_unknown_rsu_cannot_offer_a_twin_that_it_does_not_host(target: Target) -> None:
    offer = Offer("u1", SESSION, EPOCH, Purpose.MIGRATION, 1000, 65536, UavTwins.name)
    assert target.say(offer, peer="unknown_rsu") == refusal(Reason.UNCONFIRMED)
    assert target.say(replace(offer, uav="u2"), peer="unknown_rsu") == [Refuse("u2", SESSION, Reason.UNCONFIRMED)]
    assert target.is_empty()


def test_only_so_many_copies_arrive_at_once(tmp_path: Path) -> None:
    target = Target(tmp_path, HostSettings(most_inbound=2))
    for number in range(3):
        target.host.recognise(LeaseRenewal(f"v{number}", "enemy", EPOCH, EPOCH), 0.5)
        (answer,) = target.offer(uav=f"v{number}")
        assert isinstance(answer, Accept) == (number < 2)
    assert answer.reason is Reason.BUSY


# -- the end of a copy -------------------------------------------------------------------------------------------------


def whole(target: Target, head: bytes | None = None) -> Checkpoint:
    """All chunks of a twin, sent; returns what completes it."""
    twin = UavTwin("u1", 20_000)
    pieces = [piece for piece in twin.snapshot() if piece.number or head is None]
    if head is not None:
        pieces.append(pieces[0]._replace(number=0, content=head))
    entries = []
    for version, piece in enumerate(pieces):
        target.say(chunks(version, piece.content, number=piece.number))
        entries.append(Entry(piece.number, version + 1, digest(piece.content), len(piece.content)))
    return Checkpoint("u1", SESSION, len(pieces), digest_of_twin("u1", entries))


def test_a_copy_that_is_whole_is_prepared(target: Target) -> None:
    target.offer()
    (answer,) = target.say(whole(target))
    assert isinstance(answer, Verified)


def test_a_copy_with_a_wrong_digest_is_thrown_away(target: Target) -> None:
    target.offer()
    assert target.say(replace(whole(target), digest=bytes(32))) == refusal(Reason.CORRUPT)
    assert target.is_empty()


def test_a_copy_that_lacks_a_chunk_is_thrown_away(target: Target) -> None:
    target.offer()
    prepare = whole(target)
    inbound = target.host.state.twin("u1").inbound_chunks
    assert inbound is not None
    del inbound.latest[1024]
    assert target.say(prepare) == refusal(Reason.CORRUPT)


def told(**changes: object) -> bytes:
    """A head with something wrong in it."""
    right = {"size": 1, "piece_size": 1, "recorded": 0, "sequence": 0, "stamp": 0, "axes": []}
    return json.dumps({"format": 1, "uav": "u1", **right, **changes}).encode()


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"no json",
        b"[]",
        b"{}",
        b'{"format": 1, "uav": "u2"}',
        b'{"format": 1, "uav": "u1"}',
        told(size=-1),
        told(piece_size=0),
        told(recorded=9),
        told(recorded=True),
        told(sequence=""),
        told(stamp=float("nan")),
        told(axes=[[1]]),
        told(axes=7),
        told(axes=[["x"] * 5] * 3),
        told(axes=[[0, 0, -1, 0, 1]] * 3),  # no covariance: its square root ended an RSU, at each start
        told(axes=[[0, 0, 1, 2, 1]] * 3),
        told(axes=[[1e300, 0, 1, 0, 1]] * 3),
        told(stamp=10**400),
        told(stamp=1e300),
        told(sequence=1 << 64),
        told(size=10**30),
        b"[" * 15_000,
        b'{"format": ' + b"9" * 400 + b"}",
    ],
)
def test_a_copy_that_is_no_twin_is_thrown_away(target: Target, head: bytes) -> None:
    target.offer()
    assert target.say(whole(target, head)) == refusal(Reason.CORRUPT)
    assert target.host.counts["not_restorable"] == 1
    assert target.is_empty()
