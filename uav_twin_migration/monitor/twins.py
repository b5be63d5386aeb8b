"""What becomes of twins, seen by their users and by somebody who knows where the UAVs really are.

Hears what everybody may hear. All times are of one clock, s: simulated time in a simulation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from uav_twin_migration.twin.hosting.estimate import Vector

UNSERVED = 10.0  # s without a state after which a twin counts as unserved
OVERLAP = 0.3  # s for which a state of an older hosting may still be under way when the newer one speaks


class State(NamedTuple):
    """A twin as a user sees it."""

    uav: str
    rsu: str
    epoch: int
    stamp: float  # s, of the newest telemetry in it
    position: Vector  # m, estimated


class Report(NamedTuple):
    """How a migration went."""

    uav: str
    source: str
    target: str
    reason: str  # empty: the twin moved
    age_of_migration: float  # s
    downtime: float  # s
    granted_rate: float  # Mbit/s
    achieved_rate: float  # Mbit/s


class _Newest(NamedTuple):
    state: State
    since: float  # s, when this hosting's first state was heard
    at: float  # s, when the last one was


class TwinMonitor:
    """Counts and measures one run."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.ages: list[float] = []  # s, users' age of information
        self.errors: list[float] = []  # m, between the twin's and the UAV's true place
        self.duplicated: set[str] = set()
        self.lost: set[str] = set()
        self.handovers: list[tuple[float, str, str, str]] = []  # when, UAV, from, to
        self.losses: list[float] = []  # s of telemetry that users had seen and that is gone, by takeover
        self.replica_ages: list[float] = []  # s by which replicas were behind
        self.versions_fallen = 0  # times that a host told of an older change than before, within one hosting
        self.longest_silence = 0.0  # s without any state of a twin that was served before
        self._newest: dict[str, _Newest] = {}
        self._first: dict[str, int] = {}  # epoch of the first hosting that users saw, by UAV
        self._begun: dict[str, int] = {}  # epoch of the last one that began from nothing, by UAV
        self._versions: dict[str, tuple[int, str, int]] = {}  # epoch, host and version told last, by UAV
        self._sampled_at = -math.inf  # s
        self._gaps: list[float] = []  # s without any state at hand-overs

    # -- what is heard -----------------------------------------------------------------------------------------------

    def on_state(self, now: float, state: State, truth: Vector | None) -> None:
        """A host told users of a twin. truth: where the UAV is, m."""
        newest = self._newest.get(state.uav)
        self.on_known(state.uav, state.epoch)
        if newest is not None:
            self.longest_silence = max(self.longest_silence, now - newest.at)
        if newest is None or state.epoch > newest.state.epoch:
            self._newest[state.uav] = _Newest(state, now, now)
            if newest is not None and newest.state.rsu != state.rsu:
                self._gaps.append(now - newest.at)
                self.handovers.append((now, state.uav, newest.state.rsu, state.rsu))
        elif state.epoch == newest.state.epoch and state.rsu == newest.state.rsu:
            self._newest[state.uav] = _Newest(state, newest.since, now)
        elif state.epoch == newest.state.epoch or now > newest.since + OVERLAP:
            self.duplicated.add(state.uav)
            return
        if truth is not None:
            self.errors.append(math.dist(state.position, truth))

    def on_known(self, uav: str, epoch: int) -> None:
        """There is, or was, a twin that was served under that epoch: what begins from nothing later is a loss."""
        self._first[uav] = min(self._first.get(uav, epoch), epoch)
        self._look_for_loss(uav)

    def on_begun_anew(self, uav: str, epoch: int) -> None:
        """An RSU hosts a twin from nothing. Until users saw one that is how it begins; later the old one is lost.

        Slow RSUs may each begin one, of which the UAV takes the last; what is said and what users see comes in any
        order.
        """
        self._begun[uav] = max(self._begun.get(uav, epoch), epoch)
        self._look_for_loss(uav)

    def _look_for_loss(self, uav: str) -> None:
        if uav in self._first and self._begun.get(uav, 0) > self._first[uav]:
            self.lost.add(uav)

    def on_version(self, uav: str, rsu: str, epoch: int, version: int) -> None:
        """A host told how new a twin is. Within a hosting that only rises, unless its store is an older copy."""
        last = self._versions.get(uav)
        if last is not None and (epoch, rsu) == last[:2]:
            self.versions_fallen += version < last[2]
        if last is None or epoch >= last[0]:
            self._versions[uav] = (epoch, rsu, version)

    def on_takeover(self, uav: str, epoch: int, as_of: float) -> None:
        """An RSU hosts a twin from a copy. as_of: s, of the newest telemetry in that copy, NaN for none."""
        newest = self._newest.get(uav)
        if newest is not None and epoch <= newest.state.epoch:
            return  # the same said again
        if math.isnan(as_of):
            self.on_begun_anew(uav, epoch)
        elif newest is not None:
            self.losses.append(max(newest.state.stamp - as_of, 0.0))

    def on_replica(self, age: float) -> None:
        """A host told by how much a replica is behind, s."""
        if math.isfinite(age):
            self.replica_ages.append(age)

    def on_report(self, report: Report) -> None:
        """A migration ended."""
        self.reports.append(report)

    # -- what is asked -----------------------------------------------------------------------------------------------

    def host_of(self, uav: str) -> str | None:
        """The RSU that users last heard of a twin."""
        newest = self._newest.get(uav)
        return newest.state.rsu if newest else None

    def told(self, uav: str) -> tuple[State, float] | None:
        """What users heard last of a twin, and when, s."""
        newest = self._newest.get(uav)
        return (newest.state, newest.at) if newest else None

    def sample(self, now: float) -> None:
        """Note how old users' information is now."""
        self._sampled_at = now
        self.ages += [max(now - newest.state.stamp, 0.0) for newest in self._newest.values()]

    @property
    def unserved(self) -> list[str]:
        """The twins that were served and, at the last sample, have not been for a while."""
        return [uav for uav, newest in self._newest.items() if self._sampled_at > newest.at + UNSERVED]

    @property
    def is_flawless(self) -> bool:
        """Whether no twin was lost, seen twice, set back or left unserved."""
        return not (self.lost or self.duplicated or self.versions_fallen or self.unserved)

    @property
    def completed(self) -> list[Report]:
        """The migrations that moved a twin."""
        return [report for report in self.reports if not report.reason]

    def summary(self) -> dict[str, Any]:
        """The run in numbers: keys of `uavtwin sim --json`."""
        completed = self.completed
        failed: dict[str, int] = {}
        for report in self.reports:
            if report.reason:
                failed[report.reason] = failed.get(report.reason, 0) + 1
        long = [one for one in completed if one.age_of_migration > 1.0 and 0.0 < one.granted_rate < math.inf]
        last = [one for one in self._newest.values() if self._sampled_at > one.at]
        ratios = [one.achieved_rate / one.granted_rate for one in long]
        return {
            "twins": len(self._newest),
            "migrations_completed": len(completed),
            "migrations_failed": sum(failed.values()),
            "failed_because": failed,
            "twins_lost": len(self.lost),
            "takeovers": len(self.losses),
            "lost_at_takeover_s": statistics(self.losses),
            "replica_age_s": statistics(self.replica_ages),
            "twins_duplicated": len(self.duplicated),
            "twins_unserved": len(self.unserved),
            "versions_fallen": self.versions_fallen,
            "longest_silence_s": max([self.longest_silence, *(self._sampled_at - one.at for one in last)]),
            "age_of_migration_s": statistics([one.age_of_migration for one in completed]),
            "downtime_ms": statistics([1e3 * one.downtime for one in completed]),
            "silence_ms": statistics([1e3 * gap for gap in self._gaps]),
            "achieved_of_granted_rate": statistics(ratios),
            "age_of_information_ms": statistics([1e3 * age for age in self.ages]),
            "twin_error_m": statistics(self.errors),
        }


def statistics(values: list[float]) -> Mapping[str, float | None]:
    """Mean and 95th percentile, or None of nothing."""
    if not values:
        return {"mean": None, "p95": None}
    return {"mean": float(np.mean(values)), "p95": float(np.quantile(values, 0.95))}
