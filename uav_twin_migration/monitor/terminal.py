"""What a person sees of a running market: a live table in a terminal, plain lines elsewhere, a summary at the end."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, TextIO

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from uav_twin_migration.monitor.hints import TOO_SLOW, about_to_run
from uav_twin_migration.monitor.market import MarketMonitor
from uav_twin_migration.monitor.summary import in_words
from uav_twin_migration.monitor.twins import TwinMonitor

FURNITURE = 8  # lines that are none of an RSU or UAV: head, health, titles, the rest, what was said last
OVERLOAD_SPAN = 10.0  # s that are looked back on
OVERLOAD = 0.05  # of the answers in that span that may be late before the run is called too slow
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
        self._missed: deque[tuple[float, int]] = deque()  # s, rounds missed until then

    def start(self, processes: int, seed: int) -> None:
        """Say what is about to run."""
        self.say(f"{about_to_run(self._monitor.scenario, processes, seed)}; Ctrl-C stops")

    def say(self, line: str) -> None:
        """One line, above the table where there is one."""
        self._console.print(line, soft_wrap=True)

    def update(self, now: float) -> None:
        """Show the present state, once there is one: until then lines may come, of whoever starts."""
        if now <= 0.0:
            return
        if not self._plain:
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False)
                self._live.start()
            self._live.update(self._picture(now), refresh=True)
        elif time.monotonic() - self._said >= LINE_PERIOD:
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
        """A head, RSUs and UAVs: as many as the terminal has lines for, the worst first where that is not all."""
        monitor = self._monitor
        head = f"t = {now:.1f} s   rounds {monitor.rounds.sum()}   gap to equilibrium "
        head += "-" if not monitor.gaps else f"{monitor.gaps[-1]:.1%}"
        head += f"   twins moved {len(self._twins.completed)}"
        room = max(self._console.size.height - FURNITURE, 2)
        rsus, uavs = len(monitor.scenario.rsus), len(monitor.scenario.uavs)
        shown = min(rsus, max(room // 2, room - uavs))
        tables = self._rsus(now, shown), self._uavs(now, min(uavs, room - shown))
        return Group(Text(head, style="bold", no_wrap=True), self._health(now), *tables)

    def _health(self, now: float) -> Text:
        """One line: how the run does, and what to do where it is too slow."""
        missed = sum(self._monitor.rounds_missed.values())
        self._missed.append((now, missed))
        while self._missed[0][0] < now - OVERLOAD_SPAN:
            self._missed.popleft()
        recent, due = missed - self._missed[0][1], OVERLOAD_SPAN * len(self._monitor.scenario.uavs)
        if recent > OVERLOAD * due:
            text = f"too slow: {recent} answers late in {OVERLOAD_SPAN:.0f} s; {TOO_SLOW}"
            return Text(text, style="bold red", no_wrap=True)
        return Text("in time", style="green")

    def _rsus(self, now: float, shown: int) -> Table:
        monitor = self._monitor
        table = plain_table("RSU", "credit/MHz", "equilibrium", "sold MHz", "load", "credit/round")
        held = monitor.leases(now).sum(axis=0)
        capacity = np.array([rsu.capacity for rsu in monitor.scenario.rsus])
        fair = monitor.equilibrium if monitor.equilibrium is not None else np.full(len(capacity), np.nan)
        for index in worst(-np.nan_to_num(np.abs(monitor.price - fair) / fair), shown):
            columns = (monitor.price, fair, monitor.sold, monitor.profit)
            price, wanted, sold, profit = (number(column[index]) for column in columns)
            load = f"{held[index] / capacity[index]:.0%}"
            table.add_row(monitor.scenario.rsus[index].id, price, wanted, sold, load, profit)
        tell_rest(table, len(capacity) - shown, "RSUs nearer their equilibrium")
        return table

    def _uavs(self, now: float, shown: int) -> Table:
        monitor = self._monitor
        table = plain_table("UAV", "wanted host", "twin's host", "MHz", "Mbit/s", "immersion")
        held = monitor.leases(now).sum(axis=1)
        for index in worst(monitor.immersion, shown):
            uav = monitor.scenario.uavs[index].id
            values = map(number, (held[index], monitor.rate[index], monitor.immersion[index]))
            table.add_row(uav, monitor.host[index] or "-", self._twins.host_of(uav) or "-", *values)
        tell_rest(table, len(monitor.scenario.uavs) - shown, "UAVs with more immersion")
        return table


def worst(badness: Any, shown: int) -> list[int]:
    """Who is shown: all in their order, or the `shown` with the least values, the worst first."""
    if shown >= len(badness):
        return list(range(len(badness)))
    return [int(index) for index in np.argsort(badness, kind="stable")[:shown]]


def plain_table(*titles: str) -> Table:
    """A table without lines, that a narrow terminal cuts rather than wraps."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title_justify="left", caption_justify="left")
    for number_, title in enumerate(titles):
        justify: Any = "left" if number_ == 0 or "host" in title else "right"
        table.add_column(title, justify=justify, no_wrap=True, overflow="ellipsis")
    return table


def tell_rest(table: Table, count: int, what: str) -> None:
    """A last line for those that had no room."""
    if count > 0:
        table.caption = f"and {count} {what}"


def number(value: Any) -> str:
    """A value for people: three digits that matter."""
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return "-"
    return f"{value:.3g}" if isinstance(value, (float, np.floating)) else str(value)
