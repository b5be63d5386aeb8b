"""Which nodes a scenario needs, in which processes, with which parameters: the one answer to it.

The launch files and the embedded runner both ask here. No rclpy, so that launch files load fast.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from uav_twin_migration.deployment.options import STANDARD, Options
from uav_twin_migration.deployment.shares import Share, whole
from uav_twin_migration.scenario.model import Rsu, Scenario, Uav
from uav_twin_migration.scenario.neighbourhoods import rival_regions
from uav_twin_migration.scenario.parameters import listed
from uav_twin_migration.scenario.settings import RSU, UAV, values_for

T = TypeVar("T")

MOST_PROCESSES = 16  # RSUs and UAVs that get a process each
MOST_COMPOSED = 48  # above, UAVs share nodes, too
NODES_PER_PROCESS = 8
UAVS_PER_UAV_CONTAINER = 50
RSUS_PER_UAV_CONTAINER_PROCESS = 4
SERVER_ABOVE = 30  # processes, above which simple discovery overflows its socket buffers
SERVER_ABOVE_NODES = 60  # and nodes: with regions, each of them has topics that concern few


@dataclass(frozen=True)
class NodeSpec:
    """One node: an executable of this package in a namespace."""

    executable: str
    namespace: str
    parameters: dict[str, Any] = field(hash=False)


@dataclass(frozen=True)
class ProcessSpec:
    """Nodes that live in one process."""

    name: str
    nodes: tuple[NodeSpec, ...]

    def to_json(self) -> dict[str, Any]:
        """For the command line of the ``host`` executable."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> ProcessSpec:
        """The inverse of `to_json`."""
        return cls(document["name"], tuple(NodeSpec(**node) for node in document["nodes"]))


def plan(
    scenario: Scenario, scenario_file: str, options: Options, shares: Sequence[Share] = (), here: int = 0
) -> list[ProcessSpec]:
    """All processes of a simulation, the world first. shares: of several hosts; then those of the one `here`."""
    shares = shares or whole(scenario)
    market = market_processes(scenario, options, shares, here)
    if here:
        return market
    containers = uav_containers(scenario, options, shares)
    told = [(container(number), uavs) for number, (_, uavs) in containers] if len(containers) > 1 else []
    others = [link_node(scenario, scenario_file, options, told), *learning_nodes(scenario_file, options)]
    nodes = len(others) + sum(len(process.nodes) for process in market) + 1  # and the monitor
    return [*movers(scenario, scenario_file, options, nodes), *one_each(others), *market]


def market_processes(scenario: Scenario, options: Options, shares: Sequence[Share], here: int) -> list[ProcessSpec]:
    """The RSUs and UAVs of one of the hosts."""
    share = shares[here]
    rsus = [rsu_node(rsu, scenario, options, options.seed + scenario.rsus.index(rsu)) for rsu in share.rsus]
    for node in rsus:
        node.parameters["twin_address"] = share.host.address
    composition = composed_as(scenario, options)
    if composition == "uav_container":
        containers = uav_containers(scenario, options, shares)
        own = [(number, uavs) for number, (host, uavs) in containers if host == here]
        nodes = [uav_container_node(number, uavs, scenario, options, len(containers) > 1) for number, uavs in own]
        return [*grouped("rsus", rsus, RSUS_PER_UAV_CONTAINER_PROCESS), *one_each(nodes)]
    uavs = [uav_node(uav, scenario, options) for uav in share.uavs]
    if composition == "composed":
        return [*grouped("rsus", rsus, NODES_PER_PROCESS), *grouped("uavs", uavs, NODES_PER_PROCESS)]
    return one_each([*rsus, *uavs])


def uav_containers(
    scenario: Scenario, options: Options, shares: Sequence[Share]
) -> list[tuple[int, tuple[int, Sequence[Uav]]]]:
    """All hosts' UAV containers, where UAVs are in such: their numbers, their hosts' numbers, their UAVs."""
    contained = composed_as(scenario, options) == "uav_container"
    return list(enumerate(all_uav_containers(shares))) if contained else []


def composed_as(scenario: Scenario, options: Options) -> str:
    """What nodes share a process: as was asked for, or as suits the size."""
    return choose_composition(scenario) if options.compose == "auto" else options.compose


def choose_composition(scenario: Scenario) -> str:
    """A process each in a small simulation, several nodes a process in a larger one, UAV containers in a large one."""
    size = len(scenario.rsus) + len(scenario.uavs)
    if size <= MOST_PROCESSES:
        return "processes"
    return "composed" if size <= MOST_COMPOSED else "uav_container"


def needs_discovery_server(processes: Sequence[ProcessSpec]) -> bool:
    """Whether discovery should go through a server."""
    return len(processes) > SERVER_ABOVE or sum(len(process.nodes) for process in processes) > SERVER_ABOVE_NODES


# -- one function for each kind of node ------------------------------------------------------------------------------


def movers(scenario: Scenario, scenario_file: str, options: Options, nodes: int) -> list[ProcessSpec]:
    """Who moves the UAVs. nodes: how many others there are."""
    if options.world == "gazebo":
        gazebo = NodeSpec("gazebo", "", {"scenario": scenario_file, "gui": options.gui})
        return [ProcessSpec("gazebo", (gazebo, pilot_node(scenario, scenario_file)))]
    if options.world == "px4":
        drones = [px4_node(uav, index, scenario_file, options) for index, uav in enumerate(scenario.uavs)]
        return [ProcessSpec(f"px4_{drone.parameters['uav_id']}", (drone,)) for drone in drones]
    return one_each([world_node(scenario, scenario_file, options, nodes)])


def pilot_node(scenario: Scenario, scenario_file: str) -> NodeSpec:
    """The pilot of all UAVs in Gazebo: twenty commands a second to each, but no more than 500 a second in all."""
    return NodeSpec("pilot", "", {"scenario": scenario_file, "period": max(0.05, len(scenario.uavs) / 500.0)})


def px4_node(uav: Uav, instance: int, scenario_file: str, options: Options) -> NodeSpec:
    """A PX4 drone. In simulation it takes off by itself; any other waits until it is told to."""
    parameters = {
        "scenario": scenario_file,
        "uav_id": uav.id,
        "instance": instance,
        "px4_dir": options.px4_dir,
        "link": options.px4_link,
        "auto_arm": bool(options.px4_dir),
    }
    return NodeSpec("px4", f"/uav/{uav.id}", parameters)


def world_node(scenario: Scenario, scenario_file: str, options: Options, nodes: int = 0) -> NodeSpec:
    """The embedded world, which begins once the other `nodes` are there.

    The clock ticks ten times a second of wall time, and four times a round at least.

    Each tick is a callback in each node, which is most of what an idle node costs.
    """
    clock_period = min(0.1 * max(options.real_time_factor, 1.0), scenario.market.round_period / 4.0)
    parameters = {
        "scenario": scenario_file,
        "real_time_factor": options.real_time_factor,
        "clock_period": clock_period,
        "odometry_period": max(measurement_period(scenario), clock_period),
        "nodes": nodes,
    }
    return NodeSpec("world", "", parameters)


def link_node(
    scenario: Scenario, scenario_file: str, options: Options, groups: Sequence[tuple[str, Sequence[Uav]]] = ()
) -> NodeSpec:
    """The node that measures all links. groups: namespaces, and the UAVs whose links are said there alone."""
    return NodeSpec(
        "link",
        "",
        {
            "scenario": scenario_file,
            "period": measurement_period(scenario),
            **texts("groups", [" ".join([namespace, *(uav.id for uav in uavs)]) for namespace, uavs in groups]),
            "use_sim_time": options.simulated_time,
        },
    )


def measurement_period(scenario: Scenario) -> float:
    """Simulated time between two measurements of a UAV, s: four in a round, but no more than 200 a second in all."""
    period = scenario.market.round_period
    return min(max(period / 4.0, len(scenario.uavs) / 200.0), period)


def rsu_node(rsu: Rsu, scenario: Scenario, options: Options = STANDARD, seed: int = 0) -> NodeSpec:
    """An RSU with its private values."""
    parameters = {
        "rsu_id": rsu.id,
        "position": [*rsu.position, rsu.antenna_height],
        **values_for(RSU, rsu, scenario.market, scenario.twins),
        **texts("rival_regions", rival_regions(rsu, scenario)),
        "admitted_uavs": [uav.id for uav in scenario.uavs],
        "seed": seed,
        **options.pricing,
        **options.ledger(rsu.id),
        "twin_store": str(Path(options.twin_stores) / f"{rsu.id}.db") if options.twin_stores else "",
        "twin_keys": options.keys,
        "time_scale": options.real_time_factor,
        "use_sim_time": options.simulated_time,
    }
    return NodeSpec("rsu", f"/rsu/{rsu.id}", parameters)


def learning_nodes(scenario_file: str, options: Options) -> list[NodeSpec]:
    """Who records the market and who learns from it, as far as they are wanted."""
    nodes = []
    if options.record:
        made_from = {"scenario": scenario_file, "policy": options.pricing["policy"], "seed": options.seed}
        recorder = {"directory": options.record, **made_from, "use_sim_time": options.simulated_time}
        nodes.append(NodeSpec("recorder", "", recorder))
    if options.train:
        learner = {"seed": options.seed, "output": options.learned, "use_sim_time": options.simulated_time}
        nodes.append(NodeSpec("learner", "", learner))
    return nodes


def uav_node(uav: Uav, scenario: Scenario, options: Options = STANDARD) -> NodeSpec:
    """A UAV with its private values."""
    parameters = {
        "uav_id": uav.id,
        **values_for(UAV, uav, scenario.market, scenario.twins),
        **heartbeat_parameters(len(scenario.uavs), options),
        **options.ledger(uav.id),
        "use_sim_time": options.simulated_time,
    }
    return NodeSpec("uav", f"/uav/{uav.id}", parameters)


def container(number: int) -> str:
    """The namespace of a UAV container."""
    return f"uav_container_{number}"


def all_uav_containers(shares: Sequence[Share]) -> Iterator[tuple[int, Sequence[Uav]]]:
    """The UAV containers of all hosts: which host, and its UAVs."""
    for host, share in enumerate(shares):
        for uavs in chunks(share.uavs, UAVS_PER_UAV_CONTAINER):
            yield host, uavs


def uav_container_node(
    number: int, uavs: Sequence[Uav], scenario: Scenario, options: Options = STANDARD, own_links: bool = False
) -> NodeSpec:
    """Many UAVs in one node."""
    each = [{"uav_id": uav.id, **values_for(UAV, uav)} for uav in uavs]
    parameters = {
        **{listed(name): [own[name] for own in each] for name in each[0]},
        **values_for(UAV, scenario.market, scenario.twins),
        **heartbeat_parameters(-(-len(scenario.uavs) // UAVS_PER_UAV_CONTAINER), options),
        "own_links": own_links,
        **options.ledger(container(number)),
        "use_sim_time": options.simulated_time,
    }
    return NodeSpec("uav_container", f"/{container(number)}", parameters)


def monitor_process(scenario_file: str, options: Options, processes: Sequence[ProcessSpec]) -> ProcessSpec:
    """The monitor of a simulation, as a process for the runner."""
    containers = [node.namespace for process in processes for node in process.nodes if node.parameters.get("own_links")]
    parameters = {
        "scenario": scenario_file,
        "duration": options.duration,
        "json": options.json,
        "plain": options.plain,
        "verbose": options.verbose,
        "began": time.monotonic(),
        "real_time_factor": options.real_time_factor if options.world == "embedded" else 0.0,
        "processes": len(processes),
        **texts("link_namespaces", [namespace.strip("/") for namespace in containers]),
        "seed": options.seed,
        "view_port": options.view_port if options.view else -1,
        "view_address": options.view_address,
        "view_token": options.view_token,
        "foxglove_port": options.foxglove,
        "use_sim_time": options.simulated_time,
    }
    return ProcessSpec("monitor", (NodeSpec("monitor", "", parameters),))


def heartbeat_parameters(nodes: int, options: Options) -> dict[str, Any]:
    """How often UAVs speak to RSUs: four times a second, but no more than 40 messages in all, and at least once."""
    return {"twin": bool(options.twin_stores), "heartbeat_period": min(max(0.25, nodes / 40.0), 1.0)}


def texts(name: str, values: Iterable[str]) -> dict[str, list[str]]:
    """A parameter that is a list of texts; none where it is empty: ROS's parameter files know no empty list."""
    some = list(values)
    return {name: some} if some else {}


# -- processes -------------------------------------------------------------------------------------------------------


def chunks(items: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    """Items in runs of at most `size`."""
    return (items[start : start + size] for start in range(0, len(items), size))


def one_each(nodes: Iterable[NodeSpec]) -> list[ProcessSpec]:
    """A process for each node, named like it."""
    return [ProcessSpec(node.namespace.strip("/").replace("/", "_") or node.executable, (node,)) for node in nodes]


def grouped(name: str, nodes: Sequence[NodeSpec], size: int) -> list[ProcessSpec]:
    """Processes of several nodes."""
    return [ProcessSpec(f"{name}_{number}", tuple(some)) for number, some in enumerate(chunks(nodes, size))]
