"""A scenario over several hosts: everything once, neighbours together, and what makes no sense refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from uav_twin_migration.deployment.discovery import CHOICES, by_address, with_hosts
from uav_twin_migration.deployment.options import SCENARIO, SIM, Options
from uav_twin_migration.deployment.plan import plan
from uav_twin_migration.deployment.shares import SimulationHost, divided, read_hosts, whole
from uav_twin_migration.deployment.simulation import simulation
from uav_twin_migration.errors import InputError
from uav_twin_migration.scenario.generate import generate
from uav_twin_migration.scenario.load import save
from uav_twin_migration.scenario.neighbourhoods import by_neighbourhood
from uav_twin_migration.shipped import shipped_file

HOSTS = tuple(SimulationHost(f"host_{number}", f"10.0.0.{number}") for number in range(1, 5))


@pytest.mark.parametrize("rsus", [1, 3, 4, 30, 64])
def test_every_rsu_and_every_uav_lives_on_one_host(rsus: int) -> None:
    city = by_neighbourhood(generate(rsus, 2 * rsus))
    shares = divided(city, HOSTS)
    assert sorted(rsu.id for share in shares for rsu in share.rsus) == [rsu.id for rsu in city.rsus]
    assert sorted(uav.id for share in shares for uav in share.uavs) == [uav.id for uav in city.uavs]
    assert max(len(share.rsus) for share in shares) <= -(-rsus // 4)


def test_a_host_has_neighbours() -> None:
    city = by_neighbourhood(generate(64, 64))
    for share in divided(city, HOSTS):
        across = [max(one) - min(one) for one in zip(*(rsu.position for rsu in share.rsus), strict=True)]
        assert min(across) <= 2100.0  # m, two squares, of the city's 3,800 m


def test_the_hosts_plans_together_are_the_plan_of_the_whole_and_the_first_has_what_there_is_once() -> None:
    city = by_neighbourhood(generate(16, 120))
    shares = divided(city, HOSTS)
    plans = [plan(city, "city.yaml", Options(twin_stores="stores"), shares, here) for here in range(4)]
    nodes = Counter(node.executable for processes in plans for process in processes for node in process.nodes)
    assert nodes == {"world": 1, "link": 1, "rsu": 16, "uav_container": sum(-(-len(one.uavs) // 50) for one in shares)}
    first = {node.executable: node for process in plans[0] for node in process.nodes}
    told = [group.split() for group in first["link"].parameters["groups"]]
    assert sorted(uav for group in told for uav in group[1:]) == sorted(uav.id for uav in city.uavs)
    for share, processes in zip(shares, plans, strict=True):
        mine = [node.parameters for process in processes for node in process.nodes]
        assert {one["twin_address"] for one in mine if "rsu_id" in one} == {share.host.address}
        assert all(one["own_links"] for one in mine if "uav_ids" in one)


def test_hosts_ask_each_other_and_with_very_many_processes_the_first_ones_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*CHOICES, "ROS_DISCOVERY_SERVER", "RMW_IMPLEMENTATION"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "hosts.yaml").write_text(yaml.safe_dump({"hosts": [asdict(one) for one in HOSTS]}))
    save(generate(4, 20), tmp_path / "city.yaml")
    values = {option.name: option.default for option in (SCENARIO, *SIM)} | {"compose": "processes", "twins": False}
    values |= {"scenario": str(tmp_path / "city.yaml"), "hosts": str(tmp_path / "hosts.yaml")}
    few = [simulation({**values, "host": host.name}, "") for host in HOSTS]
    most = max(len([one for one in each.processes if one.name not in ("world", "link")]) for each in few)
    for each in few:
        profile = Path(each.variables[CHOICES[0]]).read_text()
        assert [f"<address>{host.address}</address>" in profile for host in HOSTS] == [True] * 4
        ports = int(profile.partition("<maxInitialPeersRange>")[2].partition("<")[0])
        assert ports >= most + 3  # the world, the links and the monitor of the first one
        assert each.server is None
        assert "ROS_DISCOVERY_SERVER" not in each.variables
    save(generate(4, 40), tmp_path / "city.yaml")
    many = [simulation({**values, "host": host.name}, "") for host in HOSTS]
    assert {each.variables["ROS_DISCOVERY_SERVER"] for each in many} == {"10.0.0.1:11811"}
    assert [each.server is None for each in many[1:]] == [True] * 3


def test_an_address_that_the_profile_is_not_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="IPv4"):
        by_address({}, ["10.0.0.1", "fd00::2"], 4, tmp_path / "fastdds.xml")
    assert by_address({"RMW_IMPLEMENTATION": "rmw_zenoh_cpp"}, ["fd00::1", "fd00::2"], 4, tmp_path / "fastdds.xml") == {
        "ROS_STATIC_PEERS": "fd00::1;fd00::2"
    }


def test_the_profile_that_names_hosts_is_the_edges_with_these_hosts() -> None:
    profile = shipped_file("config/fastdds/edge.xml")
    assert profile is not None
    document = ElementTree.fromstring(with_hosts(profile.read_text(), ["10.0.0.1", "10.0.0.2"], 12))
    tags = Counter(element.tag.rpartition("}")[2] for element in document.iter())
    before = Counter(element.tag.rpartition("}")[2] for element in ElementTree.fromstring(profile.read_text()).iter())
    added = {"maxInitialPeersRange": 1, "builtin": 1, "initialPeersList": 1, "locator": 2, "udpv4": 2, "address": 2}
    assert tags - before == added


def test_without_hosts_all_is_here() -> None:
    city = generate(4, 8)
    (share,) = whole(city)
    assert (share.rsus, share.uavs, share.host.address) == (city.rsus, city.uavs, "127.0.0.1")


@pytest.mark.parametrize(
    "hosts",
    [
        None,
        [],
        "west",
        [{"name": "west"}],
        [{"name": "west", "address": "10.0.0.1", "port": 3}],
        [{"name": "a b", "address": "10.0.0.1"}],
        [{"name": "west", "address": "west.example"}],
        [{"name": "west", "address": "10.0.0.1"}, {"name": "west", "address": "10.0.0.2"}],
        [{"name": "west", "address": "10.0.0.1"}, {"name": "east", "address": "10.0.0.1"}],
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, hosts: Any) -> None:
    file = tmp_path / "hosts.yaml"
    file.write_text(yaml.safe_dump({"hosts": hosts}))
    with pytest.raises(InputError, match="hosts"):
        read_hosts(str(file))
