"""The migration protocol under the model checker: every reachable state within small bounds."""

from __future__ import annotations

import pytest

from uav_twin_migration.twin.checker import explore
from uav_twin_migration.twin.model import BrokenPromiseError, Left, Model, Rules

RSUS = ("source", "target")


def test_every_promise_holds_in_every_state_with_a_crash_and_a_change() -> None:
    model = Model(RSUS, Rules(atomic_voice=True, terms=1, sessions=2))
    found = explore(model, model.hosted(Left(crash=1, write=1)))
    assert found.states > 8000


def test_the_checker_finds_a_protocol_that_speaks_before_it_has_persisted() -> None:
    model = Model(RSUS, Rules(atomic_voice=True, terms=1, sessions=2, persist_first=False))
    with pytest.raises(BrokenPromiseError):
        explore(model, model.hosted(Left(crash=1, write=1)))
