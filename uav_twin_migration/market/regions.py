"""Which regions' markets a UAV takes part in.

A market is local: RSUs belong to one region each, and speak on that region's topics alone. A UAV is in the region of
every RSU that it has a link to, so that at a border it is in both markets, bids in both, and its twin moves across as
between any two RSUs. It stays in the regions of its twin's host and of the replica's for as long as they are, and in
any region for a little longer than there is a link, so that a link that flickers costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from uav_twin_migration.market.messages import Bid

NOWHERE = ""  # the region of RSUs without one


class Membership:
    """The regions of one node's UAVs."""

    def __init__(self, patience: float = 10.0) -> None:
        """patience: s without a link after which a region is left."""
        self.patience = patience
        self._region_of: dict[str, str] = {}
        self._seen = {NOWHERE: 0.0}
        self._anywhere = False  # whether there has been a link yet

    def on_links(self, now: float, regions: Mapping[str, str], linked: Iterable[str]) -> None:
        """regions: each known RSU's. linked: RSUs that one of the UAVs has a link to."""
        self._region_of.update(regions)
        for rsu in linked:
            if not self._anywhere:
                self._anywhere, self._seen = True, {}
            self._seen[self._region_of.get(rsu, NOWHERE)] = now

    def regions(self, now: float, hosts: Iterable[str] = ()) -> frozenset[str]:
        """The regions to be in. hosts: the RSUs that have the UAVs' twins, or will."""
        if not self._anywhere:
            self._seen[NOWHERE] = now
        for rsu in hosts:
            if rsu in self._region_of:
                self._seen[self._region_of[rsu]] = now
        self._seen = {region: min(at, now) for region, at in self._seen.items() if at > now - self.patience}
        return frozenset(self._seen)

    def divided(self, bids: Sequence[Bid]) -> dict[str, list[Bid]]:
        """Bids by the region in which they are said: where a UAV bids to an RSU of it, all that this UAV bids.

        An RSU learns from what its UAVs bid elsewhere which rivals they buy from.
        """
        bidders: dict[str, set[str]] = {}
        for bid in bids:
            bidders.setdefault(self._region_of.get(bid.rsu, NOWHERE), set()).add(bid.uav)
        return {region: [bid for bid in bids if bid.uav in uavs] for region, uavs in bidders.items()}
