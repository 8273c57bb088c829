import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import String

from dsad_core.errors import BagError, UsageError
from dsad_source.routes import has_header, message_class, plan_routes

IMAGE, INFO, TARGETS = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo", "dsad_msgs/msg/TargetArray"
RUN = {
    "/irst/image_raw": IMAGE,
    "/irst/camera_info": INFO,
    "/irst/ground_truth": IMAGE,
    "/irst/mask": IMAGE,
    "/irst/overlay": IMAGE,
    "/irst/targets": TARGETS,
    "/imu": "sensor_msgs/msg/Imu",
}


def names(routes):
    return {route.topic: route.name for route in routes}


def test_inputs_keep_their_names_and_outputs_of_a_former_run_stay_behind():
    inputs = ("/irst/image_raw", "/irst/camera_info", "/irst/ground_truth")
    routes = plan_routes(RUN, "", "/irst/image_raw", [])
    assert names(routes) == {topic: topic for topic in inputs}
    assert [route.topic for route in routes if route.frames] == ["/irst/image_raw"]


def test_named_frames_and_their_companions_take_the_names_of_the_suite():
    bag = {
        "/thermal/image": IMAGE,
        "/thermal/camera_info": INFO,
        "/visible/image": IMAGE,
        "/visible/camera_info": INFO,
    }
    assert names(plan_routes(bag, "/thermal/image", "/irst/image_raw", [])) == {
        "/thermal/image": "image_raw",
        "/thermal/camera_info": "camera_info",
    }


def test_the_graphs_own_topic_is_preferred_and_otherwise_several_are_refused():
    bag = {"/a/image_raw": IMAGE, "/b/image_raw": IMAGE}
    assert names(plan_routes(bag, "", "/b/image_raw", [])) == {"/b/image_raw": "/b/image_raw"}
    with pytest.raises(BagError, match="several topics of images, /a/image_raw, /b/image_raw; set"):
        plan_routes(bag, "", "/irst/image_raw", [])


def test_compressed_frames_serve_where_there_are_no_raw_ones_and_take_the_raw_name():
    compressed = "sensor_msgs/msg/CompressedImage"
    bag = {
        "/cam/image_raw/compressed": compressed,
        "/cam/camera_info": INFO,
        "/cam/overlay/compressed": compressed,
    }
    assert names(plan_routes(bag, "", "/irst/image_raw", [])) == {
        "/cam/image_raw/compressed": "/cam/image_raw",
        "/cam/camera_info": "/cam/camera_info",
    }
    assert names(plan_routes(bag, "/cam/image_raw/compressed", "/irst/image_raw", [])) == {
        "/cam/image_raw/compressed": "image_raw",
        "/cam/camera_info": "camera_info",
    }
    both = {**bag, "/cam/image_raw": IMAGE}
    assert [route.topic for route in plan_routes(both, "", "", []) if route.frames] == ["/cam/image_raw"]


def test_wanted_topics():
    assert set(names(plan_routes(RUN, "", "/irst/image_raw", ["*"]))) == set(RUN)
    assert set(names(plan_routes(RUN, "", "", ["/imu", "/irst/image_raw"]))) == {"/imu", "/irst/image_raw"}
    with pytest.raises(UsageError, match="leaves out the frames, /irst/image_raw"):
        plan_routes(RUN, "", "", ["/imu"])
    with pytest.raises(BagError, match="has no /tf; it holds /irst/image_raw"):
        plan_routes(RUN, "", "", ["/irst/image_raw", "/tf"])


def test_bags_without_frames():
    with pytest.raises(BagError, match=r"no frames .* it holds /imu \(sensor_msgs/msg/Imu\)"):
        plan_routes({"/imu": "sensor_msgs/msg/Imu"}, "", "/irst/image_raw", [])
    with pytest.raises(BagError, match="it holds nothing"):
        plan_routes({}, "", "/irst/image_raw", [])
    with pytest.raises(BagError, match="no images on /imu"):
        plan_routes(RUN, "/imu", "/irst/image_raw", [])


def test_message_classes():
    assert message_class(IMAGE) is Image and has_header(Image)
    assert message_class("std_msgs/msg/String") is String and not has_header(String)
    for unknown in ("vendor_msgs/msg/Thing", "sensor_msgs/msg/NoSuch", "a/b/msg/D", "std_srvs/srv/Empty"):
        assert message_class(unknown) is None
