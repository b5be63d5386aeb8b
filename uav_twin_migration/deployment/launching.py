"""What the launch files do: a plan's processes as launch actions. Needs a ROS distribution's launch and launch_ros."""

from __future__ import annotations

import atexit
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from launch.actions import EmitEvent, ExecuteProcess, SetEnvironmentVariable
from launch.events import Shutdown
from launch_ros.actions import Node

from launch import LaunchContext
from uav_twin_migration.deployment.discovery import discovery_server
from uav_twin_migration.deployment.host_directory import PARAMETERS_FILE, load_host
from uav_twin_migration.deployment.plan import (
    NodeSpec,
    Options,
    ProcessSpec,
    monitor_process,
    needs_discovery_server,
    plan,
    px4_node,
    rsu_node,
    uav_node,
)
from uav_twin_migration.errors import InputError
from uav_twin_migration.scenario.examine import loaded
from uav_twin_migration.scenario.load import load, scenario_path

PACKAGE = "uav_twin_migration"
RESPAWN_DELAY = 1.0  # s


def _warn(sentence: str) -> None:
    print(f"uavtwin: warning: {sentence}", file=sys.stderr)


def sim_actions(context: LaunchContext) -> list[Any]:
    """Actions for ``sim.launch.py``."""
    value = context.launch_configurations
    scenario = loaded(value["scenario"], _warn)
    file = str(scenario_path(value["scenario"]).resolve())
    options = Options(
        value["world"],
        float(value["real_time_factor"]),
        value["composed"],
        int(value["seed"]),
        value["gui"].lower() in ("true", "1"),
        value["px4_dir"],
        twins=store_folder(context),
        twin_keys=value["twin_keys"],
        policy=value["policy"],
        record=value["record"],
        train=value["train"].lower() in ("true", "1"),
        learned=value["learned"],
    )
    processes = plan(scenario, file, options)
    monitor = monitor_process(file, float(value["duration"]), "", True, len(processes), options)
    actions: list[Any] = [SetEnvironmentVariable("OPENBLAS_NUM_THREADS", "1")]
    if needs_discovery_server(processes):
        actions += discovery_actions()
    actions += [process_action(process) for process in processes]
    (watching,) = monitor.nodes
    return [*actions, node_action(watching, respawn=False, on_exit=EmitEvent(event=Shutdown(reason="the run is over")))]


def store_folder(context: LaunchContext) -> str:
    """Where the RSUs of a simulation keep twins; without a name, a folder that goes when the launch ends."""
    value = context.launch_configurations
    if value["twins"].lower() not in ("true", "1"):
        return ""
    if value["twin_stores"]:
        Path(value["twin_stores"]).mkdir(parents=True, exist_ok=True)
        return str(Path(value["twin_stores"]).resolve())
    folder = tempfile.TemporaryDirectory(prefix="uavtwin-twins-", ignore_cleanup_errors=True)
    atexit.register(folder.cleanup)
    return folder.name


def rsu_actions(context: LaunchContext) -> list[Any]:
    """Actions for ``rsu.launch.py``."""
    value = context.launch_configurations
    if value["directory"]:
        return edge_actions(Path(value["directory"]))
    if not value["rsu_id"]:
        raise InputError("options", "rsu_id", "", "an RSU's id, or a directory")
    twins = {key: value[key] for key in ("twin_store", "twin_keys", "twin_address")}
    given = {key: value for key, value in twins.items() if value}
    return single(context, "rsu", lambda scenario: scenario.rsus, rsu_node, given)


def edge_actions(directory: Path) -> list[Any]:
    """The RSU of a host directory, in the host's environment."""
    host = load_host(directory)
    variables = [SetEnvironmentVariable(name, value) for name, value in host.variables(directory).items()]
    node = NodeSpec("rsu", f"/rsu/{host.rsu}", {"rsu_id": host.rsu})
    return [*variables, node_action(node, extra=[str(directory / PARAMETERS_FILE)])]


def uav_actions(context: LaunchContext) -> list[Any]:
    """Actions for ``uav.launch.py``."""
    return single(context, "uav", lambda scenario: scenario.uavs, uav_node)


def px4_actions(context: LaunchContext) -> list[Any]:
    """Actions for ``px4.launch.py``: drone nodes for the scenario's first UAVs, PX4 instance by instance."""
    value = context.launch_configurations
    scenario = loaded(value["scenario"], _warn)
    file = str(scenario_path(value["scenario"]).resolve())
    count, first = int(value["vehicles"]) or len(scenario.uavs), int(value["first_instance"])
    if not 1 <= count <= len(scenario.uavs):
        raise InputError("options", "vehicles", count, f"a number from 1 to {len(scenario.uavs)}, the scenario's UAVs")
    options = Options(world="px4", px4_dir=value["px4_dir"])
    actions: list[Any] = []
    for index, uav in enumerate(scenario.uavs[:count]):
        node = px4_node(uav, first + index, file, options)
        node.parameters["link"] = value["link"]
        if value["auto_arm"]:
            node.parameters["auto_arm"] = value["auto_arm"].lower() in ("true", "1")
        actions.append(node_action(node))
    return actions


def single(
    context: LaunchContext,
    kind: str,
    members: Callable[[Any], Iterable[Any]],
    make: Callable[..., NodeSpec],
    given: Mapping[str, Any] = MappingProxyType({}),
) -> list[Any]:
    """One RSU or UAV, with its values from a scenario, a parameter file, or both."""
    value = context.launch_configurations
    id_ = value[f"{kind}_id"]
    parameters: dict[str, Any] = {f"{kind}_id": id_}
    if value["scenario"]:
        scenario = load(value["scenario"])
        found = [member for member in members(scenario) if member.id == id_]
        if not found:
            ids = ", ".join(member.id for member in members(scenario))
            raise InputError(value["scenario"], f"{kind}_id", id_, f"one of {ids}")
        parameters = make(found[0], scenario).parameters
    parameters.update(given)
    if value.get("policy"):
        parameters["policy"] = value["policy"]
    parameters["use_sim_time"] = value["use_sim_time"].lower() in ("true", "1")
    files = [value["params_file"]] if value["params_file"] else []
    return [node_action(NodeSpec(kind, f"/{kind}/{id_}", parameters), extra=files)]


def process_action(process: ProcessSpec) -> Node:
    """A process of the plan: its node, or a host for several."""
    if len(process.nodes) == 1:
        return node_action(process.nodes[0])
    arguments = [json.dumps(process.to_json())]
    return Node(
        package=PACKAGE,
        executable="component_container",
        exec_name=process.name,
        arguments=arguments,
        output="screen",
        respawn=True,
        respawn_delay=RESPAWN_DELAY,
    )


def node_action(node: NodeSpec, respawn: bool = True, extra: Iterable[str] = (), on_exit: Any = None) -> Node:
    """One node, started again when it dies."""
    return Node(
        package=PACKAGE,
        executable=node.executable,
        namespace=node.namespace,
        parameters=[node.parameters, *extra],
        output="screen",
        respawn=respawn,
        respawn_delay=RESPAWN_DELAY,
        on_exit=on_exit,
    )


def discovery_actions() -> list[Any]:
    """A discovery server and the environment that makes everybody use it."""
    server = discovery_server(os.environ)
    if server is None:
        return []
    variables = [SetEnvironmentVariable(name, value) for name, value in server.variables.items()]
    return [*variables, ExecuteProcess(cmd=list(server.command), output="log")] if server.command else variables
