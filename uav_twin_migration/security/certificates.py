"""Who an RSU is towards other RSUs: its certificate, and the authority that vouches for theirs."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Container
from pathlib import Path
from typing import Any

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.security import ed25519
from uav_twin_migration.security.revocation import REVOKED_FILE, Revocations, certificate_entry

URI_PREFIX = "uavtwin:rsu:"  # and the RSU's id: the subject alternative name that its certificate carries
AUTHORITY_FILE, MARKET_FILE = "authority.pem", "market.pub"


class IdentityError(UavTwinError):
    """A certificate or key cannot be used; says which, and what to do."""


class ValidityError(IdentityError):
    """It cannot be used now: this host's clock is wrong, or the certificate is to be renewed."""

    may_pass = True


class Identity:
    """An RSU's key and certificate, and its authority's certificate, ready for TLS.

    The files are read again when they have changed, so that keys are renewed without a restart: new connections use the
    new ones, and those that are open stay. Files that do not fit each other, as while they are being copied, are left
    alone until they do. The list of revoked certificates counts where it is there, with the key that verifies it.
    """

    def __init__(self, directory: Path | str, rsu: str) -> None:
        """Read `<rsu>.pem`, `<rsu>.key` and `authority.pem`, as `uavtwin keys` writes them. Raises IdentityError."""
        self.rsu, self.directory = rsu, Path(directory)
        names = (AUTHORITY_FILE, f"{rsu}.pem", f"{rsu}.key")
        self._files = tuple(self.directory / name for name in names)
        self.until = 0.0  # s since 1970, when its certificate runs out
        self._state = self._look()
        self._client, self._server = self._read()
        self._revoked = self._read_revoked()

    @property
    def server(self) -> ssl.SSLContext:
        """For connections that others open."""
        self._renew()
        return self._server

    @property
    def client(self) -> ssl.SSLContext:
        """For connections that this RSU opens."""
        self._renew()
        return self._client

    def is_revoked(self, certificate: bytes | None) -> bool:
        """Whether the authority has taken a peer's certificate, DER, back."""
        return certificate is not None and certificate_entry(certificate) in self._revoked

    def _read_revoked(self) -> Container[bytes]:
        key = self.directory / MARKET_FILE
        if not key.exists():
            return ()
        try:
            return Revocations(self.directory / REVOKED_FILE, ed25519.read_key(key, "PUBLIC KEY"))
        except ed25519.KeyFileError as error:
            raise IdentityError(f"{error}; copy it again from where `uavtwin keys` made it") from error

    def _renew(self) -> None:
        state = self._look()
        if state != self._state:
            with contextlib.suppress(IdentityError):
                self._client, self._server = self._read()
                self._state = state

    def _look(self) -> tuple[tuple[int, int], ...]:
        """What changes when one of the files does."""
        try:
            return tuple((found.st_mtime_ns, found.st_ino) for found in (file.stat() for file in self._files))
        except OSError:
            return ()

    def _read(self) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        """Client and server. Raises IdentityError."""
        client, server = self._context(ssl.PROTOCOL_TLS_CLIENT), self._context(ssl.PROTOCOL_TLS_SERVER)
        server.num_tickets = 0  # connections are few and long: nobody resumes a session
        self._check(client, server)
        return client, server

    def _context(self, protocol: Any) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False  # RSUs are known by their id, which `peer_of` reads, wherever they are
        context.verify_mode = ssl.CERT_REQUIRED
        authority, certificate, key = self._files
        for file in (authority, certificate, key):
            _check_readable(file)
        try:
            context.load_verify_locations(authority)
        except ssl.SSLError as error:
            raise IdentityError(f"{authority}: not a certificate ({error.reason}); {HINT}") from error
        try:
            context.load_cert_chain(certificate, key)
        except ssl.SSLError as error:
            what = f"not a certificate and its key ({error.reason})"
            raise IdentityError(f"{certificate}, {key}: {what}; {HINT}") from error
        return context

    def _check(self, client: ssl.SSLContext, server: ssl.SSLContext) -> None:
        """Shake hands with ourselves: what another RSU would refuse is found out now, and said clearly."""
        file = self.directory / f"{self.rsu}.pem"
        try:
            certificate = _shake_hands(client, server)
        except ssl.SSLCertVerificationError as error:
            what = f"other RSUs will refuse it ({error.verify_message})"
            if error.verify_code in NOT_NOW:
                raise ValidityError(f"{file}: {what}; {CLOCK_HINT}, or {HINT}") from error
            raise IdentityError(f"{file}: {what}; {HINT}") from error
        self.until = ssl.cert_time_to_seconds((certificate or {}).get("notAfter", NEVER))
        if rsu_of(certificate) != self.rsu:
            raise IdentityError(f"{file}: the certificate of RSU {rsu_of(certificate)!r}, not {self.rsu!r}; {HINT}")


NOT_NOW = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID and _HAS_EXPIRED, of OpenSSL's x509_vfy.h
CLOCK_HINT = "see that this host's clock is right"
NEVER = "Jan  1 00:00:00 1970 GMT"
HINT = "make new ones with `uavtwin keys DIR --rsus ID...`"


def rsu_of(certificate: dict[str, Any] | None) -> str | None:
    """The RSU that a certificate, as `ssl` describes it, was made for."""
    names = (certificate or {}).get("subjectAltName", ())
    ids = [value[len(URI_PREFIX) :] for kind, value in names if kind == "URI" and value.startswith(URI_PREFIX)]
    return ids[0] if len(ids) == 1 else None


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> dict[str, Any] | None:
    """A handshake in memory. Returns the server's certificate as the client sees it."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(to_client, to_server), server.wrap_bio(to_server, to_client, server_side=True)]
    for _ in range(3):
        for end in ends:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    return ends[0].getpeercert()


def _check_readable(file: Path) -> None:
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        raise IdentityError(f"{file}: cannot be read ({error.strerror}); {HINT}") from error
