"""The follower of a round: a UAV's side of the protocol. The package's docstring has the theory of operation.

An `OfferBoard` holds what leaders have posted. The UAVs of one process share it, so that an offer is checked and stored
once; each UAV's own state is in its `Follower`. A follower's transitions:

==================================================  ==============================================================
event                                               what happens
==================================================  ==============================================================
all its RSUs have posted an offer it can answer     it answers them all: its best response to the posted prices
a quarter of the window after the first such offer  the same, with the last known prices of those that are missing
a grant for what it demanded, at the posted price   the lease is noted, in place of the RSU's earlier one
any other grant                                     refused and counted
an RSU grants nothing three times, while others do  it is asked for a trifle only, until it grants, as any new one is
a lease's duration is over                          the bandwidth is gone
new links or motion                                 the next answer uses them; the hosting choice is made anew
==================================================  ==============================================================

"Its RSUs" are the `max_bids` in range with the best links whose offers are fresh. An RSU that it answered last round
and that is no longer one of them gets one last answer of 0, so that it need not wait for another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from uav_twin_migration.game import followers as game
from uav_twin_migration.game import utility
from uav_twin_migration.market.hosting_decision import HostingChoice, Prospect
from uav_twin_migration.market.messages import (
    LARGEST_BANDWIDTH,
    LARGEST_COORDINATE,
    LARGEST_EFFICIENCY,
    LONGEST_LEASE,
    Bid,
    Grant,
    Offer,
    Refusal,
    Refusals,
    check_number,
)
from uav_twin_migration.market.offer_board import OfferBoard
from uav_twin_migration.market.reputation import NOTHING, Reputation
from uav_twin_migration.plugins import describe
from uav_twin_migration.radio.coverage import predicted_stay_of_one
from uav_twin_migration.scenario.model import MarketParameters, TwinParameters, transfer_size

NEVER = math.inf
# RSUs post together. UAVs that share a process let that burst of offers come in before they look at it, so that they
# answer with one message instead of one for each offer: every RSU has to read every message.
GATHERING = 0.005  # s of wall time
SMALLEST_BID = 1e-6  # MHz; less is nothing
SAME = 1.0 + 1e-9  # what rounding may add on the wire

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class FollowerSettings:
    """What a UAV is; its immersion weight and twin size are private to it."""

    uav: str
    immersion_weight: float  # alpha_n, credit
    twin_size: float  # D_n, Mbit
    rho: float  # substitutability of RSUs
    max_bids: int = MarketParameters.max_bids
    min_stay: float = MarketParameters.min_stay  # s, bounds of T_n
    max_stay: float = MarketParameters.max_stay  # s
    link_timeout: float = 3.0  # s after which link quality is no longer believed
    replicas: str = TwinParameters.replicas  # or "one": its twin has a replica
    utility: str = ""  # a plug-in, as the next
    hosting: str = ""

    @property
    def transfer_size(self) -> float:
        """What it buys bandwidth for, Mbit."""
        return transfer_size(self.twin_size, self.replicas)


class Demand(NamedTuple):
    """A follower's answers to the offers it can answer now."""

    bids: list[Bid]


class HostChange(NamedTuple):
    """The UAV wants another host for its twin; None where no RSU is in range."""

    uav: str
    rsu: str | None
    stay: float  # s, predicted in its coverage


Output = Demand | HostChange


class _Answer(NamedTuple):
    round: int
    bandwidth: float  # MHz
    part: float  # of all that was asked for then
    price: float  # credit/MHz
    at: float
    granted: bool  # or refused: an answer came
    got: float = 0.0  # MHz


class _Lease(NamedTuple):
    bandwidth: float  # MHz
    price: float  # credit/MHz
    expires: float  # s


class Follower:
    """A UAV's state machine. `tell`: where a plug-in has failed; without it, that is raised."""

    def __init__(
        self, settings: FollowerSettings, board: OfferBoard, tell: Callable[[str], None] | None = None
    ) -> None:
        self.settings = settings
        self.board = board
        self.refusals = Refusals()
        self.hosting = HostingChoice(settings.hosting, tell, settings.uav)
        self._utility = utility.plugged(settings.utility, tell)
        self.ungranted = 0  # answers that no grant followed before the RSU's next round
        self.granted = 0  # answers that a grant followed
        self.reputation = Reputation()
        self.missed = 0  # rounds in which it wanted bandwidth and no RSU granted any
        self._now = -math.inf
        self._efficiency: dict[str, float] = {}  # bit/s/Hz by RSU in range, best first, ties by id
        self._links_at = -math.inf
        self._position: Vector | None = None
        self._velocity: Vector = (0.0, 0.0, 0.0)
        self._answers: dict[str, _Answer] = {}
        self._last_grant = -math.inf  # s
        self._leases: dict[str, _Lease] = {}
        self._gather_until = NEVER
        self._rated: tuple[list[float], list[float]] = ([], [])  # the links and leases that the rate was asked for last
        self._rate = 0.0  # Mbit/s, of those

    @property
    def wake_at(self) -> float:
        """When `on_time` wants to be called, s."""
        return self._gather_until

    # -- events ------------------------------------------------------------------------------------------------------

    def on_links(self, now: float, efficiency: Mapping[str, float]) -> list[Output]:
        """New link qualities, bit/s/Hz by RSU; all that are not named are out of range."""
        self._advance(now)
        good = {}
        for rsu, value in efficiency.items():
            refusal = check_number(value, LARGEST_EFFICIENCY)
            if refusal:
                self.refusals.note(refusal, rsu)
            elif value > 0.0:
                good[rsu] = value
        self._efficiency = dict(sorted(good.items(), key=lambda link: (-link[1], link[0])))
        self._links_at = now
        return self._choose_host(now)

    def on_motion(self, now: float, position: Vector, velocity: Vector) -> None:
        """The UAV's own position, m, and velocity, m/s, in the map frame."""
        for value in (*position, *velocity):
            refusal = check_number(abs(value), LARGEST_COORDINATE)
            if refusal:
                self.refusals.note(refusal, self.settings.uav)
                return
        self._advance(now)
        self._position, self._velocity = position, velocity

    def on_offers(self, now: float) -> list[Output]:
        """The board has a new offer."""
        self._advance(now)
        return self._answer_if_ready(now)

    def on_time(self, now: float) -> list[Output]:
        """Time has passed."""
        return self.on_offers(now)

    def on_grant(self, now: float, grant: Grant) -> None:
        """An RSU granted bandwidth, perhaps to this UAV."""
        share = grant.bandwidth.get(self.settings.uav)
        if share is None:
            return
        self._advance(now)
        answer = self._answers.get(grant.rsu)
        if answer is None and share == 0.0:
            return  # the echo of a last answer of zero
        refusal = self._check_grant(grant, share, answer)
        if refusal or answer is None:
            self.refusals.note(refusal or Refusal.UNASKED, grant.rsu)
            return
        self._answers[grant.rsu] = answer._replace(granted=True, got=share)
        self.reputation.on_grant(now, grant.rsu, share, answer.bandwidth, answer.part)
        self.granted += 1
        self._last_grant = now
        self._leases[grant.rsu] = _Lease(share, grant.price, now + grant.lease)

    # -- what the node asks ------------------------------------------------------------------------------------------

    def bandwidth(self, now: float) -> dict[str, float]:
        """Bandwidth under lease, MHz by RSU."""
        return {rsu: lease.bandwidth for rsu, lease in self._leases.items() if lease.expires > now}

    def rate(self, now: float) -> float:
        """Effective rate X_n that the leases give over the present links, Mbit/s."""
        rsus = self._candidates(now)
        held = self.bandwidth(now)
        if not rsus or not held:
            return 0.0
        links = [self._efficiency[rsu] for rsu in rsus], [held.get(rsu, 0.0) for rsu in rsus]
        if links != self._rated:
            self._rated = links
            self._rate = game.effective_rate_of_one(links[1], links[0], self.settings.rho)
        return self._rate

    def describe_plugins(self) -> dict[str, int]:
        """How often its plug-ins failed, for /diagnostics."""
        return describe(self._utility, self.hosting.decision)

    @property
    def in_range(self) -> list[str]:
        """The RSUs in range, best link first."""
        return list(self._efficiency)

    def waiting_since(self, rsu: str, round_: int) -> float | None:
        """When the offer was heard whose answer is still without a grant, s; None where there is none."""
        answer = self._answers.get(rsu)
        return answer.at if answer and answer.round == round_ and not answer.granted else None

    # -- the rest ----------------------------------------------------------------------------------------------------

    def _advance(self, now: float) -> None:
        if now < self._now:
            self.board.advance(now)
            self.reputation.jump(now)
            self._links_at = min(self._links_at, now)
            self._gather_until = min(self._gather_until, now)
            longest = now + LONGEST_LEASE
            self._leases = {
                rsu: lease._replace(expires=min(lease.expires, longest)) for rsu, lease in self._leases.items()
            }
        self._now = now

    def _candidates(self, now: float) -> list[str]:
        """The RSUs to buy from, best link first: those that grant, or all while none is known to."""
        fresh = self._fresh(now)
        known = [rsu for rsu in fresh if self.reputation.counts_on(rsu)]
        return (known or sorted(fresh, key=self.reputation.strikes))[: self.settings.max_bids]

    def _fresh(self, now: float) -> list[str]:
        if now > self._links_at + self.settings.link_timeout:
            return []
        return [rsu for rsu in self._efficiency if self.board.is_fresh(rsu, now)]

    def _on_trial(self, now: float, candidates: Sequence[str]) -> list[str]:
        """The RSUs to ask for a trifle: with links as good, and unknown to grant."""
        return [rsu for rsu in self._fresh(now)[: self.settings.max_bids] if rsu not in candidates]

    def _answer_if_ready(self, now: float) -> list[Output]:
        if self._position is None:
            return []
        candidates = self._candidates(now)
        wanted = candidates + self._on_trial(now, candidates)
        addressed = wanted + [rsu for rsu in self._answers if rsu not in wanted]
        due = [rsu for rsu in addressed if self._is_due(rsu, now)]
        if not due:
            self._gather_until = NEVER
            return []
        if len(due) < len(addressed):
            windows = [heard for rsu in due if (heard := self.board.get(rsu))]
            self._gather_until = min(heard.at + heard.offer.offer_window / 4.0 for heard in windows)
            if now < self._gather_until:
                return []
        self._gather_until = NEVER
        return [Demand(self._answer(now, candidates, due))]

    def _is_due(self, rsu: str, now: float) -> bool:
        """Whether the RSU's offer can be answered and has not been."""
        heard = self.board.get(rsu)
        if heard is None or not heard.answerable(now):
            return False
        answer = self._answers.get(rsu)
        return answer is None or answer.round != heard.offer.round

    def _answer(self, now: float, candidates: list[str], due: list[str]) -> list[Bid]:
        wanted = self._demand(candidates, self._on_trial(now, candidates))
        in_all = math.fsum(wanted.values())
        self.missed += any(self._went_without(rsu) for rsu in due)
        bids = []
        for rsu in due:
            heard = self.board.get(rsu)
            assert heard is not None  # it is due
            last = self._answers.pop(rsu, None)
            self.ungranted += last is not None and not last.granted
            if last is not None and last.got <= NOTHING * last.bandwidth and last.bandwidth > 0.0:
                self.reputation.on_nothing(rsu, last.at)
            bandwidth = wanted.get(rsu, 0.0)
            if rsu in wanted:
                part = bandwidth / in_all if in_all > 0.0 else 0.0
                self._answers[rsu] = _Answer(heard.offer.round, bandwidth, part, heard.offer.price, heard.at, False)
            bids.append(Bid(self.settings.uav, rsu, heard.offer.round, bandwidth))
        for rsu in list(self._answers):
            if rsu not in wanted and not self.board.is_fresh(rsu, now):
                del self._answers[rsu]  # the RSU is gone; nothing is owed to it
        return bids

    def _went_without(self, rsu: str) -> bool:
        """Whether, since it last answered this RSU, it has been granted nothing by anybody."""
        last = self._answers.get(rsu)
        return last is not None and last.bandwidth > 0.0 and not last.granted and self._last_grant < last.at

    def _demand(self, candidates: list[str], on_trial: list[str]) -> dict[str, float]:
        """What to ask of whom, MHz: the best response, and a trifle of who has yet to show that it grants."""
        wanted = self._best_response(candidates)
        bought = math.fsum(wanted.values())
        if bought == 0.0:  # too dear, or nobody: then the others count, whoever they are
            return self._best_response(candidates + on_trial)
        return wanted | {rsu: self.reputation.trial(rsu) * bought for rsu in on_trial}

    def _best_response(self, candidates: list[str]) -> dict[str, float]:
        """Bandwidth that maximises the utility at the posted prices, MHz by candidate."""
        offers = [heard.offer for rsu in candidates if (heard := self.board.get(rsu))]
        if not offers:
            return {}
        settings = self.settings
        asked = (
            [offer.price for offer in offers],
            [self._efficiency[offer.rsu] for offer in offers],
            settings.immersion_weight,
            settings.transfer_size / self._stays(offers[:1])[0],
            settings.rho,
        )
        response = self._utility.ask(lambda own: utility.best_response(own, *asked))
        bandwidth = np.where(response.bandwidth < SMALLEST_BID, 0.0, np.minimum(response.bandwidth, LARGEST_BANDWIDTH))
        return dict(zip(candidates, map(float, bandwidth), strict=True))

    def _stays(self, offers: Sequence[Offer]) -> list[float]:
        """Predicted time in the coverage of each offer's RSU, s, within the market's bounds."""
        assert self._position is not None  # nobody asks before the first odometry
        here, course = self._position[:2], self._velocity[:2]
        stays = [predicted_stay_of_one(here, course, offer.position[:2], offer.range) for offer in offers]
        return [min(max(stay, self.settings.min_stay), self.settings.max_stay) for stay in stays]

    def _check_grant(self, grant: Grant, share: float, answer: _Answer | None) -> Refusal | None:
        refusal = check_number(share, LARGEST_BANDWIDTH) or check_number(grant.lease, LONGEST_LEASE)
        if refusal:
            return refusal
        if answer is None or grant.round != answer.round or share > answer.bandwidth * SAME:
            return Refusal.UNASKED
        if answer.granted:
            return Refusal.REPLAYED
        if not math.isfinite(grant.price) or grant.price > answer.price * SAME:
            return Refusal.OVERCHARGED
        return None

    def _choose_host(self, now: float) -> list[Output]:
        """The hosting decision: where will the twin be served longest?"""
        if self._position is None:
            return []
        offers = [
            heard.offer for rsu in self._efficiency if self.board.is_fresh(rsu, now) and (heard := self.board.get(rsu))
        ]
        stays = self._stays(offers) if offers else []
        prospects = {
            offer.rsu: Prospect(
                stay,
                self._efficiency[offer.rsu],
                math.dist(self._position[:2], offer.position[:2]),
                offer.price,
                offer.free_bandwidth,
            )
            for offer, stay in zip(offers, stays, strict=True)
        }
        if not prospects and not self._efficiency and self.hosting.host is None:
            return []
        if not self.hosting.update(now, prospects):
            return []
        host = self.hosting.host
        return [HostChange(self.settings.uav, host, prospects[host].stay if host else 0.0)]
