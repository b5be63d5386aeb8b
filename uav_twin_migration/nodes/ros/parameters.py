"""Parameters of nodes: declared from tables, so that each is documented where it is declared, and checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from uav_twin_migration.errors import InputError


class Parameter(NamedTuple):
    """One parameter: its default (a type where it must be given), its unit and meaning."""

    name: str
    default: Any
    description: str


_TYPES = {
    str: RosParameter.Type.STRING,
    int: RosParameter.Type.INTEGER,
    float: RosParameter.Type.DOUBLE,
    list: RosParameter.Type.STRING_ARRAY,
    tuple: RosParameter.Type.DOUBLE_ARRAY,
}


def declare(node: Node, parameters: Sequence[Parameter]) -> dict[str, Any]:
    """Declare and read parameters. Raises InputError that names the node, the parameter and what was expected."""
    values = {}
    for name, default, description in parameters:
        if not node.has_parameter(name):
            descriptor = ParameterDescriptor(description=description)
            required = isinstance(default, type)
            try:
                node.declare_parameter(name, _TYPES[default] if required else default, descriptor)
            except InvalidParameterTypeException as error:
                wanted = default if required else type(default)
                raise InputError(_where(node), name, error.args[0], f"a {wanted.__name__}: {description}") from None
        value = node.get_parameter_or(name).value
        if value is None:
            raise InputError(_where(node), name, "nothing", description)
        values[name] = value
    return values


def require(node: Node, values: dict[str, Any], name: str, low: float, high: float = math.inf) -> None:
    """Raises InputError where a number is not in [low, high]."""
    if not low <= values[name] <= high:
        raise InputError(_where(node), name, values[name], f"a number in [{low:g}, {high:g}]")


def _where(node: Node) -> str:
    return f"parameters of {node.get_fully_qualified_name()}"
