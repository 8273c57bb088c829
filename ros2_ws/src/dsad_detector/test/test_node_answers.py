"""What the subscribers of a running detector get for a frame, across processes."""

import sys

import numpy as np
import pytest
from detector_harness import scene
from sensor_msgs.msg import CameraInfo, Image

from dsad_common.stamps import stamp_ns


def padded_and_swapped(client, frame: np.ndarray) -> Image:
    """16UC1 whose rows end in 10 bytes of rubbish, in the byte order that this machine has not."""
    height, width = frame.shape
    rows = np.full((height, width * 2 + 10), 0xEE, np.uint8)
    rows[:, : width * 2] = frame.byteswap().view(np.uint8)
    message = client.image(frame, "16UC1")
    message.is_bigendian = int(sys.byteorder == "little")
    message.step = rows.shape[1]
    message.data = rows.tobytes()
    return message


def pixels(mask: Image) -> np.ndarray:
    return np.frombuffer(mask.data, np.uint8).reshape(mask.height, mask.width)


@pytest.mark.parametrize("size", [(512, 640), (256, 256), (97, 131)], ids=str)
@pytest.mark.parametrize(
    "encoding, dtype",
    [("mono8", np.uint8), ("mono16", np.uint16), ("16UC1", np.uint16), ("32FC1", np.float32)],
)
def test_the_mask_has_the_frames_header_and_size_and_shows_its_targets(detector, encoding, dtype, size):
    client = detector.client
    frame, centres = scene(*size, dtype)
    message = padded_and_swapped(client, frame) if encoding == "16UC1" else client.image(frame, encoding)
    key = stamp_ns(message.header.stamp)

    timing = client.ask(message)
    client.publish_until(message, lambda: key in client.masks_best_effort, "the mask, best effort")

    for mask in (client.masks[key], client.masks_best_effort[key]):
        assert mask.header == message.header
        assert (mask.height, mask.width, mask.encoding, mask.step) == (*size, "mono8", size[1])
        assert np.isin(pixels(mask), (0, 255)).all()
    found = client.targets[key]
    assert found.header == message.header == timing.header
    assert (found.height, found.width) == size
    for x, y in centres:
        assert pixels(client.masks[key])[y, x] == 255
        assert min(np.hypot(target.x - x, target.y - y) for target in found.targets) < 1.0
    assert len(found.targets) == len(centres)
    assert not any(target.has_bearing for target in found.targets)


def test_the_stamp_zero_is_copied_too(detector):
    client = detector.client
    message = client.image(scene(64, 64)[0], "mono8")
    message.header.stamp.sec = message.header.stamp.nanosec = 0
    client.ask(message)
    assert client.masks[0].header == message.header


def test_timing_is_in_order_and_every_frame_is_accounted_for(detector):
    client = detector.client
    timing = client.ask(client.image(scene(128, 128)[0], "mono8"))
    moments = [
        timing.received,
        timing.started,
        timing.decoded,
        timing.preprocessed,
        timing.inferred,
        timing.postprocessed,
        timing.published,
    ]
    assert moments == sorted(moments) and moments[0] > 0
    assert moments[-1] - moments[0] < 5e9

    # Frames as fast as they go: the slot holds one, so some must be dropped, and none may vanish.
    first, sent = timing, 150
    burst = [client.image(scene(256, 256)[0], "mono8") for _ in range(sent)]
    for message in burst:
        client.frames.publish(message)
    client.wait(lambda: max(client.timings) >= stamp_ns(burst[-1].header.stamp), "the newest frame's answer")
    last = client.timings[max(client.timings)]
    assert last.frames_received == last.frames_answered + last.frames_dropped + last.frames_refused
    assert last.frames_answered - first.frames_answered < sent
    # frames_lost needs message info, which Humble's rclpy has not.
    from dsad_detector.frame_intake import HAS_MESSAGE_INFO

    if HAS_MESSAGE_INFO:
        assert last.frames_received + last.frames_lost - first.frames_received - first.frames_lost == sent
        client.wait_for_status(lambda: client.fact("frames_lost") == str(last.frames_lost), "the counters")


def test_bearings_follow_the_camera_info_of_the_same_size(detector):
    client = detector.client
    frame, _ = scene(128, 160)
    info = CameraInfo(
        height=128,
        width=160,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=[400.0, 0.0, 79.5, 0.0, 410.0, 63.5, 0.0, 0.0, 1.0],
    )

    def found(image_frame):
        message = client.image(image_frame, "mono8")
        client.camera.publish(info)
        client.ask(message)
        return client.targets[stamp_ns(message.header.stamp)].targets

    client.wait(lambda: client.camera.get_subscription_count() > 0, "the camera_info subscription")
    targets = client.wait(lambda: [t for t in found(frame) if t.has_bearing], "bearings")
    for target in targets:
        ray = np.array([(target.x - 79.5) / 400.0, (target.y - 63.5) / 410.0, 1.0])
        bearing = np.array([target.bearing.x, target.bearing.y, target.bearing.z])
        np.testing.assert_allclose(bearing, ray / np.linalg.norm(ray), atol=1e-6)

    assert not any(target.has_bearing for target in found(scene(160, 128)[0]))

    info.distortion_model = "fisheye9"
    assert not any(
        t.has_bearing
        for t in client.wait(lambda: [t for t in found(frame) if not t.has_bearing], "bearings to end")
    )
    client.wait_for_status(lambda: "fisheye9" in client.status.message, "the model in the status")
    info.k[0] = 0.0  # uncalibrated: no bearings, and nothing wrong with it
    client.publish_until(
        client.image(frame, "mono8"),
        lambda: client.camera.publish(info) or (client.status and "fisheye9" not in client.status.message),
        "the warning to end",
    )


def test_the_overlay_is_drawn_on_the_frame_for_whoever_subscribes(detector):
    client = detector.client
    frame, centres = scene(96, 128)
    overlays = []
    subscription = client.node.create_subscription(Image, "overlay", overlays.append, 1)
    message = client.image(frame, "mono8")
    client.publish_until(message, lambda: any(o.header == message.header for o in overlays), "the overlay")
    client.node.destroy_subscription(subscription)
    picture = np.frombuffer(overlays[-1].data, np.uint8).reshape(96, 128, 3)
    assert overlays[-1].encoding == "bgr8" and overlays[-1].step == 128 * 3
    grey = (picture[..., 0] == picture[..., 1]) & (picture[..., 1] == picture[..., 2])
    assert 0.5 < grey.mean() < 1.0, "the frame is there, and something is drawn on it"
    x, y = centres[0]
    assert (picture[y, x] == frame[y, x]).all(), "a target is not painted over"


def test_the_threshold_changes_while_running_and_bad_values_are_refused_with_a_reason(detector):
    client = detector.client
    frame, _ = scene(128, 128)

    def area() -> int:
        message = client.image(frame, "mono8")
        client.ask(message)
        return int((pixels(client.masks[stamp_ns(message.header.stamp)]) > 0).sum())

    usual = area()
    assert client.set(threshold=0.9999) == ""
    assert 0 < area() < usual
    client.wait_for_status(lambda: client.fact("threshold") == "0.9999", "the threshold in the status")
    for bad in (1.5, -0.1, 1.0, float("nan")):
        assert "threshold" in client.set(threshold=bad)
    assert 0 < area() < usual, "a refused value changes nothing"
    assert client.set(threshold=0.0) == ""
    assert area() == usual


def test_diagnostics_tell_engine_target_and_input(detector, engines):
    from dsad_core.engines.manifest import read_manifest

    client = detector.client
    client.ask(client.image(scene(64, 96)[0], "mono8"))
    client.wait_for_status(lambda: client.fact("input") == "96x64 mono8", "the input's size and encoding")
    assert client.fact("engine") == "local-contrast"
    assert client.fact("engine_sha256") == read_manifest(engines / "local-contrast").sha256
    assert client.fact("target") == client.status.hardware_id == "cpu"
    assert " thread" in client.fact("runtime")
    assert client.fact("state") == "active"
    assert client.fact("publishers").endswith("/client")


def test_deadline_misses_and_stale_input_are_reported(detector):
    client = detector.client
    assert client.set(deadline_ms=0.001) == ""
    client.ask(client.image(scene(64, 64)[0], "mono8"))
    client.wait_for_status(lambda: int(client.fact("deadline_misses")) > 0, "the missed deadline")
    assert "deadline missed" in client.status.message
    assert client.set(deadline_ms=0.0) == ""
    assert client.set(stale_timeout_s=0.2) == ""
    client.wait_for_status(lambda: "no frame on" in client.status.message, "the stale input")
    assert "stale_timeout_s" in client.set(stale_timeout_s=-1.0)
    assert client.set(stale_timeout_s=60.0) == ""
