"""One listener for all who watch: takes messages, keeps the statistics and the city, gives frames and the summary.

It knows no ROS: live, a node hands it what it hears; of a recording, `replay` does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.game import followers as game
from uav_twin_migration.market.messages import Bid, Grant, Offer, is_id
from uav_twin_migration.monitor import readers
from uav_twin_migration.monitor.city import City, UavNow
from uav_twin_migration.monitor.flights import Flights
from uav_twin_migration.monitor.frames import Array, Frame, Sample
from uav_twin_migration.monitor.market import MarketMonitor
from uav_twin_migration.monitor.twins import Report, State, TwinMonitor
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.scenario.snapshot import best_links
from uav_twin_migration.vehicle.attitude import Vector

# of topics' names, after the region, the UAV and the RSU that they are about
MARKET, ODOMETRY, FEEDBACK = "/market/", "/odometry", "/migrate_twin/_action/feedback"
ERROR = 2  # a level of diagnostics
TOGETHER = 10  # samples that are compared with their equilibria at once, where nobody sees them


class Listener:
    """Hears one city. Times are seconds of one clock: simulated time in a simulation."""

    def __init__(
        self, scenario: Scenario | None = None, about: dict[str, str] | None = None, started: float = 0.0
    ) -> None:
        """about: what else is known of the run, such as its policy and seed. started: when it began, s."""
        self._started = started
        self.scenario = scenario
        self.city = City(scenario, about)
        self.market = MarketMonitor(scenario) if scenario else None
        self.twins = TwinMonitor()
        self.flights = Flights()
        self.messages = 0  # heard
        self.unreadable = 0  # that made no sense
        self._missed_before = self._refused_before = 0
        self._hosted = self._out_of_range = 0  # twins at samples, and those whose host has no link to their UAV
        self._handlers: dict[str, Callable[[float, str, Any], None]] = {
            "PriceOffer": self._on_offer,
            "BandwidthDemand": self._on_demand,
            "BandwidthGrant": self._on_grant,
            "HostingDecision": self._on_decision,
            "LinkQuality": self._on_links,
            "Interaction": self._on_interaction,
            "TwinState": self._on_states,
            "TwinReply": self._on_replies,
            "TwinHostStatus": self._on_host_status,
            "TwinPresence": self._on_host_status,
            "TwinHost": self._on_host,
            "TwinTransfers": self._on_transfers,
            "MigrateTwinFeedback": self._on_feedback,
            "MigrationReport": self._on_report,
            "DiagnosticArray": self._on_diagnostics,
            "Odometry": self._on_motion,
        }

    @property
    def kinds(self) -> frozenset[str]:
        """Names of the message types that are understood."""
        return frozenset(self._handlers)

    @property
    def market_of_scenario(self) -> MarketMonitor:
        """The market's statistics. Raises UavTwinError without a scenario, which they need."""
        if self.market is None:
            raise UavTwinError("statistics of a market need its scenario")
        return self.market

    def hear(self, now: float, topic: str, kind: str, message: Any) -> None:
        """A message of a type in `kinds`. Whatever is in it, nothing is raised: what makes no sense is counted."""
        self.messages += 1
        try:
            self._handlers[kind](now, topic, message)
        except (ValueError, TypeError, AttributeError, OverflowError):  # fields of another version, or senseless ones
            self.unreadable += 1

    def hear_motion(self, topic: str, position: Vector, velocity: Vector) -> None:
        """An odometry that was read already; m and m/s, both in the map frame."""
        self.messages += 1
        self._move(topic, position, velocity)

    # -- messages, as what they say ----------------------------------------------------------------------------------

    def _on_offer(self, now: float, topic: str, message: Any) -> None:
        if (offer := readers.offer(message)) is not None:
            self.offer(now, offer, topic.partition(MARKET)[0].rpartition("/")[2])

    def _on_demand(self, now: float, topic: str, message: Any) -> None:
        """Only bids to RSUs of the region it is said in count: other regions hear them, too."""
        region = topic.partition(MARKET)[0].rpartition("/")[2]
        rsus = self.city.rsus
        self.bids(
            bid
            for bid in readers.bids(message)
            if not region or bid.rsu not in rsus or rsus[bid.rsu].facts.region in ("", region)
        )

    def _on_grant(self, now: float, topic: str, message: Any) -> None:
        if (grant := readers.grant(message)) is not None:
            self.grant(now, grant)

    def _on_decision(self, now: float, topic: str, message: Any) -> None:
        for uav, rsu in readers.decisions(message):
            self.decision(now, uav, rsu)

    def _on_links(self, now: float, topic: str, message: Any) -> None:
        if (read := readers.links(message)) is not None:
            self.links(*read)

    def _on_states(self, now: float, topic: str, message: Any) -> None:
        for state in readers.states(message):
            self.state(now, state)

    def _on_replies(self, now: float, topic: str, message: Any) -> None:
        for reply in readers.replies(message):
            self.reply(now, message.rsu_id, reply)

    def _on_host_status(self, now: float, topic: str, message: Any) -> None:
        for hosting in readers.hostings(message):
            self.hosting(now, message.rsu_id, hosting)

    def _on_transfers(self, now: float, topic: str, message: Any) -> None:
        for progress in readers.transfers(message):
            self.progress(now, progress)

    def _on_feedback(self, now: float, topic: str, message: Any) -> None:
        source = topic.removesuffix(FEEDBACK).rpartition("/")[2]
        if (progress := readers.feedback(source, message)) is not None:
            self.progress(now, progress)

    def _on_report(self, now: float, topic: str, message: Any) -> None:
        if (report := readers.report(message)) is not None:
            self.report(now, report)

    def _on_motion(self, now: float, topic: str, message: Any) -> None:
        self._move(topic, *readers.motion(message))

    def _move(self, topic: str, position: Vector, velocity: Vector) -> None:
        id_ = topic.removesuffix(ODOMETRY).rpartition("/")[2]
        if readers.is_motion(position, velocity) and is_id(id_):
            self.motion(id_, position, velocity)

    def _on_diagnostics(self, now: float, topic: str, message: Any) -> None:
        for status in readers.statuses(message):
            self.status(now, status)

    # -- what happens in the market ----------------------------------------------------------------------------------

    def offer(self, now: float, offer: Offer, region: str = "") -> None:
        """An RSU posted a price."""
        if (rsu := self.city.rsu(offer.rsu)) is None:
            return
        rsu.price, rsu.heard = offer.price, now
        self.city.learn(offer.rsu, position=offer.position, range=offer.range, region=region)
        if self.market:
            self.market.on_offer(offer)

    def bids(self, bids: Iterable[Bid]) -> None:
        """UAVs answered."""
        if self.market:
            self.market.on_bids(bids)

    def grant(self, now: float, grant: Grant) -> None:
        """An RSU granted bandwidth."""
        if (rsu := self.city.rsu(grant.rsu)) is None:
            return
        rsu.sold = 0.0
        for id_, share in grant.bandwidth.items():
            uav = self.city.uav(id_)
            if uav is not None:
                uav.grants[grant.rsu] = (share, grant.price, now + grant.lease)
                rsu.sold += share
        rsu.profit = (grant.price - rsu.facts.unit_cost) * rsu.sold
        if self.market:
            self.market.on_grant(now - self._started, grant)

    def decision(self, now: float, uav: str, rsu: str) -> None:
        """A UAV wants a host; an empty id for none."""
        self.city.wants(now, uav, rsu)
        if self.market:
            self.market.on_hosting(uav, rsu)

    def links(self, uavs: Sequence[str], rsus: Sequence[str], efficiency: Array) -> None:
        """Spectral efficiency [uavs, rsus], bit/s/Hz."""
        for id_, row in zip(uavs, efficiency.tolist(), strict=True):
            if (uav := self.city.uav(id_)) is not None:
                uav.links = {rsu: value for rsu, value in zip(rsus, row, strict=True) if value > 0.0}
        if self.market:
            self.market.on_links(uavs, rsus, efficiency)

    def _on_interaction(self, now: float, topic: str, message: Any) -> None:
        private = {"capacity": message.capacity, "unit_cost": message.unit_cost, "price_cap": message.price_cap}
        if is_id(message.rsu_id) and all(0.0 < value < math.inf for value in private.values()):
            self.city.learn(message.rsu_id, **private)

    # -- what becomes of twins ---------------------------------------------------------------------------------------

    def state(self, now: float, state: State) -> None:
        """A twin as its users see it."""
        uav = self.city.uav(state.uav)
        if uav is not None:
            truth = uav.position if math.isfinite(uav.position[0]) else None
            self.twins.on_state(now, state, truth)
            self.city.hosted(now, state.uav, state.rsu, state.epoch, state.stamp, state.position)

    def reply(self, now: float, rsu: str, reply: readers.Reply) -> None:
        """An RSU answered a UAV that asked it to host."""
        if reply.accepted and reply.restored:
            self.twins.on_takeover(reply.uav, reply.epoch, reply.as_of)
            self.city.tell(now, "host", f"{rsu} takes the twin of {reply.uav} over, from a copy.")
        elif reply.accepted:
            before = len(self.twins.lost)
            self.twins.on_begun_anew(reply.uav, reply.epoch)
            if len(self.twins.lost) > before:
                self.city.tell(now, "lost", f"The twin of {reply.uav} was lost; it begins anew at {rsu}.")

    def hosting(self, now: float, rsu: str, hosting: readers.Hosting) -> None:
        """What an RSU says that it has of a twin."""
        if hosting.holding == "hosting" and self.city.uav(hosting.uav) is not None:
            self.twins.on_version(hosting.uav, rsu, hosting.epoch, hosting.version)
        if hosting.replica:
            self.twins.on_replica(hosting.replica_age)
        self.city.holds(now, rsu, hosting)

    def _on_host(self, now: float, topic: str, message: Any) -> None:
        rsu = self.city.rsu(message.rsu_id) if is_id(message.rsu_id) else None
        if rsu is not None:
            if message.draining and not rsu.draining:
                self.city.tell(now, "health", f"{message.rsu_id} drains: it takes no more twins, and moves its own.")
            rsu.draining = bool(message.draining)

    def progress(self, now: float, progress: readers.Progress) -> None:
        """How far a twin has come on its way."""
        self.city.moves(now, progress)

    def report(self, now: float, report: Report) -> None:
        """A migration ended."""
        if self.city.uav(report.uav) is None:
            return
        self.twins.on_report(report)
        self.city.moving.pop(report.uav, None)
        if report.reason:
            text = f"The twin of {report.uav} stays at {report.source}: {report.reason.replace('_', ' ')}."
            self.city.tell(now, "fail", text)
        else:
            took = f"in {report.age_of_migration:.1f} s, unserved for {1e3 * report.downtime:.0f} ms"
            way = f"from {report.source} to {report.target}"
            self.city.tell(now, "move", f"The twin of {report.uav} moved {way} {took}.")

    # -- everything else ---------------------------------------------------------------------------------------------

    def motion(self, id_: str, position: Vector, velocity: Vector) -> None:
        """Where a UAV is, m, and how it moves, m/s."""
        if (uav := self.city.uav(id_)) is not None:
            uav.position, uav.velocity = position, velocity
            if self.market:
                self.market.on_motion(id_, position, velocity)

    def status(self, now: float, status: readers.Status) -> None:
        """What a node says about itself."""
        if status.level >= ERROR and self.city.level_of(status.name) < ERROR:
            self.city.tell(now, "health", f"{status.name} complains: {status.message}.")
        self.city.note(status)
        self.flights.on_diagnostics(status.name, status.values)
        if self.market:
            self.market.on_diagnostics(status.name, status.values)

    # -- what is asked -----------------------------------------------------------------------------------------------

    def frame(self, now: float, sampled: bool) -> Frame:
        """The city now. sampled: with the market beside its equilibrium, which takes some milliseconds."""
        return self.city.frame(now, self.sample(now) if sampled else None)

    def note(self, now: float) -> None:
        """A sample that nobody sees, for the summary: the market is compared with its equilibrium with some others."""
        self.twins.sample(now)
        if self.market:
            self.market.note(now - self._started)
            self.market.compare(TOGETHER)
        hosts = [(uav, uav.host) for uav in self.city.uavs.values() if uav.host]
        self._hosted += len(hosts)
        self._out_of_range += sum(not uav.links.get(host) for uav, host in hosts)

    def sample(self, now: float) -> Sample:
        """Compare the market with its equilibrium; the summary gets what is found, too."""
        self.note(now)
        if self.market:
            self.market.compare()
        city, index = self.city, {id_: number for number, id_ in enumerate(self.city.rsus)}
        uavs = list(city.uavs.values())
        rsus = list(city.rsus.values())
        held = np.zeros((len(uavs), len(rsus)))
        price = np.zeros_like(held)
        efficiency = np.zeros_like(held)
        for row, uav in enumerate(uavs):
            for rsu, (share, paid, expires) in uav.grants.items():
                if expires > now:
                    held[row, index[rsu]], price[row, index[rsu]] = share, paid
            for rsu, value in uav.links.items():
                if rsu in index:
                    efficiency[row, index[rsu]] = value
        best = self._best(efficiency)
        twins = np.zeros(len(rsus), dtype=np.int64)
        for uav in uavs:
            if uav.host in index:
                twins[index[uav.host]] += 1
        reports = self.twins.reports
        completed = self.twins.completed
        capacity = np.array([rsu.facts.capacity for rsu in rsus])
        return Sample(
            price=np.array([rsu.price for rsu in rsus]),
            equilibrium=self._equilibrium(len(rsus)),
            sold=np.array([rsu.sold for rsu in rsus]),
            load=held.sum(axis=0) / capacity,
            profit=np.array([rsu.profit for rsu in rsus]),
            twins=twins,
            state=city.states(now),
            grants=sparse(held),
            links=sparse(best),
            required_rate=self._required_rate(uavs),
            rate=self._rate(held, best),
            immersion=self.market.immersion.copy() if self.market else np.full(len(uavs), math.nan),
            spending=(held * price).sum(axis=1),
            exploitability=self._exploitability(now),
            migrations=(len(completed), len(reports) - len(completed)),
            downtime=completed[-1].downtime if completed else math.nan,
            health=self._health(),
        )

    def summary(self) -> dict[str, Any]:
        """The run in numbers: the keys of `uavtwin sim --json`."""
        flights = {"flights": self.flights.summary()} if self.flights.by_uav else {}
        reach = {"hosted_out_of_range": self._out_of_range / self._hosted if self._hosted else None}
        return {**(self.market.summary() if self.market else {}), **self.twins.summary(), **reach, **flights}

    def _best(self, efficiency: Array) -> Array:
        if self.market and self.market.present:
            return self.market.present.efficiency
        return best_links(efficiency, self.scenario.market.max_bids) if self.scenario else efficiency

    def _equilibrium(self, rsus: int) -> Array:
        found = self.market.equilibrium if self.market else None
        return np.full(rsus, math.nan) if found is None else found

    def _required_rate(self, uavs: list[UavNow]) -> Array:
        market = self.market.present if self.market else None
        return np.full(len(uavs), math.nan) if market is None else market.required_rate

    def _rate(self, held: Array, efficiency: Array) -> Array:
        if self.scenario is None:
            return np.asarray((held * efficiency).sum(axis=1))
        return game.effective_rate(held, efficiency, self.scenario.market.rho)

    def _exploitability(self, now: float) -> float:
        found = self.market.exploitabilities if self.market else []
        return found[-1] if found and self.market and self.market.sampled_at[-1] == now - self._started else math.nan

    def _health(self) -> dict[str, Any]:
        missed = sum(self.market.rounds_missed.values()) if self.market else 0
        refused = sum(sum(counts.values()) for counts in self.market.refused.values()) if self.market else 0
        news = {"missed": missed - self._missed_before, "refused": refused - self._refused_before}
        self._missed_before, self._refused_before = missed, refused
        return {**news, "alarms": self.city.alarms()}


def sparse(matrix: Array) -> tuple[tuple[int, int, float], ...]:
    """Row, column and value of what is not 0."""
    return tuple((int(row), int(column), float(matrix[row, column])) for row, column in np.argwhere(matrix > 0.0))
