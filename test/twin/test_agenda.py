"""Which twins a host looks after at a tick: those it would find by looking at all of them."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from uav_twin_migration.twin.hosting.agenda import Agenda
from uav_twin_migration.twin.hosting.hosted_twins import HostedTwin

TWINS = range(5)
WAKE = st.tuples(st.just("wake"), st.sampled_from(TWINS))
FORGET = st.tuples(st.just("forget"), st.sampled_from(TWINS))
TICK = st.tuples(st.just("tick"), st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0, math.inf]), min_size=5, max_size=5))


@given(st.lists(WAKE | FORGET | TICK, max_size=40))
def test_it_is_what_a_look_at_all_of_them_finds(moves: list[tuple[str, Any]]) -> None:
    agenda, twins, now = Agenda(), {}, 0.0
    for number in TWINS:
        twins[number] = HostedTwin(f"uav_{number}")
        agenda.add(twins[number])
    for kind, what in moves:
        if kind == "wake" and what in twins:
            agenda.wake(twins[what])
        elif kind == "forget" and what in twins:
            agenda.forget(twins.pop(what))
        elif kind == "tick":
            now += 1.0
            due = [one for one in twins.values() if now >= one.look_at]
            assert agenda.due(now) == due
            for one, pause in zip(due, what[: len(due)], strict=True):
                agenda.wait(one, now + pause)
            assert agenda.next == min([one.look_at for one in twins.values()], default=math.inf)
    assert agenda.due(math.inf) == [one for one in twins.values() if one.look_at < math.inf]
