"""Signed policies: what is believed, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("nacl")

from uav_twin_migration.cli.main import main
from uav_twin_migration.security import ed25519
from uav_twin_migration.security.authority import make_keys
from uav_twin_migration.security.ed25519 import KeyFileError
from uav_twin_migration.security.policy_signature import Distrust, Keyring, Signer

ARTIFACT = b"an artifact, which holds its version"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an operator makes: a learner's key pair, and an impostor's."""
    directory = tmp_path_factory.mktemp("keys")
    assert main(["keys", str(directory), "--learner", "city", "--learner", "impostor"]) == 0
    return directory


@pytest.fixture
def keyring(keys: Path, tmp_path: Path) -> Keyring:
    """An RSU's keyring, which holds the learner's key alone."""
    (tmp_path / "city.pub").write_bytes((keys / "city.pub").read_bytes())
    return Keyring(tmp_path)


def test_what_a_known_learner_signed_is_believed(keys: Path, keyring: Keyring) -> None:
    signer = Signer(keys / "city.key")
    assert keyring.distrust(ARTIFACT, signer.key_id, signer.sign(ARTIFACT)) is None


def test_everything_else_is_not(keys: Path, keyring: Keyring) -> None:
    city, impostor = Signer(keys / "city.key"), Signer(keys / "impostor.key")
    signature = city.sign(ARTIFACT)
    assert keyring.distrust(ARTIFACT, "", b"") is Distrust.UNSIGNED
    assert keyring.distrust(ARTIFACT, city.key_id, b"") is Distrust.UNSIGNED
    assert keyring.distrust(ARTIFACT, "", signature) is Distrust.UNSIGNED
    assert keyring.distrust(ARTIFACT, impostor.key_id, impostor.sign(ARTIFACT)) is Distrust.UNKNOWN_KEY
    assert keyring.distrust(ARTIFACT, city.key_id, impostor.sign(ARTIFACT)) is Distrust.FORGED
    assert keyring.distrust(ARTIFACT + b" ", city.key_id, signature) is Distrust.FORGED


@settings(max_examples=50)  # it makes keys
@given(bit=st.integers(min_value=0, max_value=64 * 8 - 1))
def test_no_changed_signature_passes(bit: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        main(["keys", folder, "--learner", "one"])
        signer = Signer(Path(folder) / "one.key")
        changed = bytearray(signer.sign(ARTIFACT))
        changed[bit // 8] ^= 1 << bit % 8
        assert Keyring(folder).distrust(ARTIFACT, signer.key_id, bytes(changed)) is Distrust.FORGED


def test_a_bare_signature_of_the_artifact_without_the_context_is_none(keys: Path, keyring: Keyring) -> None:
    signature = ed25519.sign(ed25519.read_key(keys / "city.key", "PRIVATE KEY"), ARTIFACT)
    assert keyring.distrust(ARTIFACT, Signer(keys / "city.key").key_id, signature) is Distrust.FORGED


def test_keys_come_and_go_without_a_restart(keys: Path, keyring: Keyring) -> None:
    impostor = Signer(keys / "impostor.key")
    signature = impostor.sign(ARTIFACT)
    added = keyring.directory / "impostor.pub"
    added.write_bytes((keys / "impostor.pub").read_bytes())
    assert keyring.distrust(ARTIFACT, impostor.key_id, signature) is None
    added.unlink()
    assert keyring.distrust(ARTIFACT, impostor.key_id, signature) is Distrust.UNKNOWN_KEY


def test_bad_key_files_are_named(keys: Path, keyring: Keyring) -> None:
    (keyring.directory / "bad.pub").write_text("no key")
    with pytest.raises(KeyFileError, match=r"bad\.pub"):
        keyring.keys()
    with pytest.raises(KeyFileError, match="nowhere"):
        Signer(keys / "nowhere.key")
    pytest.importorskip("cryptography")
    make_keys(keys, ["rsu_1"])
    with pytest.raises(KeyFileError, match="not an Ed25519 private key"):
        Signer(keys / "rsu_1.key")


def test_a_second_run_keeps_the_key_unless_told_otherwise(tmp_path: Path) -> None:
    main(["keys", str(tmp_path), "--learner", "city"])
    before = (tmp_path / "city.key").read_bytes()
    assert (tmp_path / "city.key").stat().st_mode & 0o077 == 0
    main(["keys", str(tmp_path), "--learner", "city"])
    assert (tmp_path / "city.key").read_bytes() == before
    main(["keys", str(tmp_path), "--learner", "city", "--renew"])
    assert (tmp_path / "city.key").read_bytes() != before


def test_a_learner_never_overwrites_the_key_of_an_rsu(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    make_keys(tmp_path, ["rsu_1"])
    before = (tmp_path / "rsu_1.key").read_bytes()
    assert main(["keys", str(tmp_path), "--learner", "rsu_1", "--renew"]) == 1
    assert main(["keys", str(tmp_path), "--learner", "authority", "--renew"]) == 1
    assert (tmp_path / "rsu_1.key").read_bytes() == before


def test_neither_is_bad_input(tmp_path: Path) -> None:
    assert main(["keys", str(tmp_path)]) == 2
