"""`uavtwin keys`."""

from __future__ import annotations

import datetime
import ssl
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from uav_twin_migration.cli.main import main
from uav_twin_migration.security.authority import ISSUED, make_keys

pytest.importorskip("cryptography")
pytest.importorskip("nacl")

from uav_twin_migration.security import authority, ed25519, revocation
from uav_twin_migration.security.certificates import (
    Identity,
    IdentityError,
    _shake_hands,
    rsu_of,
)
from uav_twin_migration.security.message_signature import UAVS_LABEL, MessageSigner


def der(file: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(file.read_text())


def test_keys_are_made_for_every_rsu_and_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", str(tmp_path / "keys"), "--rsus", "north", "south"]) == 0
    made = capsys.readouterr().out.split()
    assert {Path(file).name for file in made} == {
        *("authority.pem", "authority.key", "north.pem", "north.key", "south.pem", "south.key"),
        *("market.pub", "market.key", "north.signing", "south.signing"),
    }
    assert {file.name for file in (tmp_path / "keys").iterdir()} - {Path(file).name for file in made} == {ISSUED}
    assert Identity(tmp_path / "keys", "north").rsu == "north"


def test_private_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    make_keys(tmp_path, ["north"])
    for key in ("authority.key", "north.key"):
        assert stat.S_IMODE((tmp_path / key).stat().st_mode) == 0o600


def test_a_second_run_adds_what_is_missing_and_replaces_nothing(tmp_path: Path) -> None:
    make_keys(tmp_path, ["north"])
    before = {file: file.read_bytes() for file in tmp_path.iterdir() if file.name != ISSUED}
    made = make_keys(tmp_path, ["north", "south"])
    assert {file.name for file in made} == {"south.pem", "south.key"}
    assert before == {file: file.read_bytes() for file in before}
    assert Identity(tmp_path, "south").rsu == "south"


def test_renewed_keys_are_new_and_of_the_same_authority(tmp_path: Path) -> None:
    make_keys(tmp_path, ["north"])
    key, authority = (tmp_path / "north.key").read_bytes(), (tmp_path / "authority.pem").read_bytes()
    make_keys(tmp_path, ["north"], renew=True)
    assert (tmp_path / "north.key").read_bytes() != key
    assert (tmp_path / "authority.pem").read_bytes() == authority
    assert Identity(tmp_path, "north").rsu == "north"


@pytest.mark.parametrize("rsu", ["a/b", "..", "", "1st", "authority", "x" * 65])
def test_a_name_that_no_rsu_can_have_is_refused(tmp_path: Path, rsu: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", str(tmp_path), "--rsus", rsu]) == 2
    assert "--rsus: ID" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_damaged_authority_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_keys(tmp_path, ["north"])
    (tmp_path / "authority.key").write_text("nonsense")
    assert main(["keys", str(tmp_path), "--rsus", "south"]) == 1
    assert "damaged" in capsys.readouterr().err
    assert (tmp_path / "authority.key").read_text() == "nonsense"


def test_an_identity_says_what_is_wrong_with_its_files(tmp_path: Path) -> None:
    make_keys(tmp_path / "here", ["north", "south"])
    make_keys(tmp_path / "elsewhere", ["north"])
    with pytest.raises(IdentityError, match=r"west\.pem: cannot be read"):
        Identity(tmp_path / "here", "west")
    for suffix in ("pem", "key"):
        (tmp_path / "here" / f"north.{suffix}").write_bytes((tmp_path / "elsewhere" / f"north.{suffix}").read_bytes())
    with pytest.raises(IdentityError, match="other RSUs will refuse it"):
        Identity(tmp_path / "here", "north")
    for suffix in ("pem", "key"):
        (tmp_path / "here" / f"north.{suffix}").write_bytes((tmp_path / "here" / f"south.{suffix}").read_bytes())
    with pytest.raises(IdentityError, match="certificate of RSU 'south', not 'north'"):
        Identity(tmp_path / "here", "north")


@pytest.mark.parametrize("days", [-1000, 30])
def test_a_clock_outside_the_certificate_s_time_may_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    class Shifted(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
            return datetime.datetime.now(tz) + datetime.timedelta(days=days)

    make_keys(tmp_path, ["south"])
    with monkeypatch.context() as patch:
        own = SimpleNamespace(datetime=Shifted, timedelta=datetime.timedelta, timezone=datetime.timezone)
        patch.setattr(authority, "datetime", own)
        make_keys(tmp_path, ["north"])
    with pytest.raises(IdentityError, match="clock is right") as caught:
        Identity(tmp_path, "north")
    assert caught.value.may_pass
    for suffix in ("pem", "key"):
        (tmp_path / f"north.{suffix}").write_bytes((tmp_path / f"south.{suffix}").read_bytes())
    with pytest.raises(IdentityError) as caught:
        Identity(tmp_path, "north")
    assert not caught.value.may_pass


def test_keys_are_renewed_without_a_restart(tmp_path: Path) -> None:
    keys, host = tmp_path / "keys", tmp_path / "host"
    host.mkdir()

    def copy(*names: str) -> None:
        for name in names:
            (host / name).write_bytes((keys / name).read_bytes())

    make_keys(keys, ["north"])
    copy("authority.pem", "north.pem", "north.key")
    identity = Identity(host, "north")
    server = identity.server
    assert identity.server is server
    make_keys(keys, ["north"], renew=True)
    copy("north.key")  # the certificate still comes: both together are of no use
    assert identity.server is server
    copy("north.pem")
    assert identity.server is not server
    assert identity.server is identity.server


def test_an_authority_is_replaced_by_way_of_both(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for keys in (old, new):
        make_keys(keys, ["north", "south"])
    both = (old / "authority.pem").read_bytes() + (new / "authority.pem").read_bytes()
    for keys in (old, new):
        (keys / "authority.pem").write_bytes(both)
    north, south = Identity(old, "north"), Identity(new, "south")  # one has its new keys, the other not yet
    for client, server, rsu in ((north, south, "south"), (south, north, "north")):
        assert rsu_of(_shake_hands(client.client, server.server)) == rsu


# -- UAVs, and keys that are taken back --------------------------------------------------------------------------------


def test_uavs_and_uav_containers_get_signatures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", str(tmp_path), "--uavs", "a", "b", "--uav-container", "east", "c", "d"]) == 0
    assert {Path(file).name for file in capsys.readouterr().out.split()} == {
        *("market.key", "market.pub", "a.signing", "b.signing", "east.signing"),
    }
    assert MessageSigner(tmp_path / "a.signing", UAVS_LABEL).uavs == ["a"]
    assert MessageSigner(tmp_path / "east.signing", UAVS_LABEL).uavs == ["c", "d"]
    assert stat.S_IMODE((tmp_path / "east.signing").stat().st_mode) == 0o600
    assert main(["keys", str(tmp_path), "--uav-container", "east", "d", "c"]) == 0
    assert main(["keys", str(tmp_path), "--uav-container", "east", "c"]) == 1
    assert "for other UAVs" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ["--uavs", "1st"],
        ["--uav-container", "east"],
        ["--uav-container", "east", "a/b"],
        ["--uavs", "a", "--rsus", "a"],
    ],
)
def test_no_uav_without_a_name_of_its_own(
    tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", str(tmp_path), *options]) == 2
    assert "--uav-container" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_rsus_signature_is_not_given_to_a_uav_of_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", str(tmp_path), "--rsus", "north"]) == 0
    assert main(["keys", str(tmp_path), "--uavs", "north"]) == 1
    assert "no UAV's certificate" in capsys.readouterr().err


def test_all_keys_that_an_id_ever_had_are_revoked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", str(tmp_path), "--rsus", "north", "south"]) == 0
    old = MessageSigner(tmp_path / "north.signing").public
    assert main(["keys", str(tmp_path), "--rsus", "north", "--renew"]) == 0
    renewed, other = (
        MessageSigner(tmp_path / "north.signing").public,
        MessageSigner(tmp_path / "south.signing").public,
    )
    certificate = der(tmp_path / "north.pem")
    authority = ed25519.read_key(tmp_path / "market.pub", "PUBLIC KEY")

    assert main(["keys", str(tmp_path), "--revoke", "north"]) == 0
    version, revoked = revocation.read(tmp_path / "revoked", authority)
    assert (version, len(revoked)) == (1, 4)
    assert {old, renewed, revocation.certificate_entry(certificate)} < revoked
    assert other not in revoked

    assert main(["keys", str(tmp_path), "--rsus", "north", "south"]) == 0  # the next ones are good
    assert MessageSigner(tmp_path / "north.signing").public not in revoked
    assert not Identity(tmp_path, "south").is_revoked(der(tmp_path / "north.pem"))
    assert Identity(tmp_path, "south").is_revoked(certificate)
    assert main(["keys", str(tmp_path), "--uavs", "a"]) == 0
    assert main(["keys", str(tmp_path), "--revoke", "a"]) == 0
    newer, more = revocation.read(tmp_path / "revoked", authority)
    assert (newer, len(more)) == (2, 5)
    assert revoked < more


def test_a_learners_key_stays_when_a_uav_of_its_name_is_revoked(tmp_path: Path) -> None:
    assert main(["keys", str(tmp_path), "--learner", "city", "--uavs", "city"]) == 0
    assert main(["keys", str(tmp_path), "--revoke", "city"]) == 0
    assert {file.name for file in tmp_path.glob("city.*")} == {"city.key", "city.pub"}


def test_who_never_had_a_key_cannot_be_revoked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", str(tmp_path), "--rsus", "north"]) == 0
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    assert main(["keys", str(tmp_path), "--revoke", "north", "nroth"]) == 2
    assert "'nroth'" in capsys.readouterr().err
    assert before == {file: file.read_bytes() for file in tmp_path.iterdir()}


def test_a_list_that_nobody_signed_is_told(tmp_path: Path) -> None:
    assert main(["keys", str(tmp_path), "--rsus", "north"]) == 0
    (tmp_path / "revoked").write_text("nobody")
    with pytest.raises(IdentityError, match=r"revoked: no list that this market's authority has signed"):
        Identity(tmp_path, "north")
