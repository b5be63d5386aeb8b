"""Which UAVs an RSU has to do with."""

from __future__ import annotations

from fnmatch import fnmatchcase

from hypothesis import given
from hypothesis import strategies as st

from uav_twin_migration.market.admitted import Admitted

IDS = st.text("ab1_", max_size=4)
PATTERNS = st.text("ab1_*?[]!-", max_size=5)


@given(st.lists(PATTERNS, max_size=5), IDS | PATTERNS)
def test_it_is_what_a_shell_matches(patterns: list[str], uav: str) -> None:
    assert (uav in Admitted(patterns)) == any(fnmatchcase(uav, one) for one in patterns)
