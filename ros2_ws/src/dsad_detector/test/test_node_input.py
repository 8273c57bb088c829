"""The way to the node: reliability that follows the publishers, losses, drops, and company."""

import time

import numpy as np
from detector_harness import scene
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from dsad_common.qos import newest
from dsad_common.stamps import stamp_ns


def test_the_subscription_is_as_reliable_as_its_publishers_as_they_come_and_go(start):
    one = start(frame_size="64x64")
    client = one.client
    client.wait_for_detector()
    frame = client.image(scene(64, 64)[0], "mono8")
    client.ask(frame)
    client.wait_for_status(
        lambda: client.fact("reliability") == "reliable", "reliable beside a reliable camera"
    )

    camera = client.node.create_publisher(
        Image, "image_raw", QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT)
    )
    client.wait_for_status(lambda: client.fact("reliability") == "best_effort", "the switch")
    client.wait(lambda: camera.get_subscription_count() > 0, "the best-effort camera's match")
    client.ask(client.image(scene(64, 64)[0], "mono8"), camera)
    assert "QoS mismatch" not in one.process.log()

    client.node.destroy_publisher(camera)
    client.wait_for_status(lambda: client.fact("reliability") == "reliable", "the way back")
    client.ask(client.image(scene(64, 64)[0], "mono8"))


def test_every_frame_of_a_stock_reliable_driver_is_received_or_counted(start):
    one = start(frame_size="640x512")
    client = one.client
    client.wait_for_detector()
    frame = client.image(scene(512, 640, np.uint16)[0], "mono16")
    client.ask(frame)
    before = client.counters or client.wait(lambda: client.counters, "the counters")
    sent, received, lost = 30, before.frames_received, before.frames_lost
    for _ in range(sent):
        client.frames.publish(client.stamped(frame))
        client.wait(lambda: client.timings, "any answer", 60)
    # Nothing is sent twice here, and nothing is timed: what is sent is received, or lost and counted.
    client.wait(
        lambda: client.counters.frames_received - received + client.counters.frames_lost - lost >= sent,
        "every frame in the counters",
        60,
    )


def test_counters_tell_of_frames_that_were_never_answered(start):
    one = start(frame_size="64x64")
    client = one.client
    client.wait_for_detector()
    bad = client.image(scene(64, 64)[0], "mono8")
    bad.encoding = "infrared12"
    client.publish_until(bad, lambda: client.counters and client.counters.frames_refused > 0, "the refusal")
    assert client.counters.frames_answered == 0 and not client.timings
    assert client.counters.activated > 0


def test_an_engine_that_is_too_slow_for_the_camera_is_a_warning(start, building):
    building.hold()
    building.go()
    one = start(building.environment, engine=building.engine, frame_size="80x64", build_on_demand=True)
    client = one.client
    client.wait_for_detector()
    client.ask(client.image(scene(64, 80)[0], "mono8"))
    # The frame of another size is built for until it is let go: all others are dropped meanwhile.
    building.hold()
    client.publish_until(
        client.image(scene(64, 64)[0], "mono8"), lambda: building.builds, "the engine to be busy"
    )
    other = client.image(scene(64, 80)[0], "mono8")

    def dropped() -> bool:
        client.frames.publish(client.stamped(other))
        return client.status is not None and "of the newest frames were dropped" in client.status.message

    client.wait(dropped, "the warning")
    assert client.status.level == b"\x01"
    building.go()


def test_a_second_detector_in_the_namespace_is_noticed_by_both(start):
    one = start(frame_size="64x64")
    one.client.wait_for_detector()
    twin = type(one.process)(one.client.namespace, one.process.path.with_name("twin.txt"), frame_size="64x64")
    try:
        one.client.wait_for_status(
            lambda: "2 nodes publish" in one.client.status.message and one.client.status.level == b"\x01",
            "the warning",
        )
        for process in (one.process, twin):
            one.client.wait(lambda process=process: "2 nodes publish" in process.log(), "the line in the log")
    finally:
        twin.end()
    one.client.wait_for_status(
        lambda: "2 nodes publish" not in one.client.status.message, "the warning to end"
    )


def test_a_calibration_that_gives_no_bearing_is_in_the_diagnostics(start):
    one = start(frame_size="80x64")
    client = one.client
    client.wait_for_detector()
    camera = client.node.create_publisher(CameraInfo, "camera_info", newest())
    client.wait(lambda: camera.get_subscription_count() > 0, "the best-effort calibration's match")
    info = CameraInfo(height=64, width=80, distortion_model="plumb_bob", d=[0.0] * 5)
    info.k = [float("nan"), 0.0, 40.0, 0.0, 50.0, 32.0, 0.0, 0.0, 1.0]

    def answered(condition):
        frame = client.image(scene(64, 80)[0], "mono8")
        tried = 0.0

        def done():
            nonlocal tried
            if time.monotonic() - tried > 0.3:
                client.stamped(frame)
                info.header = frame.header
                camera.publish(info)
                client.frames.publish(frame)
                tried = time.monotonic()
            return condition()

        return done

    client.wait(
        answered(lambda: client.status and "K holds a number that is not finite" in client.status.message),
        "the fault",
    )
    assert all(not target.has_bearing for array in client.targets.values() for target in array.targets)
    info.k = [50.0, 0.0, 40.0, 0.0, 50.0, 32.0, 0.0, 0.0, 1.0]
    client.wait(
        answered(lambda: any(t.has_bearing for array in client.targets.values() for t in array.targets)),
        "bearings",
    )


def test_an_engine_that_answers_nan_is_an_error_and_no_clear_sky(start, building):
    building.hold()
    building.go()
    one = start(building.environment, engine=building.engine, frame_size="80x64")
    client = one.client
    client.wait_for_detector()
    client.ask(client.image(scene(64, 80)[0], "mono8"))
    building.answer_nan(True)
    try:
        frame = client.image(scene(64, 80)[0], "mono8")
        client.publish_until(
            frame,
            lambda: (
                client.status is not None
                and "logits of a 80x64 frame are NaN or infinite" in client.status.message
                and int(client.fact("refused_not_finite") or 0) > 0
            ),
            "the error",
        )
        assert client.status.level == b"\x02"
        assert stamp_ns(frame.header.stamp) not in client.masks
    finally:
        building.answer_nan(False)
    client.publish_until(
        client.image(scene(64, 80)[0], "mono8"), lambda: client.status.level == b"\x00", "the way back"
    )
