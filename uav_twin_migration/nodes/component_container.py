"""Hosts the nodes of one process, given as a process of a plan."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.node import Node

from uav_twin_migration.deployment.plan import NodeSpec, ProcessSpec
from uav_twin_migration.nodes.ros.parameters import overrides
from uav_twin_migration.nodes.ros.spin import run

# executable -> class, for the nodes that can share a process
CLASSES = {
    "uav_container": ("uav", "UavContainerNode"),
    "gazebo": ("gazebo", "GazeboNode"),
    "learner": ("learner", "LearnerNode"),
    "link": ("link", "LinkNode"),
    "metrics": ("metrics", "MetricsNode"),
    "modem": ("modem", "ModemNode"),
    "monitor": ("monitor", "MonitorNode"),
    "pilot": ("pilot", "PilotNode"),
    "px4": ("px4", "Px4Node"),
    "recorder": ("recorder", "RecorderNode"),
    "rsu": ("rsu", "RsuNode"),
    "uav": ("uav", "UavNode"),
    "world": ("world", "WorldNode"),
}


def node_class(executable: str) -> Any:
    """The class behind an executable."""
    module, name = CLASSES[executable]
    return getattr(importlib.import_module(f"uav_twin_migration.nodes.{module}"), name)


def make_node(spec: NodeSpec) -> Node:
    """Create a node in its namespace with its parameters."""
    given = overrides(spec.parameters)
    return node_class(spec.executable)(namespace=spec.namespace or None, parameter_overrides=given)


def host(
    process: ProcessSpec, quiet: bool = False, further: Sequence[str] = (), made: Callable[[], object] = bool
) -> int:
    """Run the nodes of one process until told to stop. Returns the exit code.

    Args:
        process: whose nodes.
        quiet: log errors alone.
        further: ROS arguments from the command line: remaps and parameters for all of them.
        made: is called once all of them are there.
    """
    arguments = ["--ros-args", "--log-level", "error"] if quiet else list(further)

    def create() -> list[Node]:
        nodes = [make_node(spec) for spec in process.nodes]
        made()
        return nodes

    return run(create, arguments)


def main() -> int:
    """``component_container JSON``: the launch files' way to put several nodes into one process."""
    try:
        process = ProcessSpec.from_json(json.loads(sys.argv[1]))
    except (IndexError, KeyError, TypeError, ValueError):
        print("component_container: expected a process of the plan, as launch files give it, in JSON", file=sys.stderr)
        return 2
    return host(process, further=for_all(sys.argv[2:]))


def for_all(arguments: Sequence[str]) -> list[str]:
    """ROS arguments without the names that launch gives a process of one node: here each node has its own."""
    kept = list(arguments)
    for index in range(len(kept) - 2, -1, -1):
        if kept[index] in ("-r", "--remap") and kept[index + 1].startswith(("__node:=", "__ns:=")):
            del kept[index : index + 2]
    return kept


if __name__ == "__main__":
    sys.exit(main())
