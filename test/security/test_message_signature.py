"""Seals: nobody speaks in another's name, be it an RSU or a UAV."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("nacl")

from uav_twin_migration.cli.keys import make_seals, make_uav_seals
from uav_twin_migration.market.messages import Refusal
from uav_twin_migration.security import ed25519
from uav_twin_migration.security import message_signature as seal
from uav_twin_migration.security.ed25519 import KeyFileError
from uav_twin_migration.security.message_signature import (
    SEAL_CONTEXT,
    UAVS_LABEL,
    Sealer,
    SealReader,
)

SAID = b"a message's content"
NOW = time.time()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("keys")
    make_seals(directory, ["north", "south"])
    return directory


@pytest.fixture
def reader(keys: Path) -> SealReader:
    return SealReader.from_file(keys / "market.pub")


def test_what_an_rsu_sealed_is_believed(keys: Path, reader: SealReader) -> None:
    for _ in range(2):  # also when its voucher is known
        assert reader.refusal("north", SAID, Sealer(keys / "north.seal").seal(SAID), NOW) is None


def test_another_rsu_cannot_speak_in_its_name(keys: Path, reader: SealReader) -> None:
    north, south = Sealer(keys / "north.seal"), Sealer(keys / "south.seal")
    assert reader.refusal("north", SAID, south.seal(SAID), NOW) is Refusal.FORGED
    own = north.seal(SAID)
    assert reader.refusal("north", SAID, own, NOW) is None
    mixed = own[: seal.VOUCHER_SIZE] + south.seal(SAID)[seal.VOUCHER_SIZE :]  # its voucher, another's signature
    assert reader.refusal("north", SAID, mixed, NOW) is Refusal.FORGED
    assert reader.refusal("south", SAID, own, NOW) is Refusal.FORGED
    assert reader.refusal("north", SAID + b" ", own, NOW) is Refusal.FORGED
    assert reader.refusal("north", SAID, b"", NOW) is Refusal.UNSEALED
    assert reader.refusal("north", SAID, own[:-1], NOW) is Refusal.FORGED


def test_a_voucher_of_another_authority_is_worth_nothing(reader: SealReader, tmp_path: Path) -> None:
    make_seals(tmp_path, ["north"])
    assert reader.refusal("north", SAID, Sealer(tmp_path / "north.seal").seal(SAID), NOW) is Refusal.FORGED


def test_a_voucher_runs_out(keys: Path, reader: SealReader) -> None:
    north = Sealer(keys / "north.seal")
    assert north.until - NOW == pytest.approx(825 * 86400, abs=86400.0)
    assert reader.refusal("north", SAID, north.seal(SAID), north.until + 1.0) is Refusal.EXPIRED
    prolonged = bytearray(north.seal(SAID))
    prolonged[6] = 1
    assert reader.refusal("north", SAID, bytes(prolonged), north.until + 1.0) is Refusal.FORGED


@settings(deadline=None)  # it makes keys
@given(bit=st.integers(min_value=0, max_value=seal.SEAL_SIZE * 8 - 1))
def test_no_changed_seal_passes(bit: int) -> None:
    authority, own = ed25519.make_key(), ed25519.make_key()
    voucher = seal.vouch(authority, "north", ed25519.public_of(own), 2**62)
    sealed = bytearray(voucher + ed25519.sign(own, SEAL_CONTEXT + SAID))
    reader = SealReader(ed25519.public_of(authority))
    assert reader.refusal("north", SAID, bytes(sealed), NOW) is None
    sealed[bit // 8] ^= 1 << bit % 8
    assert reader.refusal("north", SAID, bytes(sealed), NOW) in (Refusal.FORGED, Refusal.EXPIRED)


def test_bad_key_files_are_named(keys: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed.seal"
    south = (keys / "south.seal").read_text()
    north = (keys / "north.seal").read_text()
    mixed.write_text(south[: south.index("-----BEGIN UAVTWIN")] + north[north.index("-----BEGIN UAVTWIN") :])
    with pytest.raises(KeyFileError, match=r"mixed\.seal"):
        Sealer(mixed)
    with pytest.raises(KeyFileError, match="nowhere"):
        SealReader.from_file(tmp_path / "nowhere.pub")
    (tmp_path / "text.pub").write_text("no key")
    with pytest.raises(KeyFileError, match="not an Ed25519 public key"):
        SealReader.from_file(tmp_path / "text.pub")


def test_seals_are_renewed_only_when_asked_to(tmp_path: Path) -> None:
    make_seals(tmp_path, ["north"])
    before = (tmp_path / "north.seal").read_bytes()
    assert [file.name for file in make_seals(tmp_path, ["north", "south"])] == ["south.seal"]
    assert (tmp_path / "north.seal").read_bytes() == before
    make_seals(tmp_path, ["north"], renew=True)
    assert (tmp_path / "north.seal").read_bytes() != before
    reader = SealReader.from_file(tmp_path / "market.pub")  # the authority stays: nobody else needs a new file
    assert reader.refusal("north", SAID, Sealer(tmp_path / "north.seal").seal(SAID), NOW) is None
    assert (tmp_path / "north.seal").stat().st_mode & 0o077 == 0


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_key_files_are_those_of_openssl(keys: Path, tmp_path: Path) -> None:
    command = ["openssl", "pkey", "-in", str(keys / "market.key"), "-pubout"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == (keys / "market.pub").read_text()
    made = tmp_path / "made.key"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(made)], check=True)
    assert len(ed25519.read_key(made, "PRIVATE KEY")) == ed25519.KEY_SIZE


# -- UAVs --------------------------------------------------------------------------------------------------------------

MARKET, OWN = ed25519.make_key(), ed25519.make_key()
IDS = st.lists(st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True), min_size=1, max_size=6, unique=True)


def seal_of(voucher: bytes, said: bytes = SAID) -> bytes:
    """A seal as OWN makes it with a voucher."""
    return voucher[: seal.VOUCHER_SIZE] + ed25519.sign(OWN, SEAL_CONTEXT + said) + voucher[seal.VOUCHER_SIZE :]


@settings(deadline=None)
@given(fleet=IDS, data=st.data())
def test_a_fleet_speaks_for_its_uavs_and_for_nobody_else(fleet: list[str], data: st.DataObject) -> None:
    reader = SealReader(ed25519.public_of(MARKET))
    sealed = seal_of(seal.vouch_for_uavs(MARKET, fleet, ed25519.public_of(OWN), 2**62))
    some = data.draw(st.lists(st.sampled_from(fleet)))
    assert reader.refusal_of_uavs(some, SAID, sealed, NOW) is None
    assert reader.refusal_of_uavs(some, SAID + b" ", sealed, NOW) is Refusal.FORGED
    stranger = data.draw(IDS.map(lambda ids: ids[0]).filter(lambda one: one not in fleet))
    assert reader.refusal_of_uavs([*some, stranger], SAID, sealed, NOW) is Refusal.FORGED
    for ids in (" ".join([*fleet, stranger]).encode(), stranger.encode()):  # other ids under the same voucher
        assert reader.refusal_of_uavs([stranger], SAID, sealed[: seal.SEAL_SIZE] + ids, NOW) is Refusal.FORGED


@settings(deadline=None)
@given(ids=IDS)
def test_no_key_of_one_kind_passes_for_the_other(ids: list[str]) -> None:
    reader, public = SealReader(ed25519.public_of(MARKET)), ed25519.public_of(OWN)
    one = ids[0]
    of_rsu = seal_of(seal.vouch(MARKET, one, public, 2**62))
    of_uavs = seal_of(seal.vouch_for_uavs(MARKET, ids, public, 2**62))
    assert reader.refusal(one, SAID, of_rsu, NOW) is None
    assert reader.refusal_of_uavs(ids, SAID, of_uavs, NOW) is None
    for disguised in (of_rsu, of_rsu + one.encode()):
        assert reader.refusal_of_uavs([one], SAID, disguised, NOW) is Refusal.FORGED
    for disguised in (of_uavs, of_uavs[: seal.SEAL_SIZE]):
        assert reader.refusal(one, SAID, disguised, NOW) is Refusal.FORGED


@settings(deadline=None)
@given(fleet=IDS, place=st.floats(min_value=0.0, max_value=1.0, exclude_max=True), bit=st.integers(0, 7))
def test_no_changed_seal_of_uavs_passes(fleet: list[str], place: float, bit: int) -> None:
    reader = SealReader(ed25519.public_of(MARKET))
    sealed = bytearray(seal_of(seal.vouch_for_uavs(MARKET, fleet, ed25519.public_of(OWN), 2**62)))
    shorter = bytes(sealed[: int(place * len(sealed))])
    assert reader.refusal_of_uavs(fleet, SAID, shorter, NOW) is (Refusal.FORGED if shorter else Refusal.UNSEALED)
    sealed[int(place * len(sealed))] ^= 1 << bit
    assert reader.refusal_of_uavs([], SAID, bytes(sealed), NOW) in (Refusal.FORGED, Refusal.EXPIRED)


def test_a_uavs_voucher_runs_out() -> None:
    reader = SealReader(ed25519.public_of(MARKET))
    sealed = seal_of(seal.vouch_for_uavs(MARKET, ["uav"], ed25519.public_of(OWN), int(NOW) + 10))
    assert reader.refusal_of_uavs(["uav"], SAID, sealed, NOW + 9.0) is None
    assert reader.refusal_of_uavs(["uav"], SAID, sealed, NOW + 11.0) is Refusal.EXPIRED


def test_a_seal_file_is_of_one_kind(keys: Path, tmp_path: Path) -> None:
    make_uav_seals(tmp_path, {"east": ["b", "a"]})
    assert Sealer(tmp_path / "east.seal", UAVS_LABEL).uavs == ["a", "b"]
    with pytest.raises(KeyFileError, match="no RSU's voucher"):
        Sealer(tmp_path / "east.seal")
    with pytest.raises(KeyFileError, match="no UAV's voucher"):
        Sealer(keys / "north.seal", UAVS_LABEL)
