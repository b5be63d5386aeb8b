"""What liars can do to a twin is searched, not argued. `uavtwin bench protocol` searches more of it."""

from __future__ import annotations

import pytest

from uav_twin_migration.twin.verification.liars import CASES, Case, search

LEAST = {case.name: states for case, states in zip(CASES, (600, 500, 4_900, 1_400, 700, 2_700), strict=True)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_liar_breaks_what_is_expected_and_nothing_else(case: Case) -> None:
    found = search(case, case.most)
    assert found.broken.keys() == case.breaks
    assert found.found.states > LEAST[case.name]
    assert all(found.broken.values())  # each with the moves that lead there
