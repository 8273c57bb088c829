"""Parameters as a table: type, default, range, unit and description in one place.

rclpy itself guards types and ranges; the table adds what it lacks: choices, units, and one line
instead of an exception where a value given at start is refused.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import ParameterException
from rclpy.parameter import Parameter as RosParameter

from dsad_common.rclpy_internals import given_parameters
from dsad_core.errors import one_line

_INTEGER_LIMIT = 2**62


@dataclass(frozen=True)
class Parameter:
    """One node parameter.

    Args:
        name: ROS name.
        default: also fixes the type: bool, int, float, str, or a list of one of these.
        description: one line for ``ros2 param describe``.
        minimum, maximum: inclusive range of a number; None leaves that side open.
        unit: of a number, shown behind the description.
        choices: allowed values of a string.
        read_only: fixed once the node runs.
    """

    name: str
    default: Any
    description: str
    minimum: float | None = None
    maximum: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()
    read_only: bool = False

    def refusal(self, value: Any) -> str | None:
        """Why rclpy's own checks are not enough to take ``value``, in one line; None if they are."""
        if self.choices and value not in self.choices:
            return f"Parameter {self.name}: '{value}' is not one of {', '.join(self.choices)}"
        if isinstance(value, float) and math.isnan(value):
            return f"Parameter {self.name}: NaN is no value"
        return None

    def descriptor(self) -> ParameterDescriptor:
        """What ``ros2 param describe`` and rqt show, and rclpy checks."""
        text = self.description
        if self.unit:
            text += f" [{self.unit}]"
        if self.choices:
            text += f" One of: {', '.join(self.choices)}."
        descriptor = ParameterDescriptor(name=self.name, description=text, read_only=self.read_only)
        if self.minimum is not None or self.maximum is not None:
            if isinstance(self.default, int):
                low = -_INTEGER_LIMIT if self.minimum is None else int(self.minimum)
                high = _INTEGER_LIMIT if self.maximum is None else int(self.maximum)
                descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
            else:
                low = -sys.float_info.max if self.minimum is None else float(self.minimum)
                high = sys.float_info.max if self.maximum is None else float(self.maximum)
                descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        return descriptor


class BadParameter(ValueError):
    """A value given at start that is refused; ``str()`` is one line."""


def declare(
    node,
    table: Sequence[Parameter],
    on_change: Callable[[dict[str, Any]], str | None] | None = None,
) -> None:
    """Declare a table of parameters on a node and guard later changes.

    Args:
        node: the rclpy node.
        table: its parameters.
        on_change: called with ``{name: value}`` when values are about to change while the node
            runs; returns why it refuses them, or None once it has taken them.

    Raises:
        BadParameter: a value given on the command line or in a file has the wrong type, is out of
            range or is not among the choices.
    """
    by_name = {parameter.name: parameter for parameter in table}
    for parameter in table:
        _declare_one(node, parameter)

    def check(changes: list[RosParameter]) -> SetParametersResult:
        ours = {change.name: change.value for change in changes if change.name in by_name}
        for name, value in ours.items():
            if reason := by_name[name].refusal(value):
                return SetParametersResult(successful=False, reason=reason)
        if on_change and ours and (reason := on_change(ours)):
            return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(check)


def _declare_one(node, parameter: Parameter) -> None:
    overrides = given_parameters(node)
    given = overrides.get(parameter.name)
    meant = type(parameter.default)
    if given is not None and meant in (float, str) and type(given.value) is int:
        # `rate:=25` and `device:=0` on a command line are integers to ROS; people mean 25.0 and "0".
        overrides[parameter.name] = RosParameter(parameter.name, value=meant(given.value))
    try:
        value = node.declare_parameter(parameter.name, parameter.default, parameter.descriptor()).value
    except ParameterException as error:
        raise BadParameter(one_line(error)) from error
    if reason := parameter.refusal(value):
        raise BadParameter(reason)
