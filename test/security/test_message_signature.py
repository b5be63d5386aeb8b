"""Signatures: nobody speaks in another's name, be it an RSU or a UAV."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("nacl")

from uav_twin_migration.market.messages import Refusal
from uav_twin_migration.security import ed25519
from uav_twin_migration.security import message_signature as signature
from uav_twin_migration.security.authority import make_signing_keys, make_uav_signing_keys
from uav_twin_migration.security.ed25519 import KeyFileError
from uav_twin_migration.security.message_signature import (
    SIGNATURE_CONTEXT,
    UAVS_LABEL,
    MessageSigner,
    MessageVerifier,
)

SAID = b"a message's content"
NOW = time.time()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("keys")
    make_signing_keys(directory, ["north", "south"])
    return directory


@pytest.fixture
def reader(keys: Path) -> MessageVerifier:
    return MessageVerifier.from_file(keys / "market.pub")


def test_what_an_rsu_signed_is_believed(keys: Path, reader: MessageVerifier) -> None:
    for _ in range(2):  # also when its certificate is known
        assert reader.refusal("north", SAID, MessageSigner(keys / "north.signing").signature(SAID), NOW) is None


def test_another_rsu_cannot_speak_in_its_name(keys: Path, reader: MessageVerifier) -> None:
    north, south = MessageSigner(keys / "north.signing"), MessageSigner(keys / "south.signing")
    assert reader.refusal("north", SAID, south.signature(SAID), NOW) is Refusal.FORGED
    own = north.signature(SAID)
    assert reader.refusal("north", SAID, own, NOW) is None
    mixed = (
        own[: signature.CERTIFICATE_SIZE] + south.signature(SAID)[signature.CERTIFICATE_SIZE :]
    )  # its certificate, another's signature
    assert reader.refusal("north", SAID, mixed, NOW) is Refusal.FORGED
    assert reader.refusal("south", SAID, own, NOW) is Refusal.FORGED
    assert reader.refusal("north", SAID + b" ", own, NOW) is Refusal.FORGED
    assert reader.refusal("north", SAID, b"", NOW) is Refusal.UNSIGNED
    assert reader.refusal("north", SAID, own[:-1], NOW) is Refusal.FORGED


def test_a_certificate_of_another_authority_is_worth_nothing(reader: MessageVerifier, tmp_path: Path) -> None:
    make_signing_keys(tmp_path, ["north"])
    assert (
        reader.refusal("north", SAID, MessageSigner(tmp_path / "north.signing").signature(SAID), NOW) is Refusal.FORGED
    )


def test_a_certificate_runs_out(keys: Path, reader: MessageVerifier) -> None:
    north = MessageSigner(keys / "north.signing")
    assert north.until - NOW == pytest.approx(825 * 86400, abs=86400.0)
    assert reader.refusal("north", SAID, north.signature(SAID), north.until + 1.0) is Refusal.EXPIRED
    prolonged = bytearray(north.signature(SAID))
    prolonged[6] = 1
    assert reader.refusal("north", SAID, bytes(prolonged), north.until + 1.0) is Refusal.FORGED


@given(bit=st.integers(min_value=0, max_value=signature.SIGNATURE_SIZE * 8 - 1))
def test_no_changed_signature_passes(bit: int) -> None:
    authority, own = ed25519.make_key(), ed25519.make_key()
    certificate = signature.certify(authority, "north", ed25519.public_of(own), 2**62)
    signed = bytearray(certificate + ed25519.sign(own, SIGNATURE_CONTEXT + SAID))
    reader = MessageVerifier(ed25519.public_of(authority))
    assert reader.refusal("north", SAID, bytes(signed), NOW) is None
    signed[bit // 8] ^= 1 << bit % 8
    assert reader.refusal("north", SAID, bytes(signed), NOW) in (Refusal.FORGED, Refusal.EXPIRED)


def test_bad_key_files_are_named(keys: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed.signing"
    south = (keys / "south.signing").read_text()
    north = (keys / "north.signing").read_text()
    mixed.write_text(south[: south.index("-----BEGIN UAVTWIN")] + north[north.index("-----BEGIN UAVTWIN") :])
    with pytest.raises(KeyFileError, match=r"mixed\.signing"):
        MessageSigner(mixed)
    with pytest.raises(KeyFileError, match="nowhere"):
        MessageVerifier.from_file(tmp_path / "nowhere.pub")
    (tmp_path / "text.pub").write_text("no key")
    with pytest.raises(KeyFileError, match="not an Ed25519 public key"):
        MessageVerifier.from_file(tmp_path / "text.pub")


def test_signatures_are_renewed_only_when_asked_to(tmp_path: Path) -> None:
    make_signing_keys(tmp_path, ["north"])
    before = (tmp_path / "north.signing").read_bytes()
    assert [file.name for file in make_signing_keys(tmp_path, ["north", "south"])] == ["south.signing"]
    assert (tmp_path / "north.signing").read_bytes() == before
    make_signing_keys(tmp_path, ["north"], renew=True)
    assert (tmp_path / "north.signing").read_bytes() != before
    reader = MessageVerifier.from_file(tmp_path / "market.pub")  # the authority stays: nobody else needs a new file
    assert reader.refusal("north", SAID, MessageSigner(tmp_path / "north.signing").signature(SAID), NOW) is None
    assert (tmp_path / "north.signing").stat().st_mode & 0o077 == 0


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


def signature_of(certificate: bytes, said: bytes = SAID) -> bytes:
    """A signature as OWN makes it with a certificate."""
    return (
        certificate[: signature.CERTIFICATE_SIZE]
        + ed25519.sign(OWN, SIGNATURE_CONTEXT + said)
        + certificate[signature.CERTIFICATE_SIZE :]
    )


@given(uav_container=IDS, data=st.data())
def test_a_uav_container_speaks_for_its_uavs_and_for_nobody_else(uav_container: list[str], data: st.DataObject) -> None:
    reader = MessageVerifier(ed25519.public_of(MARKET))
    signed = signature_of(signature.certify_uavs(MARKET, uav_container, ed25519.public_of(OWN), 2**62))
    some = data.draw(st.lists(st.sampled_from(uav_container)))
    assert reader.refusal_of_uavs(some, SAID, signed, NOW) is None
    assert reader.refusal_of_uavs(some, SAID + b" ", signed, NOW) is Refusal.FORGED
    unknown_rsu = data.draw(IDS.map(lambda ids: ids[0]).filter(lambda one: one not in uav_container))
    assert reader.refusal_of_uavs([*some, unknown_rsu], SAID, signed, NOW) is Refusal.FORGED
    for ids in (
        " ".join([*uav_container, unknown_rsu]).encode(),
        unknown_rsu.encode(),
    ):  # other ids under the same certificate
        assert (
            reader.refusal_of_uavs([unknown_rsu], SAID, signed[: signature.SIGNATURE_SIZE] + ids, NOW) is Refusal.FORGED
        )


@given(ids=IDS)
def test_no_key_of_one_kind_passes_for_the_other(ids: list[str]) -> None:
    reader, public = MessageVerifier(ed25519.public_of(MARKET)), ed25519.public_of(OWN)
    one = ids[0]
    of_rsu = signature_of(signature.certify(MARKET, one, public, 2**62))
    of_uavs = signature_of(signature.certify_uavs(MARKET, ids, public, 2**62))
    assert reader.refusal(one, SAID, of_rsu, NOW) is None
    assert reader.refusal_of_uavs(ids, SAID, of_uavs, NOW) is None
    for disguised in (of_rsu, of_rsu + one.encode()):
        assert reader.refusal_of_uavs([one], SAID, disguised, NOW) is Refusal.FORGED
    for disguised in (of_uavs, of_uavs[: signature.SIGNATURE_SIZE]):
        assert reader.refusal(one, SAID, disguised, NOW) is Refusal.FORGED


@given(uav_container=IDS, place=st.floats(min_value=0.0, max_value=1.0, exclude_max=True), bit=st.integers(0, 7))
def test_no_changed_signature_of_uavs_passes(uav_container: list[str], place: float, bit: int) -> None:
    reader = MessageVerifier(ed25519.public_of(MARKET))
    signed = bytearray(signature_of(signature.certify_uavs(MARKET, uav_container, ed25519.public_of(OWN), 2**62)))
    shorter = bytes(signed[: int(place * len(signed))])
    assert reader.refusal_of_uavs(uav_container, SAID, shorter, NOW) is (
        Refusal.FORGED if shorter else Refusal.UNSIGNED
    )
    signed[int(place * len(signed))] ^= 1 << bit
    assert reader.refusal_of_uavs([], SAID, bytes(signed), NOW) in (Refusal.FORGED, Refusal.EXPIRED)


def test_a_uavs_certificate_runs_out() -> None:
    reader = MessageVerifier(ed25519.public_of(MARKET))
    signed = signature_of(signature.certify_uavs(MARKET, ["uav"], ed25519.public_of(OWN), int(NOW) + 10))
    assert reader.refusal_of_uavs(["uav"], SAID, signed, NOW + 9.0) is None
    assert reader.refusal_of_uavs(["uav"], SAID, signed, NOW + 11.0) is Refusal.EXPIRED


def test_a_signature_file_is_of_one_kind(keys: Path, tmp_path: Path) -> None:
    make_uav_signing_keys(tmp_path, {"east": ["b", "a"]})
    assert MessageSigner(tmp_path / "east.signing", UAVS_LABEL).uavs == ["a", "b"]
    with pytest.raises(KeyFileError, match="no RSU's certificate"):
        MessageSigner(tmp_path / "east.signing")
    with pytest.raises(KeyFileError, match="no UAV's certificate"):
        MessageSigner(keys / "north.signing", UAVS_LABEL)
