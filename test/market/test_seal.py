"""Seals: nobody speaks in another RSU's name."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("nacl")

from uav_twin_migration import ed25519
from uav_twin_migration.cli.keys import make_seals
from uav_twin_migration.ed25519 import KeyFileError
from uav_twin_migration.market import seal
from uav_twin_migration.market.messages import Grant, Offer, Refusal
from uav_twin_migration.market.seal import Sealer, SealReader, content

OFFER = Offer("north", 7, 2.5, 10.0, (1.0, 2.0, 3.0), 600.0, 0.5)
GRANT = Grant("north", 7, 2.5, {"uav_1": 1.5, "uav_2": 0.0}, 2.0)
NOW = time.time()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("keys")
    make_seals(directory, ["north", "south"])
    return directory


@pytest.fixture
def reader(keys: Path) -> SealReader:
    return SealReader.from_file(keys / "market.pub")


@pytest.mark.parametrize("message", [OFFER, GRANT])
def test_what_an_rsu_sealed_is_believed(keys: Path, reader: SealReader, message: seal.Sealed) -> None:
    for _ in range(2):  # also when its voucher is known
        assert reader.refusal(message, Sealer(keys / "north.seal").seal(message), NOW) is None


@pytest.mark.parametrize("message", [OFFER, GRANT])
def test_another_rsu_cannot_speak_in_its_name(keys: Path, reader: SealReader, message: seal.Sealed) -> None:
    north, south = Sealer(keys / "north.seal"), Sealer(keys / "south.seal")
    assert reader.refusal(message, south.seal(message), NOW) is Refusal.FORGED
    own = north.seal(message)
    reader.refusal(message, own, NOW)
    mixed = own[: seal.VOUCHER_SIZE] + south.seal(message)[seal.VOUCHER_SIZE :]  # its voucher, another's signature
    assert reader.refusal(message, mixed, NOW) is Refusal.FORGED
    assert reader.refusal(message._replace(price=0.1), own, NOW) is Refusal.FORGED
    assert reader.refusal(message._replace(round=8), own, NOW) is Refusal.FORGED
    assert reader.refusal(message, b"", NOW) is Refusal.UNSEALED
    assert reader.refusal(message, own[:-1], NOW) is Refusal.FORGED


def test_a_voucher_of_another_authority_is_worth_nothing(reader: SealReader, tmp_path: Path) -> None:
    make_seals(tmp_path, ["north"])
    assert reader.refusal(OFFER, Sealer(tmp_path / "north.seal").seal(OFFER), NOW) is Refusal.FORGED


def test_a_voucher_runs_out(keys: Path, reader: SealReader) -> None:
    north = Sealer(keys / "north.seal")
    assert north.until - NOW == pytest.approx(825 * 86400, abs=60.0)
    assert reader.refusal(OFFER, north.seal(OFFER), north.until + 1.0) is Refusal.EXPIRED
    prolonged = bytearray(north.seal(OFFER))
    prolonged[6] = 1
    assert reader.refusal(OFFER, bytes(prolonged), north.until + 1.0) is Refusal.FORGED


@given(bit=st.integers(min_value=0, max_value=seal.SEAL_SIZE * 8 - 1))
def test_no_changed_seal_passes(bit: int) -> None:
    authority, own = ed25519.make_key(), ed25519.make_key()
    voucher = seal.vouch(authority, "north", ed25519.public_of(own), 2**62)
    sealed = bytearray(voucher + ed25519.sign(own, content(OFFER)))
    reader = SealReader(ed25519.public_of(authority))
    assert reader.refusal(OFFER, bytes(sealed), NOW) is None
    sealed[bit // 8] ^= 1 << bit % 8
    assert reader.refusal(OFFER, bytes(sealed), NOW) in (Refusal.FORGED, Refusal.EXPIRED)


ids = st.text(st.sampled_from("ab"), max_size=3)
numbers = st.sampled_from([0.0, 1.0, -0.0, 2.5])
grants = st.builds(Grant, ids, st.integers(0, 3), numbers, st.dictionaries(ids, numbers, max_size=3), numbers)


@given(one=grants, other=grants)
def test_different_grants_have_different_contents(one: Grant, other: Grant) -> None:
    same = repr(one) == repr(other)
    assert (content(one) == content(other)) == same


def test_an_offer_is_no_grant() -> None:
    assert content(OFFER) != content(GRANT)


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
    assert reader.refusal(OFFER, Sealer(tmp_path / "north.seal").seal(OFFER), NOW) is None
    assert (tmp_path / "north.seal").stat().st_mode & 0o077 == 0


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_key_files_are_those_of_openssl(keys: Path, tmp_path: Path) -> None:
    command = ["openssl", "pkey", "-in", str(keys / "market.key"), "-pubout"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == (keys / "market.pub").read_text()
    made = tmp_path / "made.key"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(made)], check=True)
    assert len(ed25519.read_key(made, "PRIVATE KEY")) == ed25519.KEY_SIZE
