"""Epochs: which hosting of a twin is the newest.

An epoch is one 63-bit integer of two parts, compared as a whole:

- the *term*, which only the twin's UAV raises, when it gives its twin to an RSU itself: the first time, and when its
  host is gone for good;
- the number of *hand-overs* since, which the hosts raise, by one with each.

So a hand-over that is still under way when the UAV re-hosts its twin can never come by the number of the new hosting.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeGuard

HANDOVER_BITS = 24
LAST_HANDOVER = (1 << HANDOVER_BITS) - 1
LAST_TERM = (1 << (63 - HANDOVER_BITS)) - 1
NONE = 0  # the epoch before any hosting
FORESIGHT = 100 * 366 * 86_400  # terms, which are seconds: a machine whose clock begins in 1970 believes today's UAVs


def make_epoch(term: int, handovers: int = 0) -> int:
    """The epoch of a term's given hand-over."""
    if not 0 <= term <= LAST_TERM or not 0 <= handovers <= LAST_HANDOVER:
        raise ValueError(f"no epoch has term {term} and {handovers} hand-overs")
    return term << HANDOVER_BITS | handovers


def term_of(epoch: int) -> int:
    """The term in which a UAV gave its twin away."""
    return epoch >> HANDOVER_BITS


def handovers_of(epoch: int) -> int:
    """Hand-overs since the term began."""
    return epoch & LAST_HANDOVER


def horizon(clock: float) -> int:
    """The highest epoch that anybody believes at `clock`, s since 1970, whoever says it.

    Terms are given no faster than seconds pass. So who claims the highest there is ends no twin: a second later its
    UAV may go beyond.
    """
    return _horizon(int(clock))


@lru_cache(maxsize=16)
def _horizon(second: int) -> int:
    return make_epoch(min(max(second, 0) + FORESIGHT, LAST_TERM - 1), LAST_HANDOVER)


def is_epoch(value: object) -> TypeGuard[int]:
    """Whether `value` can be an epoch at all."""
    return type(value) is int and 0 <= value < 1 << 63


def may_hand_over(epoch: int) -> bool:
    """Whether the term has numbers left for a hand-over and for taking it back."""
    return handovers_of(epoch) + 2 <= LAST_HANDOVER


def next_term(epoch: int) -> int:
    """The first epoch of the term after `epoch`."""
    return make_epoch(min(term_of(epoch) + 1, LAST_TERM))


def first_epoch(clock: float) -> int:
    """Where a UAV that remembers nothing starts to count, from a clock in seconds since 1970.

    Each life of a UAV starts above its earlier ones unless somebody set the clock back behind them; even then an RSU
    that knows better refuses, and tells the newer epoch.
    """
    return make_epoch(min(max(int(clock), 0), LAST_TERM - 1))


def format_epoch(epoch: int) -> str:
    """For people: ``term.hand-overs``."""
    return f"{term_of(epoch)}.{handovers_of(epoch)}"
