"""Parameters of nodes, out of the table of settings: declared with their ranges, checked, and changed while running."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from uav_twin_migration.errors import InputError
from uav_twin_migration.scenario.settings import (
    Numbers,
    Position,
    Refusal,
    Setting,
    Texts,
    check_rules,
)

OnChange = Callable[[frozenset[str]], None]

_TYPES = {
    str: RosParameter.Type.STRING,
    int: RosParameter.Type.INTEGER,
    float: RosParameter.Type.DOUBLE,
    bool: RosParameter.Type.BOOL,
    Texts: RosParameter.Type.STRING_ARRAY,
    Numbers: RosParameter.Type.DOUBLE_ARRAY,
    Position: RosParameter.Type.DOUBLE_ARRAY,
}


class ExplainsParameters:
    """A node that says why a parameter cannot change, where rclpy would only say that it is read-only."""

    why_fixed: dict[str, str]

    def set_parameters_atomically(self, parameter_list: list[RosParameter]) -> SetParametersResult:
        """See rclpy.node.Node."""
        for parameter in parameter_list:
            why = getattr(self, "why_fixed", {}).get(parameter.name)
            if why:
                return SetParametersResult(successful=False, reason=f"{parameter.name} cannot change: {why}")
        return super().set_parameters_atomically(parameter_list)  # type: ignore[misc]


def declare(node: Node, settings: Sequence[Setting], on_change: OnChange | None = None) -> dict[str, Any]:
    """Declare and read parameters.

    What may change while running is changed in the dictionary that is returned, and `on_change` is told the names.

    Raises:
        InputError: it names the node, the parameter and what was expected.
    """
    values: dict[str, Any] = {}
    for setting in settings:
        given = _given(node, setting)
        try:
            values[setting.name] = setting.read(given)
        except Refusal as refusal:
            raise InputError(_where(node), setting.name, _plain(given), refusal.expected) from None
    try:
        check_rules(values)
    except Refusal as refusal:
        raise InputError(_where(node), refusal.where(), refusal.value, refusal.expected) from None
    if isinstance(node, ExplainsParameters):
        node.why_fixed = {setting.name: setting.why_fixed for setting in settings}
        node.why_fixed["use_sim_time"] = "a node has one clock, from its start on"
    node.add_on_set_parameters_callback(_setter({one.name: one for one in settings}, values, on_change))
    return values


def _given(node: Node, setting: Setting) -> Any:
    """A parameter's value, declared if it was not."""
    if not node.has_parameter(setting.name):
        default = list(setting.default) if isinstance(setting.default, tuple) else setting.default
        first = _TYPES[setting.kind] if setting.required else default
        try:
            node.declare_parameter(setting.name, first, descriptor(setting))
        except InvalidParameterTypeException as error:
            wanted = f"{setting.expected} ({_TYPES[setting.kind].name.lower()}): {setting.meaning}"
            raise InputError(_where(node), setting.name, error.args[0], wanted) from None
        except InvalidParameterValueException as error:
            given = float(error.args[0].partition("(")[2].partition(")")[0])  # of numbers alone there are ranges
            raise InputError(_where(node), setting.name, given, setting.expected) from None
    value = node.get_parameter_or(setting.name).value
    if value is None:
        raise InputError(_where(node), setting.name, "nothing", f"{setting.expected}: {setting.meaning}")
    return _plain(value)


def _plain(value: Any) -> Any:
    return list(value) if hasattr(value, "tolist") or isinstance(value, tuple) else value


def overrides(values: Mapping[str, Any]) -> list[RosParameter]:
    """Values for a node that is made, in the place of those of a parameter file."""
    return [RosParameter(name, value=value) for name, value in values.items()]


def descriptor(setting: Setting) -> ParameterDescriptor:
    """How ROS's tools show a setting."""
    unit = f", {setting.unit}" if setting.unit else ""
    made = ParameterDescriptor(description=setting.meaning + unit, read_only=not setting.changes)
    made.additional_constraints = setting.expected
    made.dynamic_typing = setting.default in ((), [])  # rclpy takes an empty list for one of bytes
    low, high = setting.low, setting.high
    if math.isfinite(low) and math.isfinite(high):
        if setting.kind is float:
            made.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high))]
        if setting.kind is int:
            made.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
    return made


def _setter(
    settings: dict[str, Setting], values: dict[str, Any], on_change: OnChange | None
) -> Callable[[list[RosParameter]], SetParametersResult]:
    """The callback that takes or refuses changes, all of one request or none."""

    def on_set(parameters: list[RosParameter]) -> SetParametersResult:
        wanted = {one.name: one.value for one in parameters if one.name in settings}
        proposed = dict(values)
        try:
            for name, value in wanted.items():
                try:
                    proposed[name] = settings[name].read(_plain(value))
                except Refusal as refusal:
                    raise refusal.under(name) from None
            check_rules(proposed)
        except Refusal as refusal:
            reason = f"{refusal.where()}: got {refusal.value!r}, expected {refusal.expected}"
            return SetParametersResult(successful=False, reason=reason)
        values.update(proposed)
        if on_change is not None and wanted:
            on_change(frozenset(wanted))
        return SetParametersResult(successful=True)

    return on_set


def _where(node: Node) -> str:
    return f"parameters of {node.get_fully_qualified_name()}"
