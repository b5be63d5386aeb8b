"""What a person sees of a running market: a live table in a terminal, plain lines elsewhere, a summary at the end."""

from __future__ import annotations

import time
from typing import Any, TextIO

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from uav_twin_migration.monitor.market import MarketMonitor
from uav_twin_migration.monitor.summary import in_words
from uav_twin_migration.monitor.twins import TwinMonitor

MOST_ROWS = 12  # UAVs shown; a terminal is only so high
UNITS = {
    "mean_immersion": ", credit",
    "mean_profit": ", credit/round",
    "price_gap_to_equilibrium": ", share of the price",
    "exploitability": ", share of the best profit",
    "grant_latency_ms": ", offer to grant at the UAV",
    "age_of_migration_s": ", asked to moved",
    "downtime_ms": ", nobody serves",
    "silence_ms": ", users hear nothing at a hand-over",
    "age_of_information_ms": ", of users",
    "twin_error_m": ", twin to UAV",
}
LINE_PERIOD = 5.0  # s of wall time between two plain lines


class Display:
    """Shows an `MarketMonitor` of the market and one of the twins."""

    def __init__(
        self, monitor: MarketMonitor, twins: TwinMonitor, out: TextIO, plain: bool, verbose: bool = False
    ) -> None:
        self._monitor, self._twins = monitor, twins
        self._console = Console(file=out, highlight=False)
        self._live: Live | None = None
        self._verbose = verbose
        self._plain = plain or not self._console.is_terminal
        self._said = -LINE_PERIOD

    def start(self, processes: int, seed: int) -> None:
        """Say what is about to run."""
        scenario = self._monitor.scenario
        self.say(
            f"scenario {scenario.name}: {len(scenario.rsus)} RSUs, {len(scenario.uavs)} UAVs, "
            f"{processes} processes, seed {seed}; Ctrl-C stops"
        )
        if not self._plain:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()

    def say(self, line: str) -> None:
        """One line, above the table where there is one."""
        self._console.print(line, soft_wrap=True)

    def update(self, now: float) -> None:
        """Show the present state."""
        if self._live is not None:
            self._live.update(self._picture(now), refresh=True)
        elif now > 0.0 and time.monotonic() - self._said >= LINE_PERIOD:
            self._said = time.monotonic()
            self.say(self._line(now))

    def finish(self, summary: dict[str, Any]) -> None:
        """The summary, in words; all figures where `verbose` was asked for."""
        if self._live is not None:
            self._live.stop()
        if not self._verbose:
            for line in in_words(summary):
                self.say(line)
            return
        table = Table("summary", "", show_edge=False)
        for key, value in summary.items():
            if isinstance(value, list):
                continue  # a curve, for programs
            if isinstance(value, dict):
                value = ", ".join(f"{name} {number(inner)}" for name, inner in value.items()) or "none"
            table.add_row(f"{key.replace('_', ' ')}{UNITS.get(key, '')}", number(value))
        self._console.print(table)

    def _line(self, now: float) -> str:
        monitor = self._monitor
        prices = " ".join(f"{rsu.id} {number(monitor.price[i])}" for i, rsu in enumerate(monitor.scenario.rsus[:8]))
        moved = len(self._twins.completed)
        return f"t {now:.1f} s  rounds {monitor.rounds.sum()}  grants {monitor.grants}  moved {moved}  prices: {prices}"

    def _picture(self, now: float) -> Group:
        gap = self._monitor.gaps[-1] if self._monitor.gaps else None
        head = f"t = {now:.1f} s   rounds {self._monitor.rounds.sum()}   price gap to equilibrium "
        head += "-" if gap is None else f"{gap:.1%}"
        head += f"   twins moved {len(self._twins.completed)}"
        return Group(Text(head, style="bold"), self._rsus(now), self._uavs(now))

    def _rsus(self, now: float) -> Table:
        monitor = self._monitor
        table = Table("RSU", "price\ncredit/MHz", "sold\nMHz", "load\nof capacity", "profit\ncredit/round")
        held = monitor.leases(now).sum(axis=0)
        for index, rsu in enumerate(monitor.scenario.rsus):
            price, sold, profit = map(number, (monitor.price[index], monitor.sold[index], monitor.profit[index]))
            table.add_row(rsu.id, price, sold, f"{held[index] / rsu.capacity:.0%}", profit)
        return table

    def _uavs(self, now: float) -> Table:
        monitor = self._monitor
        table = Table("UAV", "wanted\nhost", "twin's\nhost", "bandwidth\nMHz", "rate\nMbit/s", "immersion\ncredit")
        held = monitor.leases(now).sum(axis=1)
        for index, uav in enumerate(monitor.scenario.uavs[:MOST_ROWS]):
            values = map(number, (held[index], monitor.rate[index], monitor.immersion[index]))
            table.add_row(uav.id, monitor.host[index] or "-", self._twins.host_of(uav.id) or "-", *values)
        if len(monitor.scenario.uavs) > MOST_ROWS:
            table.caption = f"and {len(monitor.scenario.uavs) - MOST_ROWS} more"
        return table


def number(value: Any) -> str:
    """A value for people: three digits that matter."""
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return "-"
    return f"{value:.3g}" if isinstance(value, (float, np.floating)) else str(value)
