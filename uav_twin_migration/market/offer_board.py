"""What leaders have posted, as the UAVs of one process know it."""

from __future__ import annotations

import math
from typing import NamedTuple

from uav_twin_migration.market.messages import Offer, Refusal, Refusals, check_offer
from uav_twin_migration.scenario.model import MOST_RSUS, MarketParameters


class Heard(NamedTuple):
    """An offer with the time of its reception on the follower's clock."""

    offer: Offer
    at: float  # s

    def answerable(self, now: float) -> bool:
        """Whether its window is still open."""
        return now < self.at + self.offer.offer_window


class OfferBoard:
    """The leaders' last offers."""

    def __init__(self, round_period: float = MarketParameters.round_period, most_rsus: int = MOST_RSUS) -> None:
        self.fresh_for = 2.5 * round_period  # s; an RSU silent for longer is not counted on
        self.most_rsus = most_rsus
        self.refusals = Refusals()
        self._heard: dict[str, Heard] = {}
        self._now = -math.inf

    def on_offer(self, now: float, offer: Offer) -> bool:
        """Note an offer. Returns whether it is a new one."""
        self.advance(now)
        refusal = check_offer(offer) or self._check_round(now, offer)
        if refusal:
            self.refusals.note(refusal, offer.rsu)
            return False
        self._heard[offer.rsu] = Heard(offer, now)
        return True

    def advance(self, now: float) -> None:
        """Follow the clock; where it jumped back, windows are counted anew from there."""
        if now < self._now:
            self._heard = {rsu: Heard(offer, min(at, now)) for rsu, (offer, at) in self._heard.items()}
        self._now = now

    def is_fresh(self, rsu: str, now: float) -> bool:
        """Whether an RSU has posted lately, so that it can be counted on."""
        heard = self._heard.get(rsu)
        return heard is not None and now <= heard.at + self.fresh_for

    def get(self, rsu: str) -> Heard | None:
        """The last offer of one RSU, however old."""
        return self._heard.get(rsu)

    def _check_round(self, now: float, offer: Offer) -> Refusal | None:
        last = self._heard.get(offer.rsu)
        if last is None:
            if len(self._heard) >= self.most_rsus:
                self._heard = {rsu: heard for rsu, heard in self._heard.items() if self.is_fresh(rsu, now)}
            return Refusal.CROWDED if len(self._heard) >= self.most_rsus else None
        if offer.round == last.offer.round:
            return Refusal.REPLAYED
        # An RSU whose clock was set back before it restarted counts from a lower number: believed once it was silent.
        if offer.round < last.offer.round and now <= last.at + self.fresh_for:
            return Refusal.PAST_ROUND
        return None
