"""Two runs side by side."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from uav_twin_migration.monitor.compare import MEASURES, differences, value_of, verdict

SHIPPED = {"mean_immersion": 30.1, "mean_profit": 12.0, "exploitability": 0.006, "downtime_ms": {"mean": 100.0}}
RULE = {"mean_immersion": 33.4, "mean_profit": 9.0, "exploitability": 0.086, "downtime_ms": {"mean": 100.4}}


def test_users_may_be_better_off_under_the_worse_pricing() -> None:
    found = differences(SHIPPED, RULE)
    assert verdict(found, "shipped", "rule") == "Users are better off with rule; RSUs are better off with shipped."
    cells = {one.measure.key: one.cells("shipped", "rule") for one in found}
    assert cells["mean_immersion"] == ("mean immersion, credit", "30.1", "33.4", "users: rule")
    assert cells["mean_profit"][3] == "RSUs: shipped"
    assert cells["exploitability"] == ("exploitability", "0.6 %", "8.6 %", "shipped")
    assert cells["downtime_ms.mean"][3] == "equal"


def test_both_may_be_better_off() -> None:
    better = SHIPPED | {"mean_immersion": 40.0, "mean_profit": 20.0}
    assert verdict(differences(SHIPPED, better), "a", "b") == "Both users and RSUs are better off with b."


def test_what_a_summary_lacks_is_left_out() -> None:
    assert differences(SHIPPED, {"mean_profit": None, "mean_immersion": True}) == []
    assert verdict([], "a", "b") == "Neither says what users perceive or RSUs earn."


@given(st.dictionaries(st.sampled_from([m.key for m in MEASURES]), st.floats() | st.none() | st.just("x")), st.data())
def test_swapping_the_runs_swaps_the_signs(first: dict[str, Any], data: st.DataObject) -> None:
    second = {key: data.draw(st.floats(-1e6, 1e6)) for key in first}
    there, back = differences(first, second), differences(second, first)
    assert [one.sign for one in there] == [-one.sign for one in back]
    assert all(value_of(first, one.measure.key) == one.first for one in there)
