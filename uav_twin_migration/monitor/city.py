"""What is known of a city from what was heard: RSUs, UAVs, grants, twins. Takes readings, gives frames."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from uav_twin_migration.monitor.frames import (
    NOBODY,
    Array,
    Cast,
    Event,
    Frame,
    RsuFacts,
    Sample,
    Transfer,
    UavFacts,
)
from uav_twin_migration.monitor.readers import Hosting, Progress, Status
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.vehicle.attitude import Vector

NOWHERE = (math.nan, math.nan, math.nan)
MOST_RSUS, MOST_UAVS = 2_000, 5_000  # that are shown of a city nobody described
SILENT = 3.0  # rounds without an offer after which an RSU is called silent
UNSERVED = 2.0  # s without a state after which nobody is said to serve a twin
PATIENCE = 2.0  # s for which a source may say how far it is before that is guessed: in old recordings nobody does
STALE = 3.0  # s after which progress that nobody confirmed is over
MOST_EVENTS = 2_000
MOST_ALARMS = 20


@dataclass
class RsuNow:
    """An RSU, as last heard."""

    facts: RsuFacts
    price: float = math.nan
    sold: float = 0.0
    profit: float = math.nan
    heard: float = -math.inf  # s, its last offer
    draining: bool = False
    silent: bool = False


@dataclass
class UavNow:
    """A UAV and its twin, as last heard."""

    facts: UavFacts
    position: Vector = NOWHERE
    velocity: Vector = (0.0, 0.0, 0.0)
    estimate: Vector = NOWHERE
    stamp: float = math.nan  # s, of the newest telemetry that users know
    served: float = -math.inf  # s, when a host last spoke of the twin
    epoch: int = -1
    host: str = ""
    wanted: str = ""
    replica: str = ""
    grants: dict[str, tuple[float, float, float]] = field(default_factory=dict)  # RSU -> MHz, credit/MHz, expiry
    links: dict[str, float] = field(default_factory=dict)  # RSU -> bit/s/Hz


@dataclass
class Moving:
    """A twin on its way, as far as that is known."""

    progress: Progress
    at: float  # s, when it was heard
    began: float  # s, when it was first heard of
    told: bool  # whether a node measures it; else it is what the grants would have moved


class City:
    """The state of a city. With a scenario nobody else takes part; without one, whoever speaks does."""

    def __init__(self, scenario: Scenario | None = None, about: dict[str, str] | None = None) -> None:
        self.scenario = scenario
        self.about = about or {}
        self.rsus: dict[str, RsuNow] = {}
        self.uavs: dict[str, UavNow] = {}
        self.moving: dict[str, Moving] = {}
        self.alarmed: dict[str, Status] = {}  # nodes that complain
        self.events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self.cast_version = 0  # rises when somebody new takes part
        self._cast: tuple[int, Cast] | None = None
        self._said = 0  # events that a frame has told
        self._happened = 0
        for rsu in scenario.rsus if scenario else ():
            at = (*rsu.position, rsu.antenna_height)
            facts = (rsu.range, rsu.capacity, rsu.unit_cost, rsu.price_cap, rsu.region)
            self.rsus[rsu.id] = RsuNow(RsuFacts(rsu.id, at, *facts))
        for uav in scenario.uavs if scenario else ():
            self.uavs[uav.id] = UavNow(UavFacts(uav.id, uav.immersion_weight, uav.twin_size))

    # -- who takes part ----------------------------------------------------------------------------------------------

    def rsu(self, id_: str) -> RsuNow | None:
        """An RSU; a new one where there is no scenario and room."""
        found = self.rsus.get(id_)
        if found is None and self.scenario is None and id_ and len(self.rsus) < MOST_RSUS:
            found = self.rsus[id_] = RsuNow(RsuFacts(id_, NOWHERE, math.nan, math.nan, math.nan, math.nan, ""))
            self.cast_version += 1
        return found

    def uav(self, id_: str) -> UavNow | None:
        """A UAV; a new one where there is no scenario and room."""
        found = self.uavs.get(id_)
        if found is None and self.scenario is None and id_ and len(self.uavs) < MOST_UAVS:
            found = self.uavs[id_] = UavNow(UavFacts(id_, math.nan, math.nan))
            self.cast_version += 1
        return found

    def cast(self) -> Cast:
        """Who takes part, in the order of the frames' indices: the same object until that changes."""
        if self._cast is None or self._cast[0] != self.cast_version:
            self._cast = (self.cast_version, self._new_cast())
        return self._cast[1]

    def _new_cast(self) -> Cast:
        rsus, uavs = tuple(one.facts for one in self.rsus.values()), tuple(one.facts for one in self.uavs.values())
        if self.scenario is None:
            return Cast("", rsus, uavs, about=self.about)
        world = self.scenario
        return Cast(world.name, rsus, uavs, world.buildings, world.market, world.origin, self.about)

    def learn(self, id_: str, **facts: Any) -> None:
        """Something that stands still about an RSU, from what it says itself."""
        rsu = self.rsu(id_)
        if rsu is None or self.scenario is not None:
            return
        known = rsu.facts._replace(**facts)
        if known != rsu.facts:
            rsu.facts = known
            self.cast_version += 1

    # -- what happens ------------------------------------------------------------------------------------------------

    def tell(self, now: float, kind: str, text: str) -> None:
        """An event, for the next frame."""
        self.events.append(Event(now, kind, text))
        self._happened += 1

    def hosted(self, now: float, uav: str, rsu: str, epoch: int, stamp: float, at: Vector) -> None:
        """A host told users of a twin."""
        known = self.uav(uav)
        if known is None or self.rsu(rsu) is None or epoch < known.epoch:
            return
        if known.host != rsu:
            if known.host:
                gap = f", after {1e3 * (now - known.served):.0f} ms without an answer" if known.served > 0.0 else ""
                self.tell(now, "host", f"{rsu} serves the twin of {uav} that {known.host} had{gap}.")
            else:
                self.tell(now, "host", f"{rsu} begins to serve the twin of {uav}.")
            self.moving.pop(uav, None)
        known.host, known.epoch, known.stamp, known.estimate, known.served = rsu, epoch, stamp, at, now

    def wants(self, now: float, uav: str, rsu: str) -> None:
        """A UAV decided for a host."""
        known = self.uav(uav)
        if known is None or known.wanted == rsu:
            return
        if rsu and known.wanted:
            self.tell(now, "want", f"{uav} leaves {known.wanted} and wants its twin at {rsu}.")
        known.wanted = rsu

    def holds(self, now: float, rsu: str, hosting: Hosting) -> None:
        """What an RSU says that it has of a twin: where a copy is kept, and who it hands over to."""
        uav = self.uav(hosting.uav)
        if uav is None or self.rsu(rsu) is None:
            return
        if hosting.holding in ("hosting", "handing_over") and uav.host in ("", rsu):
            uav.replica = hosting.replica if hosting.replica in self.rsus else ""
            if hosting.successor in self.rsus and hosting.successor != rsu:
                phase = "frozen" if hosting.holding == "handing_over" else "copying"
                self._expect(now, Progress(hosting.uav, rsu, hosting.successor, phase, uav.facts.twin_size, 0.0, 0.0))

    def moves(self, now: float, progress: Progress) -> None:
        """A node told how far a twin is on its way."""
        if self.uav(progress.uav) and self.rsu(progress.source) and self.rsu(progress.target):
            self.moving[progress.uav] = Moving(progress, now, self._begin(now, progress), told=True)

    def _expect(self, now: float, progress: Progress) -> None:
        """A twin is on its way and nobody says how far: as far as what was bought would have brought it."""
        known = self.moving.get(progress.uav)
        if known is not None and known.told:
            return
        began, rate, sent = self._begin(now, progress), self.rate_of(self.uavs[progress.uav], now), 0.0
        if known is not None and known.began == began and now > began + PATIENCE:
            sent = known.progress.sent + rate * max(now - known.at, 0.0)
            sent = min(sent, progress.size) if math.isfinite(progress.size) else sent
        self.moving[progress.uav] = Moving(progress._replace(sent=sent, rate=rate), now, began, told=False)

    def _begin(self, now: float, progress: Progress) -> float:
        """When this move began; says so where it does now."""
        known = self.moving.get(progress.uav)
        if known is not None and known.progress.target == progress.target:
            return known.began
        size = f", {progress.size:.0f} Mbit" if math.isfinite(progress.size) else ""
        self.tell(
            now, "move", f"The twin of {progress.uav} sets out from {progress.source} to {progress.target}{size}."
        )
        return now

    def rate_of(self, uav: UavNow, now: float) -> float:
        """What a UAV's grants carry, Mbit/s."""
        return sum(share * uav.links.get(rsu, 0.0) for rsu, (share, _, expires) in uav.grants.items() if expires > now)

    # -- what is asked -----------------------------------------------------------------------------------------------

    def frame(self, now: float, sample: Sample | None) -> Frame:
        """The city at this instant."""
        index = {id_: number for number, id_ in enumerate(self.rsus)}
        number = {id_: row for row, id_ in enumerate(self.uavs)}
        for uav in [id_ for id_, moving in self.moving.items() if now - moving.at > STALE]:
            del self.moving[uav]
        uavs = list(self.uavs.values())
        served = [uav.host if now - uav.served <= UNSERVED else "" for uav in uavs]
        fresh = [math.nan if not host else max(now - uav.stamp, 0.0) for uav, host in zip(uavs, served, strict=True)]
        news = self._happened - self._said
        self._said = self._happened
        return Frame(
            time=now,
            position=rows([uav.position for uav in uavs]),
            estimate=rows([uav.estimate for uav in uavs]),
            age=np.array(fresh, dtype=np.float64),
            host=np.array([index.get(host, NOBODY) for host in served], dtype=np.int64),
            wanted=np.array([index.get(uav.wanted, NOBODY) for uav in uavs], dtype=np.int64),
            transfers=tuple(
                Transfer(number[uav], index[one.source], index[one.target], *one[3:])
                for uav, one in ((uav, moving.progress) for uav, moving in self.moving.items())
            ),
            replicas=tuple((row, index[uav.replica]) for row, uav in enumerate(uavs) if uav.replica in index),
            events=tuple(list(self.events)[-news:]) if news else (),
            sample=sample,
        )

    def states(self, now: float) -> tuple[str, ...]:
        """Of each RSU: ok, silent or draining. Says so when one changes."""
        period = self.scenario.market.round_period if self.scenario else 1.0
        for id_, rsu in self.rsus.items():
            silent = rsu.heard > -math.inf and now - rsu.heard > SILENT * period
            if silent != rsu.silent:
                text = (
                    f"{id_} offers again." if rsu.silent else f"{id_} is silent: no offer for {now - rsu.heard:.0f} s."
                )
                self.tell(now, "health", text)
            rsu.silent = silent
        return tuple("silent" if r.silent else "draining" if r.draining else "ok" for r in self.rsus.values())

    def note(self, status: Status) -> None:
        """What a node says about itself."""
        if status.level == 0:
            self.alarmed.pop(status.name, None)
        elif status.name in self.alarmed or len(self.alarmed) < MOST_ALARMS:
            self.alarmed[status.name] = status

    def level_of(self, name: str) -> int:
        """How bad a node said its state was: 0 ok, 1 warning, 2 error."""
        return self.alarmed[name].level if name in self.alarmed else 0

    def alarms(self) -> list[str]:
        """What nodes complain about, worst first."""
        bad = sorted(self.alarmed.values(), key=lambda one: -one.level)
        return [f"{one.name}: {one.message}" for one in bad]


def rows(vectors: Iterable[Vector]) -> Array:
    """Vectors as rows [N, 3]."""
    return np.array(list(vectors), dtype=np.float64).reshape(-1, 3)
