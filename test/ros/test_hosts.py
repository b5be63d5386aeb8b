"""RSUs on hosts of their own, as `uavtwin rsu init` sets them up, in network namespaces: `bench hosts` in short."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from uav_twin_migration.studies.harnesses.city_of_hosts import (
    LEARNER,
    UAVS,
    City,
    running_city,
    why_no_learner,
)
from uav_twin_migration.studies.harnesses.network import Network, why_not

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=f"NO NETWORK NAMESPACES HERE, nothing is proven: {why_not()}"),
]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    pytest.importorskip("cryptography")
    pytest.importorskip("nacl")
    network = Network(delay=0.03, jitter=0.01, loss=0.02, rate=20e6 / 8)
    with running_city(tmp_path_factory.mktemp("city"), 2, 4, network) as running:
        running.wait_for_service()
        yield running


def test_losing_one_of_two_discovery_servers_is_harmless(city: City) -> None:
    one, _ = city.discovery
    city.hosts[one].kill()
    rsu = city.rsus[0]
    city.hosts[rsu].kill()
    city.start_rsu(rsu)  # finds the others by the server that is left
    city.wait_for_service()
    city.start_discovery(one)


def test_an_rsu_that_is_cut_off_disturbs_nobody_and_comes_back(city: City) -> None:
    cut, other = city.rsus
    city.hosts.network.isolate(cut, city.hosts.names)
    began = time.monotonic()
    city.wait_for(lambda: len(city.served(other, began)) >= 5, "service elsewhere")
    assert len(city.events("grant", began + 1.0, cut)) == 0  # what had left before is there within a second
    city.hosts.network.heal()
    city.wait_for_service(cut)


def test_a_host_that_is_rebooted_comes_back(city: City) -> None:
    rebooted, other = city.rsus
    began = time.monotonic()
    city.hosts[rebooted].kill()
    city.wait_for(lambda: len(city.served(other, began)) >= 3, "service elsewhere")
    city.start_rsu(rebooted)
    city.wait_for_service(rebooted)
    assert city.hosts[UAVS].processes["uav_container"].poll() is None


def test_no_twin_is_lost_with_its_hosts_disk_where_there_is_a_warm_copy(city: City) -> None:
    city.wait_for_replicas()
    lost, other = city.rsus
    anew, began = len(city.begun_anew()), time.monotonic()
    city.hosts[lost].kill()
    city.lose_disk(lost)
    city.wait_for(
        lambda: {uav for one in city.events("state", began + 5.0, other) for uav in one["twins"]} == city.twins(),
        "all twins at the other RSU",
    )
    assert len(city.begun_anew()) == anew
    assert max(city.takeovers(began), default=0.0) < 5.0  # s of telemetry
    city.start_rsu(lost)
    city.wait_for_service(lost)


@pytest.mark.skipif(bool(why_no_learner()), reason=f"NO LEARNER'S HOST, nothing is proven: {why_no_learner()}")
def test_rsus_price_on_without_the_learner_and_take_up_its_newest_policy_when_they_are_back(city: City) -> None:
    late, other = city.rsus
    began = time.monotonic()
    city.restart_learner(10**6)  # a version that nobody else comes to
    city.wait_for_policy(10**6, began)
    began = time.monotonic()
    city.hosts.network.isolate(LEARNER, city.hosts.names)
    city.wait_for(lambda: all(len(city.served(rsu, began)) >= 3 for rsu in city.rsus), "rounds without a learner")
    city.hosts.network.heal()
    city.hosts.network.isolate(late, city.hosts.names)
    city.restart_learner(2 * 10**6)
    city.wait_for_policy(2 * 10**6, began, other)
    assert all(event["version"] < 2 * 10**6 for event in city.events("priced", began, late))
    city.hosts.network.heal()
    city.wait_for_policy(2 * 10**6, began, late)


def test_nothing_was_oversold(city: City) -> None:
    assert city.events("grant")
    assert city.oversold() == []
