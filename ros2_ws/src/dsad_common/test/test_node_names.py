import pytest

from dsad_common.node_names import resolve_node


@pytest.mark.parametrize(
    ("name", "resolved"),
    [
        ("metrics", ("/uav/irst", "metrics")),
        ("/rosbag2_recorder", ("/", "rosbag2_recorder")),
        ("/left/irst/metrics", ("/left/irst", "metrics")),
    ],
)
def test_a_full_name_does_not_depend_on_where_it_is_said(name, resolved):
    assert resolve_node(name, "/uav/irst") == resolved
