"""What nodes say as metrics for Prometheus, by its conventions: base units, counters as counters, times as histograms.

The names and units: https://prometheus.io/docs/practices/naming/. Nothing here knows ROS or Prometheus's library.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

PREFIX = "uavtwin_"
GAUGE, COUNTER = "gauge", "counter"
UNITS = {"_ms": ("_seconds", 1e-3), "_mhz": ("_hertz", 1e6), "_mb": ("_bytes", 1e6)}  # suffix -> that of the base unit
TOTAL = "total"  # the group of values that only ever rise
TEXTS = {"trouble": "trouble", "policy_out_of_range": "policy_out_of_range", "ledger_trouble": "ledger_trouble"}
QUIET = ("", "no")  # what such a text says where all is well
NOT_SHOWN = ("round", "rsus_heard")  # a number that means nothing, and a list
MEANINGS = {
    "status_level": "how a node is: 0 well, 1 a warning, 2 an error",
    "trouble": "1 while something keeps a node from doing its work, as a store that cannot be used",
    "price_credits_per_hertz": "the price that an RSU posts",
    "capacity_hertz": "bandwidth that an RSU has to sell",
    "leased_hertz": "bandwidth that is under lease",
    "uavs_in_range": "UAVs in an RSU's market",
    "rsus_heard": "other RSUs that an RSU hears",
    "twins": "twins that are hosted",
    "twins_moving": "migrations under way",
    "twins_replicated": "hosted twins whose replica is fresh",
    "twins_replica_late": "hosted twins whose replica is late",
    "draining": "1 while an RSU moves its twins away",
    "policy_version": "of the policy that prices; 0 for the rule",
    "policy_out_of_range": "1 while an RSU prices by its rule, as it has left what its policy was trained for",
    "late_seconds": "by how much a node's timers are late",
    "store_bytes": "size of an RSU's store",
    "disk_free_bytes": "room on the disk of an RSU's store",
    "certificate_expires_timestamp_seconds": "when the certificate for moving twins runs out, since 1970",
    "signing_key_expires_timestamp_seconds": "when the key that signs messages runs out, since 1970",
    "refused_total": "input that was refused, by reason",
    "policy_refused_total": "policies that were refused, by reason",
    "rounds_total": "rounds that an RSU has closed",
    "grants_total": "shares of bandwidth that an RSU has granted",
    "hosted": "1 for the RSU that hosts a UAV's twin",
    "takeovers_total": "twins that an RSU took over from a replica",
    "twins_begun_total": "twins that an RSU began anew",
    "migrations_total": "migrations that have ended, by how",
    "age_of_twin_migration_seconds": "from the request for a migration to the target's word that it hosts",
    "migration_downtime_seconds": "for which a twin that moved was not served",
    "round_seconds": "from the offer of a round to its grant, as heard",
}
AGES = (0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0)  # s, buckets
DOWNTIMES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
ROUNDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0)

Labels = dict[str, str]


class Sample(NamedTuple):
    """One value. name: without the prefix; it ends with _total where it is a counter."""

    name: str
    labels: Labels
    value: float

    @property
    def kind(self) -> str:
        """What Prometheus calls its type."""
        return COUNTER if self.name.endswith("_total") else GAUGE

    @property
    def meaning(self) -> str:
        """For people."""
        return MEANINGS.get(self.name, f"{self.name.replace('_', ' ')}, of /diagnostics")


class Histogram:
    """Times, counted by how long they were."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """bounds: s, upper ones; one for all longer is added."""
        self.bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0  # s

    def observe(self, seconds: float) -> None:
        """Count one; what is no time is left out."""
        if math.isfinite(seconds) and seconds >= 0.0:
            self._counts[bisect.bisect_left(self.bounds, seconds)] += 1
            self.sum += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Upper bounds, as Prometheus writes them, and how many were no longer."""
        total, found = 0, []
        for bound, count in zip((*self.bounds, math.inf), self._counts, strict=True):
            total += count
            found.append(("+Inf" if bound == math.inf else repr(bound), float(total)))
        return found


def samples(status: str, level: int, values: Mapping[str, str]) -> Iterator[Sample]:
    """A status of /diagnostics, by its name, as rsu/north, as metrics. What is neither number nor state is left out."""
    kind, _, id_ = status.partition("/")
    labels = {"kind": kind, "id": id_}
    yield Sample("status_level", labels, float(level))
    yield Sample("trouble", labels, float(bool(values.get("trouble"))))
    for key, text in values.items():
        group, _, reason = key.partition("/")
        value = number(text)
        if key == "rsus_heard":
            yield Sample("rsus_heard", labels, float(len([one for one in text.split(",") if one])))
        elif key in TEXTS and key != "trouble":
            yield Sample(TEXTS[key], labels, float(text not in QUIET))
        elif value is None or key in NOT_SHOWN or key in TEXTS:
            continue
        elif reason:
            yield (
                Sample(f"{reason}_total", labels, value)
                if group == TOTAL
                else Sample(f"{group}_total", {**labels, "reason": reason}, value)
            )
        elif key == "price":
            yield Sample("price_credits_per_hertz", labels, value * 1e-6)
        else:
            yield in_base_units(key, labels, value)


def in_base_units(key: str, labels: Labels, value: float) -> Sample:
    """A value in seconds, hertz, bytes."""
    for suffix, (base, scale) in UNITS.items():
        if key.endswith(suffix):
            return Sample(key.removesuffix(suffix) + base, labels, value * scale)
    return Sample(key, labels, value)


def number(text: str) -> float | None:
    """A finite number, or a truth, as one; None where it is neither."""
    try:
        value = float({"True": "1", "False": "0"}.get(text, text))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
