"""The local authorities: who vouches for RSUs' certificates, signing keys and learners, and takes back what was issued.

One authority signs the X.509 certificates with which RSUs move twins (mutual TLS), another the Ed25519 keys with which
RSUs and UAVs sign what they say. Both live in one folder, which `uavtwin keys` fills; docs/security.md tells which of
its files go where.
"""

from __future__ import annotations

import datetime
import os
import ssl
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from uav_twin_migration.errors import InputError, UavTwinError
from uav_twin_migration.security import ed25519, revocation
from uav_twin_migration.security import message_signature as signature
from uav_twin_migration.security.certificates import AUTHORITY_FILE, MARKET_FILE, URI_PREFIX

MARKET_PRIVATE, MARKET_PUBLIC = "market.key", MARKET_FILE
ISSUED = "issued"  # file: whose keys were made here, a line each: id, and what a list of revoked keys calls it
AUTHORITY = "authority"  # whose key is beside those of the RSUs, so that none of them may have the name
AUTHORITY_DAYS = 3650
EARLY = datetime.timedelta(hours=1)  # that a certificate is valid before it was made: clocks differ


def make_keys(directory: Path, rsus: list[str], days: int = 825, renew: bool = False) -> list[Path]:
    """Make what is missing of an authority and of the RSUs' keys. Returns the files written. Raises UavTwinError."""
    authority = _Authority(directory)
    made = list(authority.made)
    for rsu in rsus:
        if renew or not (directory / f"{rsu}.key").exists():
            made += authority.vouch_for(rsu, days)
    return made


def make_signing_keys(directory: Path, rsus: Sequence[str], days: int = 825, renew: bool = False) -> list[Path]:
    """Make what is missing of the market's authority, and of what RSUs sign with: ID.signing.

    Returns the files written. Raises UavTwinError.
    """
    return _make_signing_keys(directory, {rsu: [] for rsu in rsus}, days, renew)


def make_uav_signing_keys(
    directory: Path, uav_containers: Mapping[str, Sequence[str]], days: int = 825, renew: bool = False
) -> list[Path]:
    """The same for nodes of UAVs. UAV containers: name of the signature's file -> the UAVs that it is for."""
    return _make_signing_keys(directory, uav_containers, days, renew)


def _make_signing_keys(directory: Path, speakers: Mapping[str, Sequence[str]], days: int, renew: bool) -> list[Path]:
    """speakers: name -> UAVs; none for an RSU."""
    authority, public = directory / MARKET_PRIVATE, directory / MARKET_PUBLIC
    made = _make_signing_pair(authority, public, renew=False)
    key = ed25519.read_key(authority, "PRIVATE KEY")
    until = int(time.time()) + days * 86400
    for name, uavs in speakers.items():
        file, label = directory / f"{name}.signing", signature.UAVS_LABEL if uavs else signature.CERTIFICATE_LABEL
        if file.exists() and signature.MessageSigner(file, label).uavs != sorted(set(uavs)) and not renew:
            raise UavTwinError(f"{file} is for other UAVs; --renew replaces it")
        if renew or not file.exists():
            own = ed25519.make_key()
            mine = ed25519.public_of(own)
            certificate = (
                signature.certify_uavs(key, uavs, mine, until) if uavs else signature.certify(key, name, mine, until)
            )
            _note_issue(directory, name, mine)
            _replace(file, (ed25519.to_pem(own, "PRIVATE KEY") + ed25519.pem_block(certificate, label)).encode(), 0o600)
            made.append(file)
    return made


def revoke(directory: Path, names: Sequence[str]) -> list[Path]:
    """Take back all keys that were made for RSUs, UAVs or UAV containers, and remove them. Returns the files written.

    Raises InputError, UavTwinError.
    """
    key = ed25519.read_key(directory / MARKET_PRIVATE, "PRIVATE KEY")
    file = directory / revocation.REVOKED_FILE
    version, entries = revocation.read(file, ed25519.public_of(key))
    for name in names:
        issued = _issued(directory, name)
        if not issued:
            raise InputError(
                "--revoke", "ID", name, f"an RSU, a UAV or a UAV container whose keys were made in {directory}"
            )
        entries |= issued
    _replace(file, revocation.to_text(key, version + 1, entries).encode(), 0o644)
    for name in names:
        pair = ("pem", "key") if (directory / f"{name}.pem").exists() else ()  # a learner may have a key of this name
        for suffix in ("signing", *pair):
            (directory / f"{name}.{suffix}").unlink(missing_ok=True)
    return [file]


def _note_issue(directory: Path, name: str, entry: bytes) -> None:
    """Remember a key before it is given away: it may have to be revoked when its file is gone."""
    with (directory / ISSUED).open("a", encoding="ascii") as stream:
        stream.write(f"{name} {entry.hex()}\n")


def _issued(directory: Path, name: str) -> set[bytes]:
    """All that was ever issued to a name, as a list of revoked keys calls it."""
    lines = (directory / ISSUED).read_text(encoding="ascii").split("\n") if (directory / ISSUED).exists() else []
    entries = {bytes.fromhex(line.partition(" ")[2]) for line in lines if line.partition(" ")[0] == name}
    certificate, own = (
        directory / f"{name}.pem",
        directory / f"{name}.signing",
    )  # made before there was that file, perhaps
    if certificate.exists():
        entries.add(revocation.certificate_entry(ssl.PEM_cert_to_DER_cert(certificate.read_text(encoding="ascii"))))
    if own.exists():
        entries.add(ed25519.public_of(ed25519.read_key(own, "PRIVATE KEY")))
    return entries


def make_learner_key(directory: Path, name: str, renew: bool = False) -> list[Path]:
    """Make a learner's signing key, where there is none. Returns the files written. Raises UavTwinError."""
    private, public = directory / f"{name}.key", directory / f"{name}.pub"
    if private.exists() and not public.exists():
        raise UavTwinError(f"{private} is there and {public} is not: is {name} an RSU's name?")
    return _make_signing_pair(private, public, renew)


def _make_signing_pair(private: Path, public: Path, renew: bool) -> list[Path]:
    if private.exists() and not renew:
        return []
    try:
        key = ed25519.make_key()
        private.parent.mkdir(parents=True, exist_ok=True)
        _replace(private, ed25519.to_pem(key, "PRIVATE KEY").encode(), 0o600)
        _replace(public, ed25519.to_pem(ed25519.public_of(key), "PUBLIC KEY").encode(), 0o644)
    except ImportError as error:
        raise UavTwinError("the Python library `nacl` is missing: install python3-nacl") from error
    except OSError as error:
        raise UavTwinError(f"{error.filename}: {error.strerror}") from error
    return [private, public]


class _Authority:
    """A certificate authority in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.made: list[Path] = []
        try:
            from cryptography import x509
            from cryptography.hazmat.primitives import serialization
        except ImportError as error:
            raise UavTwinError("the Python library `cryptography` is missing: install python3-cryptography") from error
        try:
            directory.mkdir(parents=True, exist_ok=True)
            certificate, key = directory / AUTHORITY_FILE, directory / f"{AUTHORITY}.key"
            if not certificate.exists() and not key.exists():
                self._make(certificate, key)
            self.certificate = x509.load_pem_x509_certificate(certificate.read_bytes())
            self.key: Any = serialization.load_pem_private_key(key.read_bytes(), None)
        except OSError as error:
            raise UavTwinError(f"{error.filename}: {error.strerror}; is {directory} the right directory?") from error
        except ValueError as error:
            raise UavTwinError(f"{directory}: authority.pem or authority.key is damaged ({error})") from error

    def _make(self, certificate: Path, key: Path) -> None:
        from cryptography import x509

        private = _new_key()
        name = _name("uavtwin local authority")
        builder = _builder(name, name, private.public_key(), AUTHORITY_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        self.made += _write(certificate, key, _signed(builder, private), private)

    def vouch_for(self, rsu: str, days: int) -> list[Path]:
        """A new key and certificate for one RSU. Returns the files written."""
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding
        from cryptography.x509.oid import ExtendedKeyUsageOID

        private = _new_key()
        builder = _builder(_name(f"RSU {rsu}"), self.certificate.subject, private.public_key(), days)
        identity = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(URI_PREFIX + rsu)])
        both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = builder.add_extension(identity, critical=False).add_extension(both, critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(authority, critical=False)
        files = self.directory / f"{rsu}.pem", self.directory / f"{rsu}.key"
        certificate = _signed(builder, self.key)
        _note_issue(self.directory, rsu, revocation.certificate_entry(certificate.public_bytes(Encoding.DER)))
        return _write(*files, certificate, private)


def _new_key() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _name(text: str) -> Any:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _builder(subject: Any, issuer: Any, public_key: Any, days: int) -> Any:
    from cryptography import x509

    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(issuer, subject, public_key, x509.random_serial_number())
    builder = builder.not_valid_before(now - EARLY).not_valid_after(now + datetime.timedelta(days=days))
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)


def _usage(signs_certificates: bool) -> Any:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _signed(builder: Any, key: Any) -> Any:
    from cryptography.hazmat.primitives import hashes

    return builder.sign(key, hashes.SHA256())


def _write(certificate_file: Path, key_file: Path, certificate: Any, key: Any) -> list[Path]:
    """The key first, readable by its owner alone; each file whole or not at all."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    _replace(key_file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    _replace(certificate_file, certificate.public_bytes(Encoding.PEM), 0o644)
    return [key_file, certificate_file]


def _replace(file: Path, content: bytes, mode: int) -> None:
    beside = file.with_name(file.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(file)
