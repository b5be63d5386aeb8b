"""Regions on real nodes: they do not hear each other, and a UAV that flies across is handed over with its twin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from nav_msgs.msg import Odometry
from uav_twin_migration.msg import BandwidthDemand, BandwidthGrant, LinkQuality, MigrationReport, PriceOffer, TwinState

from test.ros.conftest import RSU, UAV, Probe, Processes
from uav_twin_migration.deployment import topics
from uav_twin_migration.nodes.ros import qos_profiles

CITY = {"rsu_0": "north", "rsu_1": "south"}


class Border:
    """An RSU in each of two regions, and a UAV that reaches those that the test says."""

    def __init__(self, processes: Processes, probe: Probe, folder: Path) -> None:
        self.probe = probe
        self.reachable: tuple[str, ...] = ("rsu_0",)
        self.heard: dict[str, list[Any]] = {region: [] for region in ("", *CITY.values())}
        self.states: list[TwinState] = []
        self.reports: list[MigrationReport] = []
        for region, heard in self.heard.items():
            for kind, topic in (
                (PriceOffer, topics.PRICE_OFFERS),
                (BandwidthDemand, topics.BANDWIDTH_DEMANDS),
                (BandwidthGrant, topics.BANDWIDTH_GRANTS),
            ):
                name = topics.in_region(region, topic)
                probe.create_subscription(kind, name, heard.append, qos_profiles.MARKET)
        probe.create_subscription(TwinState, topics.TWIN_STATES, self.states.append, qos_profiles.MARKET)
        probe.create_subscription(MigrationReport, topics.MIGRATIONS, self.reports.append, qos_profiles.MARKET)
        self._odometry = probe.create_publisher(Odometry, topics.odometry("uav_0"), qos_profiles.ODOMETRY)
        probe.create_timer(0.1, self._fly)
        for rsu, region in CITY.items():
            own = {"rsu_id": rsu, "region": region, "twin_store": str(folder / f"{rsu}.db")}
            processes.start("rsu", f"/rsu/{rsu}", **RSU | own)
        self.uav = processes.start("uav", "/uav/uav_0", **UAV | {"twin_size": 8.0})

    def _fly(self) -> None:
        place = Odometry()
        place.pose.pose.position.x, place.pose.pose.position.z = 100.0, 100.0
        self._odometry.publish(place)
        efficiency = [5.0 if rsu in self.reachable else 0.0 for rsu in CITY]
        links = LinkQuality(uav_ids=["uav_0"], rsu_ids=list(CITY), regions=list(CITY.values()))
        links.spectral_efficiency = efficiency
        self.probe.link_publisher.publish(links)

    def of(self, region: str, kind: type, since: int = 0) -> list[Any]:
        """Messages of a kind that were said in a region."""
        return [message for message in self.heard[region][since:] if isinstance(message, kind)]

    def granted_in(self, region: str, since: int = 0) -> bool:
        """Whether the UAV got something there."""
        return any(
            "uav_0" in grant.uav_ids and sum(grant.bandwidth) > 0.0 for grant in self.of(region, BandwidthGrant, since)
        )


@pytest.fixture
def border(processes: Processes, probe: Probe, tmp_path: Path) -> Border:
    return Border(processes, probe, tmp_path)


def test_a_uav_that_flies_across_is_handed_over_with_its_twin(border: Border) -> None:
    probe = border.probe
    probe.wait_for(lambda: border.granted_in("north"), "a grant in the first region")
    probe.wait_for(lambda: border.states and border.states[-1].rsu_id == "rsu_0", "a twin there")
    assert not border.of("south", BandwidthDemand)
    first_epoch = border.states[-1].epochs[0]

    border.reachable = ("rsu_0", "rsu_1")
    probe.wait_for(lambda: border.granted_in("south"), "a grant in the second region, at the border")
    border.reachable = ("rsu_1",)
    probe.wait_for(lambda: border.states[-1].rsu_id == "rsu_1", "the twin in the second region")
    probe.wait_for(lambda: any(not report.reason for report in border.reports), "a report that it moved")
    assert border.states[-1].epochs[0] > first_epoch

    since = {region: len(heard) for region, heard in border.heard.items()}
    probe.wait_for(lambda: not demands_in_a_while(border, "north", since), "silence in the first region")
    probe.wait_for(lambda: border.granted_in("south", since["south"]), "grants in the second")
    assert border.uav.poll() is None


def demands_in_a_while(border: Border, region: str, since: dict[str, int]) -> list[Any]:
    """Demands in a region since the last time this was asked, while there were five in the other."""
    if len(border.of("south", BandwidthDemand, since["south"])) < 5:
        return [None]
    late = border.of(region, BandwidthDemand, since[region])
    if late:
        since.update({name: len(heard) for name, heard in border.heard.items()})
    return late


def test_regions_do_not_hear_each_other(border: Border) -> None:
    border.probe.wait_for(lambda: all(len(border.of(one, PriceOffer)) >= 3 for one in CITY.values()), "offers in both")
    assert {offer.rsu_id for offer in border.of("north", PriceOffer)} == {"rsu_0"}
    assert {offer.rsu_id for offer in border.of("south", PriceOffer)} == {"rsu_1"}
    assert border.heard[""] == []
