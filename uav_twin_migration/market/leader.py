"""The leader of a round: an RSU's side of the protocol. The package's docstring has the theory of operation.

Everything that changes a leader's state is in this file. Its transitions:

========  =======================================  =========================================================
phase     event                                    what happens
========  =======================================  =========================================================
CLOSED    the time of the next offer               a new round opens: post its offer
OPEN      a valid demand                           noted (a higher sequence replaces an earlier answer)
OPEN      everybody expected has answered          the round closes: ration, grant, book, choose the next price
OPEN      the deadline                             the same, without those who did not answer
any       an invalid demand                        refused and counted
any       a rival's offer                          remembered as that rival's posted price
any       a UAV bids to a rival                    that rival is one; prices of others weigh nothing
any       the clock jumped back                    deadlines are counted anew from the jump
any       change(settings)                         they hold from the next offer on
any       stop()                                   no further offers; an open round is dropped without a grant
========  =======================================  =========================================================
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

from uav_twin_migration.market.admitted import Admitted
from uav_twin_migration.market.messages import (
    LARGEST_BANDWIDTH,
    Bid,
    Grant,
    Offer,
    Refusal,
    Refusals,
    check_number,
    check_offer,
    is_id,
)
from uav_twin_migration.scenario.model import MarketParameters

NEVER = math.inf
PLAUSIBLE = 10.0  # times less than the own cost, below which no rival's price is taken at its word
BELIEVED_FOR = 8.0  # rounds since a UAV has last bid to a rival
WANTED_CHEAP = 0.25  # the same, of a rival that asks less than half of the own price: of whom UAVs would want more
WANTED = 0.02  # of what a UAV has here, in the mean: what a bid must be that tells that somebody buys there


@dataclass(frozen=True)
class LeaderSettings:
    """What an RSU is and may do."""

    rsu: str
    position: tuple[float, float, float]  # m, of the antenna
    range: float  # m
    capacity: float  # MHz
    unit_cost: float  # credit/MHz, private
    price_cap: float  # credit/MHz
    round_period: float = MarketParameters.round_period  # s
    offer_window: float = MarketParameters.offer_window  # s
    lease_rounds: float = MarketParameters.lease_rounds  # rounds
    admitted: tuple[str, ...] = ("*",)  # patterns of UAV ids that may buy
    most_uavs: int = 1000  # that are served in one round
    most_revisions: int = 8  # of one UAV's answer in one round
    history: int = 16  # rounds that the pricer sees

    @property
    def lease(self) -> float:
        """How long a grant holds, s."""
        return self.lease_rounds * self.round_period

    @cached_property
    def admits(self) -> Admitted:
        """The UAVs that may buy."""
        return Admitted(self.admitted)


class RoundResult(NamedTuple):
    """One closed round, as its RSU may know it (design: the information of the game)."""

    round: int
    price: float  # credit/MHz
    demanded: float  # MHz, before rationing
    sold: float  # MHz
    profit: float  # credit
    uavs_in_range: int  # that answered
    rival_prices: tuple[float, ...]  # credit/MHz, posted by the others when this round opened
    concentration: float = 0.0  # Herfindahl index of what was demanded: sum of the UAVs' squared shares in it
    capacity: float = math.nan  # MHz that the RSU had; NaN where that is not told
    rivals_bandwidth: tuple[float, ...] = ()  # MHz, of rivals that offered any when this round opened
    largest: float = 0.0  # MHz, the most that one UAV demanded


class PriceDecision(NamedTuple):
    """A price and how it came about; the policy's fields are empty where a rule priced."""

    price: float  # credit/MHz
    action: float = math.nan
    log_probability: float = math.nan
    observation: tuple[float, ...] = ()
    observation_schema: str = "none"
    policy_version: int = 0


class Pricer(Protocol):
    """Chooses the next round's price from what the RSU has seen, oldest round first."""

    def decide(self, history: Sequence[RoundResult], rival_prices: Sequence[float]) -> PriceDecision:
        """The price; one outside of [cost, cap] is brought inside. rival_prices: credit/MHz, posted last by others."""
        ...


class AdaptablePricer(Pricer, Protocol):
    """A pricer of an RSU whose figures may change while it runs."""

    def adopt(self, unit_cost: float, price_cap: float, capacity: float) -> None: ...


class ClosedRound(NamedTuple):
    """A closed round with the decision that priced it."""

    result: RoundResult
    decision: PriceDecision


Output = Offer | Grant | ClosedRound


class _Lease(NamedTuple):
    bandwidth: float  # MHz
    expires: float  # s, on the leader's clock


class _Rival(NamedTuple):
    price: float
    bandwidth: float  # MHz, free
    heard: float


def ration(demands: Sequence[float], available: float) -> list[float]:
    """Shares of what is available, MHz: in proportion to demand where demand exceeds it, else what was demanded."""
    total = math.fsum(demands)
    if total <= available:
        return list(demands)
    return [demand * (available / total) for demand in demands]


class Leader:
    """An RSU's state machine. `first_round` must be above every round number this RSU has ever used."""

    def __init__(self, settings: LeaderSettings, pricer: Pricer, first_round: int) -> None:
        self.settings = self._coming = settings
        self.pricer = pricer
        self.round = first_round
        self.refusals = Refusals()
        self.history: deque[RoundResult] = deque(maxlen=settings.history)
        self._open = False
        self._stopped = False
        self._now = -math.inf
        self._next_offer = -math.inf
        self._deadline = NEVER
        self._decision = PriceDecision(settings.unit_cost)
        self._rivals_at_offer: tuple[float, ...] = ()
        self._bandwidth_at_offer: tuple[float, ...] = ()
        self._answers: dict[str, tuple[int, float]] = {}  # uav -> sequence, MHz
        self._revisions: dict[str, int] = {}
        self._expected: set[str] = set()
        self._declined: set[str] = set()  # answered 0 last round
        self._leases: dict[str, _Lease] = {}
        self._rivals: dict[str, _Rival] = {}
        self._wanted: dict[str, float] = {}  # rival -> when a UAV last bid to it

    # -- what the node asks ------------------------------------------------------------------------------------------

    @property
    def wake_at(self) -> float:
        """When `on_time` wants to be called, s."""
        if self._open:
            return self._deadline
        return NEVER if self._stopped else self._next_offer

    @property
    def price(self) -> float:
        """The last posted price, credit/MHz."""
        return self._decision.price

    def leased(self) -> float:
        """Bandwidth under lease now, MHz; never more than the capacity."""
        return math.fsum(lease.bandwidth for lease in self._leases.values())

    def rival_prices(self) -> tuple[float, ...]:
        """Prices that rivals posted lately, by id, as far as they are plausible."""
        low, high = self.settings.unit_cost / PLAUSIBLE, self.settings.price_cap
        return tuple(min(max(rival.price, low), high) for _, rival in self._believed())

    def doubted(self, now: float) -> list[str]:
        """The rivals that were not wanted lately: of bids to other RSUs, those to these alone may tell something."""
        return [rsu for rsu in self._rivals if self._wanted.get(rsu, -math.inf) <= self._lately(now)]

    def doubts(self, now: float, bid: Bid) -> bool:
        """Whether a bid to another RSU would tell something: to one of those rivals, more than a trifle.

        UAVs ask for trifles of RSUs that have granted them nothing yet.
        """
        if bid.rsu not in self._rivals or self._wanted.get(bid.rsu, -math.inf) > self._lately(now):
            return False
        least = WANTED if self._rivals[bid.rsu].price > 0.5 * self.price else WANTED_CHEAP
        return bid.bandwidth > least * self.leased() / max(len(self._leases), 1)

    def _lately(self, now: float) -> float:
        return now - 0.5 * BELIEVED_FOR * self.settings.round_period

    # -- events ------------------------------------------------------------------------------------------------------

    def on_time(self, now: float) -> list[Output]:
        """Time has passed."""
        self._advance(now)
        outputs: list[Output] = []
        if self._open and now >= self._deadline:
            outputs += self._close(now)
        if not self._open and not self._stopped and now >= self._next_offer:
            outputs.append(self._post(now))
        return outputs

    def on_demand(self, now: float, sequence: int, bid: Bid) -> list[Output]:
        """A UAV answers. Bids to other RSUs are nobody's business here and are ignored without being counted."""
        if bid.rsu != self.settings.rsu:
            return []
        self._advance(now)
        refusal = self._check(sequence, bid)
        if refusal:
            self.refusals.note(refusal, bid.uav)
            return []
        # Nobody can buy more than there is: a boast counts as the capacity, and starves the others no further.
        self._answers[bid.uav] = (sequence, min(bid.bandwidth, self.settings.capacity))
        self._revisions[bid.uav] = self._revisions.get(bid.uav, 0) + 1
        complete = self._expected and self._expected <= self._answers.keys()
        return self._close(now) if complete else []

    def on_bid_elsewhere(self, now: float, bid: Bid) -> None:
        """A UAV bids to a rival."""
        if self.doubts(now, bid):
            self._wanted[bid.rsu] = now

    def on_offer(self, now: float, offer: Offer) -> None:
        """A rival (or somebody who claims our id) posted a price."""
        refusal = check_offer(offer)
        if refusal is None and offer.rsu == self.settings.rsu:
            refusal = Refusal.DUPLICATE_ID
        if refusal is None and offer.rsu not in self._rivals and len(self._rivals) >= self.settings.most_uavs:
            refusal = Refusal.CROWDED
        if refusal:
            self.refusals.note(refusal, offer.rsu)
            return
        self._advance(now)
        self._rivals[offer.rsu] = _Rival(offer.price, offer.free_bandwidth, now)

    def change(self, settings: LeaderSettings) -> None:
        """Other settings, from the next round on: the open one ends by those it was offered with."""
        self._coming = settings

    def stop(self) -> None:
        """Post nothing any more. An open round is dropped; leases run out by themselves."""
        self._stopped = True
        self._open = False

    def start(self) -> None:
        """Post offers (again)."""
        self._stopped = False
        self._next_offer = -math.inf

    # -- the rest ----------------------------------------------------------------------------------------------------

    def _advance(self, now: float) -> None:
        """Follow the clock: forget what has expired, and count deadlines anew where it jumped back."""
        if now == self._now:
            return
        settings = self.settings
        if now < self._now:
            self._deadline = min(self._deadline, now + settings.offer_window)
            self._next_offer = min(self._next_offer, now + settings.round_period)
            longest = now + self._held_for
            self._leases = {uav: _Lease(b, min(expires, longest)) for uav, (b, expires) in self._leases.items()}
            self._rivals = {rsu: rival._replace(heard=min(rival.heard, now)) for rsu, rival in self._rivals.items()}
            self._wanted = {rsu: min(at, now) for rsu, at in self._wanted.items()}
        self._now = now
        self._leases = {uav: lease for uav, lease in self._leases.items() if lease.expires > now}

    @property
    def _held_for(self) -> float:
        """How long the leader itself keeps a lease: longer than it says, since the grant takes time to arrive."""
        return self.settings.lease + self.settings.offer_window

    def _post(self, now: float) -> Offer:
        settings = self.settings = self._coming
        silent = now - settings.lease
        self._rivals = {rsu: rival for rsu, rival in self._rivals.items() if rival.heard >= silent}
        long_ago = now - BELIEVED_FOR * settings.round_period
        self._wanted = {rsu: at for rsu, at in self._wanted.items() if at > long_ago and rsu in self._rivals}
        self._rivals_at_offer = self.rival_prices()
        self._bandwidth_at_offer = self._rivals_bandwidth()
        self._decision = self._price()
        self.round += 1
        self._open = True
        self._deadline = now + settings.offer_window
        # Rounds start at whole periods of the clock: RSUs whose clocks agree post together, and a UAV then answers all
        # of them with one message. Nothing relies on it.
        self._next_offer = (math.floor(now / settings.round_period) + 1) * settings.round_period
        self._answers, self._revisions = {}, {}
        price, capacity = self._decision.price, settings.capacity
        return Offer(
            settings.rsu, self.round, price, capacity, settings.position, settings.range, settings.offer_window
        )

    def _believed(self) -> list[tuple[str, _Rival]]:
        """The rivals that UAVs buy from; all, where nothing is known of what UAVs want."""
        return [(rsu, rival) for rsu, rival in sorted(self._rivals.items()) if not self._wanted or rsu in self._wanted]

    def _rivals_bandwidth(self) -> tuple[float, ...]:
        """MHz, what each of the rivals offered lately that had any."""
        return tuple(rival.bandwidth for _, rival in self._believed() if rival.bandwidth > 0.0)

    def _price(self) -> PriceDecision:
        """The pricer's decision; one outside [cost, cap] is brought inside, one that is no number is not followed."""
        settings = self.settings
        decision = self.pricer.decide(self.history, self._rivals_at_offer)
        if not math.isfinite(decision.price):
            return PriceDecision(math.sqrt(settings.unit_cost * settings.price_cap))
        return decision._replace(price=min(max(decision.price, settings.unit_cost), settings.price_cap))

    def _check(self, sequence: int, bid: Bid) -> Refusal | None:
        """Why a demand is refused, or None."""
        settings = self.settings
        if not is_id(bid.uav):
            return Refusal.BAD_ID
        refusal = check_number(bid.bandwidth, LARGEST_BANDWIDTH)
        if refusal:
            return refusal
        if bid.uav not in settings.admits:
            return Refusal.UNKNOWN_UAV
        if bid.round != self.round or not self._open:
            return self._wrong_round(bid)
        if bid.uav not in self._answers:
            return Refusal.CROWDED if len(self._answers) >= settings.most_uavs else None
        if sequence <= self._answers[bid.uav][0]:
            return Refusal.REPLAYED
        return Refusal.FLOODING if self._revisions[bid.uav] >= settings.most_revisions else None

    def _wrong_round(self, bid: Bid) -> Refusal:
        if bid.round > self.round:
            return Refusal.FUTURE_ROUND
        if bid.round < self.round:
            return Refusal.PAST_ROUND
        if bid.uav in self._answers:
            return Refusal.REPLAYED
        if len(self._expected) < self.settings.most_uavs:
            self._expected.add(bid.uav)  # it is there, only slow: wait for it next time
        return Refusal.LATE

    def _close(self, now: float) -> list[Output]:
        """Ration, grant and book the open round."""
        settings = self.settings
        self._open = False
        silent = math.fsum(lease.bandwidth for uav, lease in self._leases.items() if uav not in self._answers)
        wanted = {uav: bandwidth for uav, (_, bandwidth) in self._answers.items()}
        shares = ration(list(wanted.values()), max(settings.capacity - silent, 0.0))
        granted = dict(zip(wanted, shares, strict=True))
        for uav, share in granted.items():
            self._leases.pop(uav, None)
            if share > 0.0:
                self._leases[uav] = _Lease(share, now + self._held_for)
        result = self._result(list(wanted.values()), math.fsum(shares))
        self.history.append(result)
        # A first answer of 0 may be a good-bye: only who repeats it is waited for.
        refused = {uav for uav, bandwidth in wanted.items() if bandwidth == 0.0}
        self._expected = set(wanted) - (refused - self._declined)
        self._declined = refused
        grant = Grant(settings.rsu, self.round, self._decision.price, granted, settings.lease)
        return [grant, ClosedRound(result, self._decision)]

    def _result(self, wanted: Sequence[float], sold: float) -> RoundResult:
        price = self._decision.price
        profit = (price - self.settings.unit_cost) * sold
        demanded = math.fsum(wanted)
        concentration = math.fsum((b / demanded) ** 2 for b in wanted) if demanded > 0.0 else 0.0
        return RoundResult(
            self.round,
            price,
            demanded,
            sold,
            profit,
            len(wanted),
            self._rivals_at_offer,
            concentration,
            self.settings.capacity,
            self._bandwidth_at_offer,
            max(wanted, default=0.0),
        )
