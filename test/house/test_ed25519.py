"""Both libraries for Ed25519 say the same, to the byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uav_twin_migration.security.ed25519 import (
    KEY_SIZE,
    SIGNATURE_SIZE,
    Cryptography,
    Library,
    Nacl,
    make_key,
)

pytest.importorskip("nacl")
pytest.importorskip("cryptography")
LIBRARIES: tuple[Library, ...] = (Nacl(), Cryptography())


@given(st.binary(min_size=KEY_SIZE, max_size=KEY_SIZE), st.binary(max_size=500))
def test_the_libraries_agree(private: bytes, message: bytes) -> None:
    one, other = LIBRARIES
    assert one.public_of(private) == other.public_of(private)
    signature = one.sign(private, message)
    assert signature == other.sign(private, message)
    assert all(library.verify(library.public_of(private), message, signature) for library in LIBRARIES)


@given(st.binary(max_size=40), st.binary(max_size=20), st.binary(min_size=SIGNATURE_SIZE, max_size=SIGNATURE_SIZE))
def test_nothing_forged_is_taken_and_nothing_raises(public: bytes, message: bytes, signature: bytes) -> None:
    assert not any(library.verify(public, message, signature) for library in LIBRARIES)


def test_keys_are_random_and_of_their_size() -> None:
    assert len({make_key() for _ in range(100)}) == 100
    assert len(make_key()) == KEY_SIZE
