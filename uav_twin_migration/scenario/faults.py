"""A schedule of faults: what goes wrong in a run, and when. ``at 30 s: kill rsu_2``."""

from __future__ import annotations

import re
from typing import NamedTuple

from uav_twin_migration.scenario.settings import Refusal

KINDS = ("kill", "suspend", "cut", "slow", "back")
NAME = r"[a-zA-Z][a-zA-Z0-9_]{0,63}"
SECONDS = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
FAULT = (
    rf"at ({SECONDS}) s: (?:(kill|suspend|back) ({NAME})|(cut) ({NAME})(?: from ({NAME}))?|(slow) ({NAME}) ({SECONDS}))"
)
A_FAULT = "like 'at 30 s: kill rsu_2', or suspend, cut (rsu_1 from rsu_2), slow (rsu_1 10: times as slow), back"


class Fault(NamedTuple):
    """One of them."""

    at: float  # s
    kind: str
    rsu: str
    other: str = ""  # from which it is cut; empty: from everybody
    factor: float = 1.0  # by which it is slower


def fault(text: str) -> Fault:
    """What a line of the schedule says. Raises Refusal."""
    found = re.fullmatch(FAULT, text.strip())
    if found is None:
        raise Refusal(text, A_FAULT)
    at, plain, of_plain, cut, of_cut, other, slow, of_slow, factor = found.groups()
    if plain:
        return Fault(float(at), plain, of_plain)
    if cut:
        return Fault(float(at), cut, of_cut, other or "")
    return Fault(float(at), slow, of_slow, factor=max(float(factor), 1e-3))


def schedule(texts: tuple[str, ...], rsus: set[str]) -> list[Fault]:
    """All of them, in the order of time. Raises Refusal for one that makes no sense, or names nobody."""
    faults = []
    for place, text in enumerate(texts):
        try:
            one = fault(text)
        except Refusal as refusal:
            raise refusal.under(place) from None
        for name in filter(None, (one.rsu, one.other)):
            if name not in rsus:
                raise Refusal(text, f"the id of an RSU, one of {', '.join(sorted(rsus)[:10])}", place)
        faults.append(one)
    return sorted(faults, key=lambda one: one.at)
