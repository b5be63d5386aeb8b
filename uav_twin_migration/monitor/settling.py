"""When a run has begun: the first grant, the first full round, and, a little later, the steady state."""

from __future__ import annotations

from collections.abc import Callable

from uav_twin_migration.monitor.market import MarketMonitor

SETTLING = 2.5  # s after the first full round until every node has reported its start


class Settling:
    """Notices them. Times are s since the start."""

    def __init__(self, market: MarketMonitor, say: Callable[[str], None]) -> None:
        self._market, self._say = market, say
        self.first_grant: float | None = None
        self.first_full_round: float | None = None

    def look(self, elapsed: float) -> None:
        """To be called now and then. Counts what belongs to the steady state from when that begins."""
        market = self._market
        if self.first_grant is None and market.grants:
            self.first_grant = elapsed
            self._say(f"first grant {elapsed:.1f} s after the start")
        if self.first_full_round is None and market.everybody_served():
            self.first_full_round = elapsed
            self._say(f"first full round {elapsed:.1f} s after the start")
        if not market.full and self.first_full_round and elapsed > self.first_full_round + SETTLING:
            market.start_steady_state()
