"""Which regions a UAV is in."""

from __future__ import annotations

from uav_twin_migration.market.messages import Bid
from uav_twin_migration.market.regions import NOWHERE, Membership

CITY = {"a": "north", "b": "south"}


def test_before_any_link_a_uav_is_nowhere_in_particular() -> None:
    membership = Membership(10.0)
    assert membership.regions(0.0) == {NOWHERE}
    assert membership.regions(1000.0) == {NOWHERE}


def test_without_regions_it_stays_there() -> None:
    membership = Membership(10.0)
    for now in range(0, 100, 5):
        membership.on_links(now, {}, ["a"])
        assert membership.regions(now) == {NOWHERE}


def test_a_uav_that_flies_across_is_in_both_regions_at_the_border_and_then_in_the_other() -> None:
    membership = Membership(10.0)
    seen = []
    for now in range(0, 100):
        linked = [rsu for rsu, first, last in (("a", 0, 40), ("b", 30, 99)) if first <= now <= last]
        membership.on_links(now, CITY, linked)
        seen.append(membership.regions(now))
    assert all(regions == {"north"} for regions in seen[:30])
    assert all(regions == {"north", "south"} for regions in seen[30:50])
    assert seen[51] == {"south"}


def test_it_stays_in_the_region_of_its_twins_host() -> None:
    membership = Membership(10.0)
    membership.on_links(0.0, CITY, ["a"])
    membership.on_links(100.0, CITY, ["b"])
    assert membership.regions(100.0, hosts=["a"]) == {"north", "south"}
    membership.on_links(105.0, CITY, ["b"])
    assert membership.regions(109.0, hosts=["b"]) == {"north", "south"}
    assert membership.regions(111.0, hosts=["b", ""]) == {"south"}


def test_a_clock_that_jumps_back_keeps_nobody_for_ever() -> None:
    membership = Membership(10.0)
    membership.on_links(1e6, CITY, ["a"])
    membership.on_links(0.0, CITY, ["b"])
    assert "north" in membership.regions(0.0)
    membership.on_links(11.0, CITY, ["b"])
    assert membership.regions(11.0) == {"south"}


def test_bids_are_said_where_an_rsu_is_addressed_with_what_its_bidders_bid_elsewhere() -> None:
    membership = Membership(10.0)
    membership.on_links(0.0, CITY, ["a", "b"])
    both = [Bid("uav_1", "a", 1, 2.0), Bid("uav_1", "b", 7, 3.0)]
    south = [Bid("uav_2", "b", 7, 4.0)]
    said = membership.divided([*both, *south])
    assert said == {"north": both, "south": [*both, *south]}


def test_bids_to_rsus_without_a_region_are_said_together() -> None:
    bids = [Bid("uav_1", "a", 1, 2.0), Bid("uav_2", "c", 1, 2.0)]
    assert Membership(10.0).divided(bids) == {NOWHERE: bids}
    assert Membership(10.0).divided([]) == {}
