"""Revoked keys: the list is the authority's, and only ever grows newer."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("nacl")

from uav_twin_migration.market.messages import Refusal
from uav_twin_migration.security import ed25519, revocation
from uav_twin_migration.security.authority import make_signing_keys, make_uav_signing_keys
from uav_twin_migration.security.ed25519 import KeyFileError
from uav_twin_migration.security.message_signature import UAVS_LABEL, MessageSigner, MessageVerifier
from uav_twin_migration.security.revocation import LABEL, Revocations, RevokedList

AUTHORITY = ed25519.make_key()
PUBLIC = ed25519.public_of(AUTHORITY)
SAID = b"a message's content"
entries = st.frozensets(st.binary(min_size=32, max_size=32), max_size=5)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "revoked"


def put(file: Path, text: str) -> None:
    """A new file in the old one's place, as it is copied."""
    beside = file.with_name("new")
    beside.write_text(text)
    os.replace(beside, file)


@given(version=st.integers(min_value=0, max_value=2**64 - 1), keys=entries)
def test_what_was_signed_is_read(
    tmp_path_factory: pytest.TempPathFactory, version: int, keys: frozenset[bytes]
) -> None:
    file = tmp_path_factory.mktemp("list") / "revoked"
    file.write_text(revocation.to_text(AUTHORITY, version, keys))
    assert revocation.read(file, PUBLIC) == RevokedList(version, keys)


@given(keys=entries, place=st.floats(min_value=0.0, max_value=1.0, exclude_max=True), bit=st.integers(0, 7))
def test_no_changed_list_is_read(
    tmp_path_factory: pytest.TempPathFactory, keys: frozenset[bytes], place: float, bit: int
) -> None:
    file = tmp_path_factory.mktemp("list") / "revoked"
    file.write_text(revocation.to_text(AUTHORITY, 7, keys))
    block = bytearray(ed25519.read_block(file, LABEL))
    for damaged in (bytes(block[: int(place * len(block))]), _flipped(block, int(place * len(block)), bit)):
        file.write_text(ed25519.pem_block(damaged, LABEL))
        with pytest.raises(KeyFileError, match="this market's authority"):
            revocation.read(file, PUBLIC)


def _flipped(block: bytearray, place: int, bit: int) -> bytes:
    block[place] ^= 1 << bit
    return bytes(block)


def test_without_a_file_nothing_is_revoked(file: Path) -> None:
    assert b"k" * 32 not in Revocations(file, PUBLIC)


def test_a_list_counts_as_soon_as_it_is_there_and_an_older_one_never(file: Path) -> None:
    one, two = b"1" * 32, b"2" * 32
    revoked = Revocations(file, PUBLIC)
    put(file, revocation.to_text(AUTHORITY, 5, {one}))
    assert one in revoked
    put(file, revocation.to_text(AUTHORITY, 4, {two}))
    assert one in revoked
    assert two not in revoked
    put(file, "half of a fi")
    assert one in revoked
    put(file, revocation.to_text(ed25519.make_key(), 9, {two}))
    assert two not in revoked
    put(file, revocation.to_text(AUTHORITY, 6, {one, two}))
    assert one in revoked
    assert two in revoked
    file.unlink()
    assert two in revoked


def test_what_a_revoked_key_signed_is_refused(tmp_path: Path) -> None:
    make_signing_keys(tmp_path, ["north", "south"])
    make_uav_signing_keys(tmp_path, {"uav": ["uav"]})
    north, south = MessageSigner(tmp_path / "north.signing"), MessageSigner(tmp_path / "south.signing")
    uav = MessageSigner(tmp_path / "uav.signing", UAVS_LABEL)
    reader, now = MessageVerifier.from_file(tmp_path / "market.pub"), time.time()
    assert reader.refusal("north", SAID, north.signature(SAID), now) is None
    key = ed25519.read_key(tmp_path / "market.key", "PRIVATE KEY")
    put(tmp_path / "revoked", revocation.to_text(key, 1, {north.public, uav.public}))
    assert reader.refusal("north", SAID, north.signature(SAID), now) is Refusal.REVOKED
    assert reader.refusal_of_uavs(["uav"], SAID, uav.signature(SAID), now) is Refusal.REVOKED
    assert reader.refusal("south", SAID, south.signature(SAID), now) is None


def test_who_begins_with_a_bad_list_is_told(tmp_path: Path) -> None:
    make_signing_keys(tmp_path, ["north"])
    put(tmp_path / "revoked", revocation.to_text(AUTHORITY, 1, set()))
    with pytest.raises(KeyFileError, match="revoked: no list"):
        MessageVerifier.from_file(tmp_path / "market.pub")
