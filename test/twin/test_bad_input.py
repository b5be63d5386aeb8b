"""What a broken or hostile RSU may say: refused, counted, and without any trace."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from test.twin.town import Town, decode
from uav_twin_migration.twin.hosting.admission import HostSettings
from uav_twin_migration.twin.hosting.host import TwinHost
from uav_twin_migration.twin.hosting.hosted_twins import MOST_STRANGERS
from uav_twin_migration.twin.hosting.outputs import Reply, Transmit
from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.twin import UavTwin, UavTwins
from uav_twin_migration.twin.protocol import wire
from uav_twin_migration.twin.protocol.chunks import (
    Chunk,
    Entry,
    digest,
    digest_of_twin,
)
from uav_twin_migration.twin.protocol.epochs import LAST_TERM, first_epoch, horizon, make_epoch, next_term
from uav_twin_migration.twin.protocol.messages import (
    Accept,
    Ack,
    Activated,
    Cancel,
    Checkpoint,
    Commit,
    Data,
    Fenced,
    HostRequest,
    LeaseRenewal,
    Offer,
    Purpose,
    Reason,
    Refuse,
    Stamp,
    Unprepared,
    Verified,
)
from uav_twin_migration.twin.protocol.replica_state import Record

EPOCH = make_epoch(5)
HIGHEST = (1 << 63) - 1
LINK = -7
SESSION = 3


class Target:
    """An RSU that an enemy talks to. The UAV u1 takes the enemy for its twin's host."""

    def __init__(self, directory: Path, settings: HostSettings | None = None) -> None:
        self.host = TwinHost(Store(directory / "target.db", "target"), UavTwins(), 0.0, settings)
        self.host.recognise(LeaseRenewal("u1", "enemy", EPOCH, EPOCH), 0.0)
        self.host.commit(0.0)

    def say(self, frame: Any, peer: str = "enemy") -> list[Any]:
        """One frame; returns the answers."""
        self.host.receive(LINK, peer, frame, 1.0)
        return [decode(wire.encoded(one.frame)) for one in self.host.commit(1.0) if isinstance(one, Transmit)]

    def offer(self, **changes: Any) -> list[Any]:
        twin = UavTwins()
        offer = Offer("u1", SESSION, EPOCH, Purpose.MIGRATION, 100_000, twin.chunk_size(100_000), twin.name)
        return self.say(replace(offer, **changes))

    @property
    def record(self) -> Record:
        return self.host.state.twin("u1").replica_state.record

    def is_empty(self) -> bool:
        """Whether the disk has nothing but itself, once it was swept."""
        while self.host.store.collect_garbage():
            pass
        self.host.store.commit()
        return all(self.host.store._value(f"SELECT count(*) FROM {table}") == 0 for table in ("contents", "copies"))


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(tmp_path)


def chunks(after: int, *contents: bytes, number: int = 1024, session: int = SESSION) -> wire.Chunks:
    listed = [
        Chunk(number + place, after + 1 + place, digest(content), content) for place, content in enumerate(contents)
    ]
    frame = decode(b"".join(wire.encode_chunks(Data("u1", session, after, after + len(contents)), listed)))
    assert isinstance(frame, wire.Chunks)
    return frame


def refusal(reason: Reason, newest_epoch: int = 0) -> list[Any]:
    return [Refuse("u1", SESSION, reason, newest_epoch)]


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
    assert target.host.store._value("SELECT count(*) FROM contents") == 0


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
    assert target.host.store._value("SELECT count(*) FROM contents") == 0
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


def test_a_unknown_rsu_cannot_offer_a_twin_that_it_does_not_host(target: Target) -> None:
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


# -- numbers from the far future ---------------------------------------------------------------------------------------


FAR_FUTURE = [HIGHEST, make_epoch(LAST_TERM - 1), make_epoch(LAST_TERM - 2), make_epoch(1 << 36)]


@pytest.mark.parametrize("epoch", FAR_FUTURE)
def test_no_word_of_its_uav_ends_a_twin_by_a_fence_of_the_far_future(tmp_path: Path, epoch: int) -> None:
    host = TwinHost(Store(tmp_path / "rsu.db", "rsu"), UavTwins(), 0.0, wall_clock=1.8e9)
    first = first_epoch(1.8e9)
    host.request(HostRequest("u1", "rsu", first, 1000), 0.0)
    host.recognise(LeaseRenewal("u1", "rsu", first, epoch), 0.0)
    host.recognise(LeaseRenewal("u1", "other", epoch, epoch), 0.0)
    host.request(HostRequest("u1", "rsu", epoch, 1000), 0.0)
    host.commit(0.0)
    assert host.counts["bad_epoch"] == 3
    assert host.hosted == ["u1"]
    host.request(HostRequest("u1", "rsu", first + make_epoch(1), 1000), 1.0)
    replies = [one.reply for one in host.commit(1.0) if isinstance(one, Reply)]
    assert [one.reason for one in replies] == [None]


def test_a_fence_at_the_horizon_is_overcome_a_second_later(tmp_path: Path) -> None:
    host = TwinHost(Store(tmp_path / "rsu.db", "rsu"), UavTwins(), 0.0, wall_clock=1.8e9)
    host.recognise(LeaseRenewal("u1", "", 0, horizon(1.8e9)), 0.0)
    beyond = next_term(horizon(1.8e9))
    host.request(HostRequest("u1", "rsu", beyond, 1000), 0.0)
    assert host.counts["bad_epoch"] == 1
    host.request(HostRequest("u1", "rsu", beyond, 1000), 1.0)
    host.commit(1.0)
    assert host.hosted == ["u1"]


def test_room_that_was_promised_to_new_twins_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    megabyte = 1024 * 1024
    host = TwinHost(Store(tmp_path / "rsu.db", "rsu"), UavTwins(), 0.0, HostSettings(reserve=64 * megabyte))
    monkeypatch.setattr(host.store, "free", lambda: 400 * megabyte)
    for number in range(30):  # in one message, before anything of them is written
        host.request(HostRequest(f"u{number}", "rsu", EPOCH, 20 * megabyte), 0.0)
    replies = [one.reply for one in host.commit(0.0) if isinstance(one, Reply)]
    assert [one.reason for one in replies].count(None) == (400 - 64) // 20
    assert {one.reason for one in replies} == {None, Reason.FULL}


@pytest.mark.parametrize("epoch", FAR_FUTURE)
def test_an_rsu_with_keys_that_tells_of_an_epoch_of_the_far_future_is_not_believed(target: Target, epoch: int) -> None:
    assert target.say(Fenced("u1", epoch)) == []
    assert target.host.counts["bad_epoch"] == 1
    assert target.record == Record()


# -- forged words ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epoch", [EPOCH + 1, EPOCH + 2, make_epoch(1 << 30), HIGHEST])
def test_a_commit_by_who_never_held_the_twin_is_ignored(target: Target, epoch: int) -> None:
    commit = Commit("u1", epoch, 10, 3.0, Stamp(1, 0.5))
    assert target.say(commit, peer="unknown_rsu") == []
    assert target.host.counts["unconfirmed_commit"] == 1
    assert target.record == Record()
    assert isinstance(target.offer()[0], Accept)  # it would still take the twin from its host


def test_a_host_that_commits_what_it_never_sent_is_told_so(target: Target) -> None:
    answer = target.say(Commit("u1", EPOCH + 1, 10, 3.0, None))
    assert answer == [Unprepared("u1", EPOCH + 1)]
    assert target.host.hosted == []


def test_forged_words_do_not_move_a_hosted_twin(tmp_path: Path) -> None:
    town = Town(tmp_path)
    town.run_until(town.is_served)
    host = town.rsus[town.host_discovery.host].host
    assert host is not None
    before = host.state.twin("u1").replica_state.record
    forged = [
        message
        for epoch in (before.epoch, before.epoch + 1, HIGHEST)
        for message in (
            Commit("u1", epoch, 10, 100.0, Stamp(1, 0.0)),
            Activated("u1", epoch),
            Unprepared("u1", epoch),
            Fenced("u1", epoch),
            Accept("u1", epoch, epoch),
            Ack("u1", epoch, epoch),
            Verified("u1", epoch, epoch, Stamp(1, 0.0)),
            Checkpoint("u1", epoch, epoch, bytes(32)),
            Offer("u1", epoch, epoch, Purpose.MIGRATION),
            Offer("u1", epoch, epoch, Purpose.REPLICATION),
            Cancel("u1", epoch),
            Refuse("u1", epoch, Reason.FULL, epoch),
        )
    ]
    for message in forged:
        host.receive(LINK, "Z", message, town.now)
        host.commit(town.now)
    assert host.state.twin("u1").replica_state.record == before
    assert sum(host.counts.values()) >= 20
    assert town.is_served()
    town.migrate(next(name for name in town.rsus if name != town.host_discovery.host))
    town.run(3.0)
    assert [report.reason for report in town.reports] == [None]


def test_a_target_that_says_it_has_what_was_never_sent_gets_nothing(tmp_path: Path) -> None:
    town = Town(tmp_path)
    town.run_until(town.is_served)
    host = town.rsus[town.host_discovery.host].host
    assert host is not None
    town.rsus["Z"] = town.rsus[next(name for name in town.rsus if name != town.host_discovery.host)]
    town.migrate("Z", rate=0.0)
    migration = host.state.twin("u1").replica_state.migration
    assert migration is not None
    for message in (
        Verified("u1", migration.session, 0, Stamp(1, 0.0)),
        Verified("u1", migration.session, host.state.twin("u1").replica_state.record.version, Stamp(1, 0.0)),
        Activated("u1", town.host_discovery.epoch + 1),
        Accept("u1", migration.session, HIGHEST),
    ):
        host.receive(1, "Z", message, town.now)
        host.commit(town.now)
    assert host.hosted == ["u1"]
    assert host.state.twin("u1").replica_state.serves(town.now)


def test_requests_that_cannot_be_meant_are_counted(target: Target) -> None:
    for request in (
        HostRequest("u9", "another", EPOCH),
        HostRequest("u9", "target", -1),
        HostRequest("u9", "target", 1 << 63),
        HostRequest("u9", "target", EPOCH, -5),
    ):
        target.host.request(request, 1.0)
    assert (target.host.counts["bad_request"], target.host.counts["bad_epoch"]) == (2, 2)
    target.host.recognise(LeaseRenewal("u9", "target", 1 << 63, 0), 1.0)
    assert target.host.counts["bad_epoch"] == 3
    assert target.host.commit(1.0) == []


def test_many_unauthenticated_are_forgotten(tmp_path: Path) -> None:
    target = Target(tmp_path)
    for number in range(MOST_STRANGERS + 500):
        target.host.recognise(LeaseRenewal(f"w{number}", "enemy", EPOCH, EPOCH), 1.0)
        if number % 1000 == 0:
            target.host.commit(1.0)
    target.host.commit(1.0)
    assert len(target.host.state.twins) <= MOST_STRANGERS
