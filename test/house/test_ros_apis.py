"""Of rclpy, launch and launch_ros the package uses what every distribution has, from Humble to Rolling.

The tables below are what was looked up in the sources of Humble (rclpy 3.3, launch 1.0, launch_ros 0.19), Jazzy (7.1,
3.4, 0.26) and the rolling branches, 2026-11. Whoever uses more of them looks it up there first, and adds it here.
Tests run on Jazzy's and Kilted's wheels.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = ("ament_index_python", "launch", "launch_ros", "rclpy")
CREATED = ("client", "guard_condition", "publisher", "rate", "service", "subscription", "task", "timer")
METHODS: tuple[str, ...] = ("add_on_", "add_post_", "add_pre_", "count_", "declare_", "destroy_", "spin_", "undeclare_")
METHODS += tuple(f"create_{what}" for what in CREATED)

NAMES = {
    "ament_index_python.packages": "PackageNotFoundError get_package_prefix",
    "launch": "LaunchContext LaunchDescription",
    "launch.actions": "DeclareLaunchArgument EmitEvent ExecuteProcess OpaqueFunction SetEnvironmentVariable",
    "launch.events": "Shutdown",
    "launch_ros.actions": "Node",
    "rclpy.action": "ActionClient ActionServer CancelResponse GoalResponse",
    "rclpy.action.client": "ClientGoalHandle",
    "rclpy.action.server": "ServerGoalHandle",
    "rclpy.clock": "Clock ClockType",
    "rclpy.duration": "Duration",
    "rclpy.event_handler": "PublisherEventCallbacks SubscriptionEventCallbacks",  # newer; see NOT_EVERYWHERE
    "rclpy.exceptions": "InvalidParameterTypeException InvalidParameterValueException",
    "rclpy.executors": "Executor ExternalShutdownException SingleThreadedExecutor",
    "rclpy.experimental": "EventsExecutor",  # Jazzy and newer; see NOT_EVERYWHERE
    "rclpy.lifecycle": "LifecycleNode LifecycleState TransitionCallbackReturn",
    "rclpy.node": "Node",
    "rclpy.parameter": "Parameter",
    "rclpy.qos": "DurabilityPolicy HistoryPolicy QoSProfile ReliabilityPolicy",
    "rclpy.qos_event": "PublisherEventCallbacks SubscriptionEventCallbacks",  # of Foxy to Humble
    "rclpy.serialization": "deserialize_message serialize_message",
    "rclpy.signals": "SignalHandlerOptions",
    "rclpy.task": "Future",
    "rclpy.timer": "Timer",
    "rclpy.type_support": "check_for_type_support",
}
NOT_EVERYWHERE = {"rclpy.event_handler", "rclpy.experimental"}  # imported where an ImportError has an answer

# what is called, and the keywords it is called with
KEYWORDS = {
    "ActionClient": "",
    "ActionServer": "cancel_callback goal_callback",
    "Clock": "clock_type",
    "Context": "",
    "DeclareLaunchArgument": "choices default_value description",
    "Duration": "seconds",
    "EmitEvent": "event",
    "EventsExecutor": "",
    "ExecuteProcess": "cmd output",
    "Future": "executor",
    "LaunchDescription": "",
    "Node": "additional_env arguments context exec_name executable namespace on_exit output package parameters respawn "
    "respawn_delay",
    "OpaqueFunction": "function",
    "Parameter": "value",
    "PublisherEventCallbacks": "use_default_callbacks",
    "QoSProfile": "depth durability history reliability",
    "SetEnvironmentVariable": "",
    "Shutdown": "reason",
    "SingleThreadedExecutor": "context",
    "SubscriptionEventCallbacks": "use_default_callbacks",
    "add_on_set_parameters_callback": "",
    "check_for_type_support": "",
    "count_publishers": "",
    "create_publisher": "",
    "create_service": "",
    "create_subscription": "raw",
    "create_task": "",
    "create_timer": "clock",
    "declare_parameter": "",
    "deserialize_message": "",
    "destroy_node": "",
    "destroy_publisher": "",
    "destroy_subscription": "",
    "destroy_timer": "",
    "get_package_prefix": "",
    "init": "args context signal_handler_options",
    "ok": "",
    "serialize_message": "",
    "spin_once": "timeout_sec",
    "spin_until_future_complete": "timeout_sec",
    "try_shutdown": "",
}


def trees() -> Iterator[tuple[Path, ast.Module, dict[str, str]]]:
    """Files that use ROS, with what they import of it: the name that they give it -> its own, `module:name`."""
    for path in sorted((CHECKOUT / "uav_twin_migration").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if not any(f"{word} {package}" in text for word in ("from", "import") for package in PACKAGES):
            continue
        tree = ast.parse(text)
        found: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in PACKAGES:
                found |= {alias.asname or alias.name: f"{node.module}:{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                found |= {alias.name: alias.name for alias in node.names if alias.name.partition(".")[0] in PACKAGES}
        yield path, tree, found


def test_every_name_is_one_that_was_looked_up() -> None:
    known = {f"{module}:{name}" for module, names in NAMES.items() for name in names.split()} | {"rclpy"}
    for path, _, found in trees():
        assert set(found.values()) <= known, f"{path}: look it up in Humble's source"


def test_every_call_is_one_that_was_looked_up() -> None:
    known = {name: set(keywords.split()) for name, keywords in KEYWORDS.items()}
    for path, tree, found in trees():
        for node in ast.walk(tree):
            name = _called(node, found) if isinstance(node, ast.Call) else None
            if name is None:
                continue
            assert isinstance(node, ast.Call)
            keywords = {keyword.arg for keyword in node.keywords if keyword.arg}
            seen = f"{path}:{node.lineno}: {name}({', '.join(sorted(keywords))})"
            assert name in known, f"{seen}: look it up in Humble's source"
            assert keywords <= known[name], f"{seen}: look it up in Humble's source"


def _called(node: ast.Call, found: dict[str, str]) -> str | None:
    """The name of what is called, if it is ROS's: imported from it, in its module, or named as a node's methods are."""
    called = node.func
    if isinstance(called, ast.Name):
        return found[called.id].rpartition(":")[2] if called.id in found else None
    if not isinstance(called, ast.Attribute):
        return None
    of_module = isinstance(called.value, ast.Name) and found.get(called.value.id) == "rclpy"
    return called.attr if of_module or called.attr.startswith(METHODS) else None


def test_what_not_every_distribution_has_is_asked_for_first() -> None:
    for path, tree, _ in trees():
        asked = {
            line
            for node in ast.walk(tree)
            if isinstance(node, ast.Try) and any("ImportError" in ast.dump(handler) for handler in node.handlers)
            for line in range(node.lineno, node.handlers[0].lineno)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module in NOT_EVERYWHERE:
                assert node.lineno in asked, path
