"""Which other RSUs an RSU hears: what a doctor on its host compares with what he hears himself."""

from __future__ import annotations

from uav_twin_migration.clocks import boot_time

LATELY = 10.0  # s
MOST = 64  # of the last heard


class RsusHeard:
    """The RSUs that were heard last."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}  # s, boot time; the last heard comes last

    def hear(self, rsu: str) -> None:
        """One posted an offer."""
        self._at.pop(rsu, None)
        self._at[rsu] = boot_time()
        if len(self._at) > MOST:
            del self._at[next(iter(self._at))]

    def lately(self) -> list[str]:
        """Those that were heard in the last ten seconds, by name."""
        since = boot_time() - LATELY
        return sorted(rsu for rsu, at in self._at.items() if at > since)
