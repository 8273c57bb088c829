"""Parameters are declared from the table and bad values are refused by name."""

import pytest
import rclpy
from rclpy.node import Node

from dsad_common.parameters import BadParameter, Parameter, declare

TABLE = (
    Parameter("rate", 25.0, "frames a second", minimum=0.1, maximum=1000.0, unit="Hz"),
    Parameter("target", "cpu", "where to run", choices=("cpu", "agx")),
    Parameter("limit", 0, "frames; 0 for all", minimum=0),
    Parameter("topics", ("a", "b"), "names"),
)


@pytest.fixture
def make_node():
    context = rclpy.Context()
    rclpy.init(context=context)
    nodes = []

    def make(**values):
        overrides = [rclpy.parameter.Parameter(name, value=value) for name, value in values.items()]
        node = Node("probe", context=context, parameter_overrides=overrides)
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.destroy_node()
    rclpy.shutdown(context=context)


def change(node, name, value):
    return node.set_parameters([rclpy.parameter.Parameter(name, value=value)])[0]


def test_defaults_and_description(make_node):
    node = make_node()
    declare(node, TABLE)
    assert node.get_parameter("rate").value == 25.0
    assert list(node.get_parameter("topics").value) == ["a", "b"]
    assert "Hz" in node.describe_parameter("rate").description
    assert "agx" in node.describe_parameter("target").description


def test_integer_given_for_a_float_is_taken(make_node):
    node = make_node(rate=30)
    declare(node, TABLE)
    assert node.get_parameter("rate").value == 30.0


def test_integer_given_for_a_text_is_taken(make_node):
    node = make_node(device=0)
    declare(node, (Parameter("device", "", "camera"),))
    assert node.get_parameter("device").value == "0"


@pytest.mark.parametrize(
    ("name", "value"),
    [("rate", 0.0), ("rate", "fast"), ("target", "tpu"), ("limit", -1), ("rate", float("nan"))],
)
def test_bad_start_value_is_one_line_with_the_name(make_node, name, value):
    node = make_node(**{name: value})
    with pytest.raises(BadParameter) as refusal:
        declare(node, TABLE)
    assert name in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_bad_change_is_refused_and_the_old_value_stays(make_node):
    node = make_node()
    declare(node, TABLE)
    for name, value in (("rate", 5000.0), ("target", "tpu")):
        result = change(node, name, value)
        assert not result.successful
        assert name in result.reason and str(value) in result.reason
    assert node.get_parameter("rate").value == 25.0


def test_listener_can_refuse(make_node):
    node = make_node()
    seen = []
    declare(node, TABLE, lambda values: seen.append(values) or ("too late" if "limit" in values else None))
    assert change(node, "rate", 10.0).successful
    assert change(node, "limit", 3).reason == "too late"
    assert seen == [{"rate": 10.0}, {"limit": 3}]
