"""What leaders and followers say to each other, and what is checked before it is believed."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from uav_twin_migration.scenario.model import FARTHEST, MarketParameters, Rsu
from uav_twin_migration.scenario.settings import ID, setting_of

# Beyond what a setting may be a number is not a price, a bandwidth or a place on Earth, whoever says so.
LARGEST_PRICE = setting_of(Rsu, "price_cap").high  # credit/MHz
LARGEST_BANDWIDTH = setting_of(Rsu, "capacity").high  # MHz
LARGEST_RANGE = setting_of(Rsu, "range").high  # m
LARGEST_COORDINATE = FARTHEST  # m from the scenario's origin
LONGEST_WINDOW = setting_of(MarketParameters, "offer_window").high  # s
LONGEST_LEASE = setting_of(MarketParameters, "lease_rounds").high * setting_of(MarketParameters, "round_period").high
LONGEST_ID = 64  # characters
LARGEST_EFFICIENCY = 32.0  # bit/s/Hz, far above any modulation

_ID = re.compile(ID)


class Refusal(str, Enum):
    """Why something was refused; `/diagnostics` counts by these names."""

    BAD_ID = "bad_id"  # empty, too long, or not a ROS name token
    UNKNOWN_UAV = "unknown_uav"  # not admitted to this market
    NOT_FINITE = "not_finite"
    NEGATIVE = "negative"
    ABSURD = "absurd"  # larger than anything real
    LENGTH_MISMATCH = "length_mismatch"  # arrays of different lengths
    PAST_ROUND = "past_round"
    LATE = "overdue"  # for the round that just closed
    FUTURE_ROUND = "future_round"
    REPLAYED = "replayed"  # sequence already seen in this round
    FLOODING = "flooding"  # too many revisions in one round
    CROWDED = "crowded"  # more participants than this node serves
    DUPLICATE_ID = "duplicate_id"  # somebody else uses our id
    UNASKED = "unasked"  # a grant for what was not demanded
    OVERCHARGED = "overcharged"  # a grant at another price than offered
    OVERSOLD = "oversold"  # grants of more than their RSU had offered
    STALE = "stale"  # a grant that was handed over after its lease
    UNSIGNED = "unsigned"  # no signature where one is required
    FORGED = "forged"  # a signature that is not of this message, or not of the RSU or the UAVs that it names
    EXPIRED = "expired"  # a signature whose certificate has run out
    REVOKED = "revoked"  # a signature by a key that the market's authority has revoked


class Refusals(Counter[Refusal]):
    """How often each reason occurred, and who was the last to give it."""

    def __init__(self, *counts: Mapping[Refusal, int]) -> None:
        super().__init__(*counts)
        self.senders: dict[str, str] = {}  # by the reason's name; as they call themselves

    def note(self, reason: Refusal, sender: str = "") -> None:
        """Count one refusal."""
        self[reason] += 1
        self.senders[reason.value] = sender[:LONGEST_ID]


class Offer(NamedTuple):
    """A leader's price for one round."""

    rsu: str
    round: int
    price: float  # credit/MHz
    free_bandwidth: float  # MHz
    position: tuple[float, float, float]  # m, of the antenna
    range: float  # m
    offer_window: float  # s


class Bid(NamedTuple):
    """A follower's answer to one offer."""

    uav: str
    rsu: str
    round: int
    bandwidth: float  # MHz


class Grant(NamedTuple):
    """What a leader sold in one round."""

    rsu: str
    round: int
    price: float  # credit/MHz
    bandwidth: dict[str, float]  # MHz, by UAV
    lease: float  # s


def is_id(text: str) -> bool:
    """Whether `text` is a valid id: a ROS name token of at most 64 characters."""
    return _ID.fullmatch(text) is not None


def check_number(value: float, largest: float) -> Refusal | None:
    """Why `value` is not a number in [0, largest], or None."""
    if 0.0 <= value <= largest:  # as nearly all are
        return None
    if not math.isfinite(value):
        return Refusal.NOT_FINITE
    if value < 0.0:
        return Refusal.NEGATIVE
    return Refusal.ABSURD


def check_offer(offer: Offer) -> Refusal | None:
    """Why an offer cannot be believed, or None."""
    if not is_id(offer.rsu):
        return Refusal.BAD_ID
    x, y, z = map(abs, offer.position)
    if (
        0.0 < offer.price <= LARGEST_PRICE
        and 0.0 <= offer.free_bandwidth <= LARGEST_BANDWIDTH
        and 0.0 <= offer.range <= LARGEST_RANGE
        and 0.0 < offer.offer_window <= LONGEST_WINDOW
        and x <= LARGEST_COORDINATE
        and y <= LARGEST_COORDINATE
        and z <= LARGEST_COORDINATE
    ):
        return None  # as nearly all: the rest finds out what is wrong
    bounded = (
        (offer.price, LARGEST_PRICE),
        (offer.free_bandwidth, LARGEST_BANDWIDTH),
        (offer.range, LARGEST_RANGE),
        (offer.offer_window, LONGEST_WINDOW),
        (x, LARGEST_COORDINATE),
        (y, LARGEST_COORDINATE),
        (z, LARGEST_COORDINATE),
    )
    for value, largest in bounded:
        refusal = check_number(value, largest)
        if refusal:
            return refusal
    return Refusal.ABSURD  # a price or a window of 0
