"""What the launch files do: a plan's processes as launch actions. Needs a ROS distribution's launch and launch_ros."""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.events import Shutdown
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription
from uav_twin_migration.deployment.discovery import HEARS_OF_ALL, discovery_server, loopback
from uav_twin_migration.deployment.host_directory import check_parameters, load_host
from uav_twin_migration.deployment.options import SCENARIO, SIM, Option, Options, read_all
from uav_twin_migration.deployment.plan import (
    NodeSpec,
    ProcessSpec,
    needs_discovery_server,
    px4_node,
    rsu_node,
    uav_node,
)
from uav_twin_migration.deployment.simulation import (
    NAMESPACE,
    absolute,
    claim_domain,
    examine,
    simulation,
    store_folder,
    warn,
)
from uav_twin_migration.errors import InputError
from uav_twin_migration.nodes.start import LAUNCHED_BY, THREADS
from uav_twin_migration.scenario.examine import loaded
from uav_twin_migration.scenario.load import load, scenario_path

PACKAGE = "uav_twin_migration"
RESPAWN_DELAY = 1.0  # s
BAD_INPUT = 2  # exit code of a node that refuses its parameters, and would refuse them again

SIM_TIME = Option("use_sim_time", False, "whether time comes from /clock")
PARAMETERS = Option("params_file", "", "ROS parameter file, instead of a scenario or on top of it")
RSU = (
    Option("directory", "", "what `uavtwin rsu init` wrote for this host; the other arguments are then not needed"),
    Option("rsu_id", "", "id of the RSU"),
    Option("scenario", "", "scenario to take the RSU's values from"),
    PARAMETERS,
    Option("twin_store", "", "file in which it keeps twins; empty: it hosts none"),
    Option("keys", "", "folder of its keys, made by uavtwin keys"),
    Option("twin_address", "", "address at which it takes twins over from other RSUs; empty: loopback"),
    *(option for option in SIM if option.name in ("policy", "namespace")),
    SIM_TIME,
)
UAV = (
    Option("uav_id", "", "id of the UAV"),
    Option("scenario", "", "scenario to take the UAV's values from"),
    PARAMETERS,
    *(option for option in SIM if option.name == "namespace"),
    SIM_TIME,
)
PX4 = (
    SCENARIO,
    Option("vehicles", 0, "how many of the scenario's UAVs are drones, from the first on; 0: all", high=1000),
    Option("first_instance", 0, "PX4 instance of the first one: its ports and its system id follow", high=250),
    *(option for option in SIM if option.name in ("px4_dir", "px4_link", "namespace")),
    Option(
        "auto_arm",
        "auto",
        "take off without being asked; auto: only drones that px4_dir starts",
        choices=("auto", "true", "false"),
    ),
)


def description(options: Sequence[Option], actions: Callable[[LaunchContext], list[Any]]) -> LaunchDescription:
    """A launch file: its arguments, of which launch refuses what is none of the choices, and what they lead to."""
    arguments = []
    for option in options:
        choices = option.choices or (("true", "false", "1", "0") if isinstance(option.default, bool) else None)
        default = str(option.default).lower() if isinstance(option.default, bool) else str(option.default)
        kept = {} if choices is None else {"choices": list(choices)}
        arguments.append(DeclareLaunchArgument(option.name, default_value=default, description=option.help, **kept))
    first = [SetEnvironmentVariable(name, "1") for name in THREADS]
    first.append(SetEnvironmentVariable(LAUNCHED_BY, str(os.getpid())))
    return LaunchDescription([*arguments, *first, OpaqueFunction(function=actions)])


def sim_actions(context: LaunchContext) -> list[Any]:
    """Actions for ``sim.launch.py``."""
    values = read_all((SCENARIO, *SIM), context.launch_configurations)
    kept = ExitStack()
    atexit.register(kept.close)  # a folder of twins that was not asked for goes when the launch ends
    wanted = simulation(values, kept.enter_context(store_folder(values)), pushed(context))
    claim_domain()
    examine(wanted.scenario)
    alone = values["localhost_only"] and not values["hosts"]
    variables = {**wanted.variables, **(loopback(os.environ) if alone else {})}
    actions: list[Any] = [SetEnvironmentVariable(name, value) for name, value in variables.items()]
    if wanted.server is not None:
        actions.append(ExecuteProcess(cmd=list(wanted.server.command), output="log"))
    elif needs_discovery_server(wanted.processes) and not values["hosts"]:
        actions += discovery_actions()
    actions += [process_action(process) for process in wanted.processes]
    if wanted.monitor is None:
        return actions
    (watching,) = wanted.monitor.nodes
    return [*actions, node_action(watching, respawn=False, on_exit=EmitEvent(event=Shutdown(reason="the run is over")))]


def pushed(context: LaunchContext) -> str:
    """The namespace that an including launch file has pushed."""
    return str(context.launch_configurations.get("ros_namespace", ""))


def rsu_actions(context: LaunchContext) -> list[Any]:
    """Actions for ``rsu.launch.py``."""
    value = read_all(RSU, context.launch_configurations)
    if value["directory"]:
        return edge_actions(Path(value["directory"]))
    twins = {"twin_store": value["twin_store"], "twin_keys": value["keys"], "twin_address": value["twin_address"]}
    given = {name: text for name, text in {**twins, "policy": value["policy"]}.items() if text}
    return single(context, value, "rsu", lambda scenario: scenario.rsus, rsu_node, given)


def edge_actions(directory: Path) -> list[Any]:
    """The RSU of a host directory, in the host's environment."""
    host = load_host(directory)
    variables = [SetEnvironmentVariable(name, value) for name, value in host.variables(directory).items()]
    return [*variables, node_action(NodeSpec("rsu", f"/rsu/{host.rsu}", check_parameters(host, directory)))]


def uav_actions(context: LaunchContext) -> list[Any]:
    """Actions for ``uav.launch.py``."""
    value = read_all(UAV, context.launch_configurations)
    return single(context, value, "uav", lambda scenario: scenario.uavs, uav_node)


def px4_actions(context: LaunchContext) -> list[Any]:
    """Actions for ``px4.launch.py``: drone nodes for the scenario's first UAVs, PX4 instance by instance."""
    value = read_all(PX4, context.launch_configurations)
    scenario = loaded(value["scenario"], warn)
    file = str(scenario_path(value["scenario"]).resolve())
    count = value["vehicles"] or len(scenario.uavs)
    if count > len(scenario.uavs):
        expected = f"a number from 0 to {len(scenario.uavs)}, the scenario's UAVs"
        raise InputError("launch argument", "vehicles", count, expected)
    options = Options(world="px4", px4_dir=value["px4_dir"], px4_link=value["px4_link"])
    prefix = absolute(pushed(context), value["namespace"])
    actions: list[Any] = [SetEnvironmentVariable(NAMESPACE, prefix)]
    for index, uav in enumerate(scenario.uavs[:count]):
        node = px4_node(uav, value["first_instance"] + index, file, options)
        if value["auto_arm"] != "auto":
            node.parameters["auto_arm"] = value["auto_arm"] == "true"
        actions.append(node_action(replace(node, namespace=f"{prefix}{node.namespace}")))
    return actions


def single(
    context: LaunchContext,
    value: Mapping[str, Any],
    kind: str,
    members: Callable[[Any], Iterable[Any]],
    make: Callable[..., NodeSpec],
    given: Mapping[str, Any] = MappingProxyType({}),
) -> list[Any]:
    """One RSU or UAV, with its values from a scenario, a parameter file, or both."""
    id_ = value[f"{kind}_id"]
    if not id_:
        raise InputError("launch argument", f"{kind}_id", "", "an id" + (", or a directory" if kind == "rsu" else ""))
    parameters: dict[str, Any] = {f"{kind}_id": id_}
    if value["scenario"]:
        scenario = load(value["scenario"])
        found = [member for member in members(scenario) if member.id == id_]
        if not found:
            ids = ", ".join(member.id for member in members(scenario))
            raise InputError(value["scenario"], f"{kind}_id", id_, f"one of {ids}")
        parameters = make(found[0], scenario).parameters
    parameters.update(given)
    parameters["use_sim_time"] = value["use_sim_time"]
    prefix = absolute(pushed(context), value["namespace"])
    files = [value["params_file"]] if value["params_file"] else []
    node = NodeSpec(kind, f"{prefix}/{kind}/{id_}", parameters)
    return [SetEnvironmentVariable(NAMESPACE, prefix), node_action(node, extra=files)]


def process_action(process: ProcessSpec) -> Node:
    """A process of the plan: its node, or a host for several."""
    if len(process.nodes) == 1:
        return node_action(process.nodes[0])
    return Node(
        package=PACKAGE,
        executable="component_container",
        exec_name=process.name,
        arguments=[json.dumps(process.to_json())],
        output="screen",
        respawn=True,
        respawn_delay=RESPAWN_DELAY,
        on_exit=end_where_refused,
    )


def node_action(node: NodeSpec, respawn: bool = True, extra: Iterable[str] = (), on_exit: Any = None) -> Node:
    """One node, started again when it dies."""
    return Node(
        package=PACKAGE,
        executable=node.executable,
        namespace=node.namespace or "/",
        parameters=[node.parameters, *extra],
        additional_env=HEARS_OF_ALL.get(node.executable, {}),
        output="screen",
        respawn=respawn,
        respawn_delay=RESPAWN_DELAY,
        on_exit=on_exit or end_where_refused,
    )


def end_where_refused(event: Any, context: LaunchContext) -> list[Any]:
    """A node that refuses its input, or whose simulator ended, would do so again: it ends the launch, with code 1."""
    if event.returncode != BAD_INPUT or context.is_shutdown:
        return []

    def fail(_: LaunchContext) -> None:
        raise RuntimeError(f"{event.process_name} ended with exit code {BAD_INPUT}: see what it said above")

    return [OpaqueFunction(function=fail)]


def discovery_actions() -> list[Any]:
    """A discovery server and the environment that makes everybody use it."""
    server = discovery_server(os.environ)
    if server is None:
        return []
    variables = [SetEnvironmentVariable(name, value) for name, value in server.variables.items()]
    return [*variables, ExecuteProcess(cmd=list(server.command), output="log")] if server.command else variables
