"""What UAVs' grants prove: a migration may send what RSUs granted, not what its UAV, or an RSU, says.

The RSU that hosts a twin knows its own grants, since it made them. Of others' it believes what the UAV hands over, each
as its RSU signed it: the round that was sold, whole. Who verifies the signatures is the caller; here is what a grant
that is genuine may still be:

- *old*. A grant counts for its lease, from the offer of its round on. This RSU hears its rivals' offers, and knows by
  its own clock when each was posted. Where it did not hear that offer (an RSU of another region, a lost message), the
  stamp of the grant must be no older than its lease by this RSU's clock;
- *more than there is*. What an RSU granted in a round is at most what it had offered in it.

What bandwidth carries is the radio's matter, and only the UAV measures it: a rate is believed as far as the granted
bandwidth can carry it with the highest modulation (`highest_efficiency`).
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Container
from typing import NamedTuple

from uav_twin_migration.market.messages import (
    LARGEST_BANDWIDTH,
    LONGEST_LEASE,
    Grant,
    Offer,
    Refusal,
    Refusals,
    check_number,
    check_offer,
    is_id,
)
from uav_twin_migration.scenario.model import MOST_RSUS

ROUNDS = 8  # of each rival, whose offers are remembered
SAME = 1.0 + 1e-9  # what rounding may add on the wire


class _Posted(NamedTuple):
    round: int
    bandwidth: float  # MHz
    until: float  # s, own clock, when its window is over


class _Lease(NamedTuple):
    round: int
    bandwidth: float  # MHz
    expires: float  # s, own clock


class ProvenGrants:
    """The leases that an RSU knows to be UAVs': its own grants, and others' that were handed over."""

    def __init__(self, rsu: str) -> None:
        self.rsu = rsu
        self.refusals = Refusals()
        self._posted: OrderedDict[str, deque[_Posted]] = OrderedDict()  # by RSU, who posted last at the end
        self._leases: dict[str, dict[str, _Lease]] = {}  # UAV -> RSU -> lease
        self._now = -math.inf

    # -- events ------------------------------------------------------------------------------------------------------

    def on_offer(self, now: float, offer: Offer) -> None:
        """A rival posted an offer. One that is heard again is no younger for that."""
        self._advance(now)
        if check_offer(offer) is not None or offer.rsu == self.rsu:
            return
        posted = self._posted.setdefault(offer.rsu, deque(maxlen=ROUNDS))
        self._posted.move_to_end(offer.rsu)
        if not posted or offer.round > posted[-1].round:
            posted.append(_Posted(offer.round, offer.free_bandwidth, now + offer.offer_window))
        if len(self._posted) > MOST_RSUS:
            self._posted.popitem(last=False)

    def on_own_grant(self, now: float, grant: Grant) -> None:
        """This RSU granted."""
        self._advance(now)
        self._note(grant, grant.bandwidth, now + grant.lease)
        self._forget_expired()

    def knows(self, rsu: str, round_: int, uav: str) -> bool:
        """Whether an RSU's grant of this round, or of a later one, to this UAV is known already."""
        lease = self._leases.get(uav, {}).get(rsu)
        return lease is not None and lease.round >= round_

    def on_grant(self, now: float, grant: Grant, stamp: float, uavs: Container[str]) -> None:
        """A UAV handed over another RSU's grant, whose signature is good. stamp: s, by that RSU's clock.

        It counts for those of the UAVs in it that are among `uavs`.
        """
        self._advance(now)
        expires = self._expiry(now, grant, stamp)
        refusal = self._check(grant) or (Refusal.STALE if expires <= now else None)
        if refusal is not None:
            self.refusals.note(refusal, grant.rsu)
            return
        self._note(grant, uavs, expires)

    # -- questions ---------------------------------------------------------------------------------------------------

    def bandwidth(self, uav: str, now: float) -> dict[str, float]:
        """Bandwidth under lease, MHz by RSU."""
        leases = self._leases.get(uav, {}) if now >= self._now else {}
        return {rsu: lease.bandwidth for rsu, lease in leases.items() if lease.expires > now and lease.bandwidth > 0.0}

    def rate(self, uav: str, claimed: float, highest_efficiency: float, now: float) -> float:
        """Mbit/s that a UAV's migration may send: what it claims, as far as its grants can carry it.

        highest_efficiency: bit/s/Hz of the best link that there can be.
        """
        return min(claimed, highest_efficiency * math.fsum(self.bandwidth(uav, now).values()))

    # -- the rest ----------------------------------------------------------------------------------------------------

    def _advance(self, now: float) -> None:
        """Follow the clock. One that jumps back ends everything: grants come anew within a round."""
        if now < self._now:
            self._leases, self._posted = {}, OrderedDict()
        self._now = now

    def _check(self, grant: Grant) -> Refusal | None:
        """Why a grant of another RSU cannot be believed, or None."""
        if not is_id(grant.rsu) or grant.rsu == self.rsu:
            return Refusal.BAD_ID
        for share in grant.bandwidth.values():
            refusal = check_number(share, LARGEST_BANDWIDTH)
            if refusal is not None:
                return refusal
        offered = next((one.bandwidth for one in self._posted.get(grant.rsu, ()) if one.round == grant.round), math.inf)
        return Refusal.OVERSOLD if math.fsum(grant.bandwidth.values()) > offered * SAME else None

    def _expiry(self, now: float, grant: Grant, stamp: float) -> float:
        """Until when a grant holds, s, by the own clock."""
        if check_number(grant.lease, LONGEST_LEASE) is not None:
            return -math.inf
        posted = list(self._posted.get(grant.rsu, ()))
        before = [one for one in posted if one.round <= grant.round]
        if posted and not before:
            return -math.inf  # of a round that is longer past than anybody's lease
        if before and (before[-1].round == grant.round or before[-1] is not posted[-1]):
            return before[-1].until + grant.lease
        return min(stamp, now) + grant.lease if abs(now - stamp) <= grant.lease else -math.inf

    def _note(self, grant: Grant, uavs: Container[str], expires: float) -> None:
        for uav, share in grant.bandwidth.items():
            if uav in uavs and not self.knows(grant.rsu, grant.round, uav):
                leases = self._holding(uav)
                if grant.rsu in leases or len(leases) < MOST_RSUS:
                    self._leases[uav] = leases | {grant.rsu: _Lease(grant.round, share, expires)}

    def _holding(self, uav: str) -> dict[str, _Lease]:
        return {rsu: lease for rsu, lease in self._leases.get(uav, {}).items() if lease.expires > self._now}

    def _forget_expired(self) -> None:
        held = {uav: self._holding(uav) for uav in self._leases}
        self._leases = {uav: leases for uav, leases in held.items() if leases}
