"""Tracks of a running detector, across processes."""

import importlib.util

import cv2
import numpy as np
import pytest
from geometry_msgs.msg import Quaternion, TransformStamped, Vector3Stamped
from sensor_msgs.msg import CameraInfo, Imu
from std_msgs.msg import Bool, String

from dsad_common.qos import latched, reliable
from dsad_common.stamps import stamp_ns
from dsad_msgs.msg import Track, TrackArray

SIZE = (128, 160)


def moving(index, background):
    """A textured frame with one spot that moves 1 px a frame; (128, 160) uint8."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    spot = 120 * np.exp(-((columns - 40 - index) ** 2 + (rows - 60) ** 2) / 2.5)
    noise = np.random.default_rng(index).normal(0, 1.0, SIZE)
    return np.clip(background + spot + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def background():
    rough = np.random.default_rng(0).normal(0, 1, SIZE).astype(np.float32)
    smooth = cv2.GaussianBlur(rough, (0, 0), 6)
    return 90 + 15 * smooth / smooth.std()


def subscribe(client, kind, topic):
    got = {}
    client.node.create_subscription(
        kind, topic, lambda message: got.update({stamp_ns(message.header.stamp): message}), reliable(50)
    )
    return got


def test_a_moving_spot_becomes_a_confirmed_track(detector, background):
    client = detector.client
    tracks = subscribe(client, TrackArray, "tracks")
    bearings = subscribe(client, Vector3Stamped, "bearing")
    client.wait(lambda: client.node.count_publishers("tracks"), "the publisher of tracks")
    info = CameraInfo(height=SIZE[0], width=SIZE[1])
    info.k = [200.0, 0.0, 80.0, 0.0, 200.0, 64.0, 0.0, 0.0, 1.0]

    confirmed = []
    for index in range(40):
        message = client.image(moving(index, background), "mono8")
        client.camera.publish(info)
        client.ask(message)
        key = stamp_ns(message.header.stamp)
        client.publish_until(message, lambda: key in tracks, "the tracks of the frame")
        array = tracks[key]
        assert array.header == message.header and (array.height, array.width) == SIZE
        confirmed += [track for track in array.tracks if track.state == Track.CONFIRMED]
        if len(confirmed) > 12 and bearings:
            break
    assert {track.id for track in confirmed} == {confirmed[0].id}
    assert confirmed[-1].motion == Track.MOVING
    assert confirmed[-1].vx == pytest.approx(25.0, abs=6.0)
    assert max(bearings) in tracks and list(bearings.values())[-1].vector.z > 0.9
    client.wait_for_status(lambda: client.fact("frames_shutter") == "0", "the monitor's counts")


def test_parameters_of_tracks_are_checked(detector):
    client = detector.client
    assert "low_threshold" in client.set(low_threshold=1.5)
    assert "nothing.png" in client.set(ignore_mask="nothing.png")
    assert client.set(tracks="confirmed") == ""


def answers_of(one, frame):
    """The masks and kinds of frame that come for frames sent now."""
    client = one.client
    message = client.image(frame, "mono8")
    client.ask(message)
    return client.masks[stamp_ns(message.header.stamp)]


def test_frames_are_not_alarmed_on_while_the_driver_says_that_the_shutter_is_closed(start, background):
    one = start(frame_size="160x128", ffc_topic="flag")
    client = one.client
    client.wait_for_detector()
    tracks = subscribe(client, TrackArray, "tracks")
    frame = moving(0, background)
    assert any(answers_of(one, frame).data)
    flag = client.node.create_publisher(Bool, "flag", latched())
    flag.publish(Bool(data=True))
    client.wait(lambda: not any(answers_of(one, frame).data), "an empty mask")
    client.wait(
        lambda: tracks and list(tracks.values())[-1].frame_kind == TrackArray.SHUTTER, "the kind of frame"
    )
    flag.publish(Bool(data=False))
    client.wait(lambda: any(answers_of(one, moving(1, background)).data), "the mask again")
    flag.publish(Bool(data=True))
    client.wait(lambda: not any(answers_of(one, frame).data), "an empty mask")
    client.node.destroy_publisher(flag)
    client.wait(lambda: any(answers_of(one, moving(2, background)).data), "the mask once the driver is gone")


def test_a_topic_that_says_nothing_of_a_shutter_is_named(start):
    one = start(frame_size="64x64", ffc_topic="/words")
    one.client.wait_for_detector()
    words = one.client.node.create_publisher(String, "/words", reliable(1))
    one.client.wait_for_status(
        lambda: "std_msgs/msg/String says nothing of a shutter" in one.client.status.message, "it"
    )
    one.client.node.destroy_publisher(words)


def test_the_camera_s_turning_comes_from_an_imu(start, background):
    """A lamp that the pan carries along stands still in the scene."""
    one = start(frame_size="160x128", motion_topic="imu", tracks="confirmed")
    client = one.client
    client.wait_for_detector()
    tracks = subscribe(client, TrackArray, "tracks")
    imu = client.node.create_publisher(Imu, "imu", reliable(100))
    info = CameraInfo(height=SIZE[0], width=SIZE[1])
    info.k = [400.0, 0.0, 80.0, 0.0, 400.0, 64.0, 0.0, 0.0, 1.0]
    client.wait(lambda: imu.get_subscription_count() and client.node.count_publishers("tracks"), "the topics")

    last = None
    for index in range(40):
        message = client.image(moving(60 - index, background), "mono8")
        # A pixel to the left in 40 ms: the camera turns to the right, about its y axis.
        rate = Imu(header=message.header)
        rate.angular_velocity.y = 1.0 / 400.0 / 0.04
        imu.publish(rate)
        info.header = message.header
        client.camera.publish(info)
        client.ask(message)
        key = stamp_ns(message.header.stamp)
        client.publish_until(message, lambda: key in tracks, "the tracks of the frame")
        last = tracks[key]
        if last.tracks and last.tracks[0].motion != Track.UNKNOWN:
            break
    assert last.tracks[0].motion == Track.STILL and last.motion_known


def test_a_frame_of_bearings_needs_tf2(start):
    if importlib.util.find_spec("tf2_ros"):
        pytest.skip("tf2_ros is installed")
    one = start(frame_size="64x64", bearing_frame="base_link")
    one.client.wait(lambda: "bearing_frame base_link: needs tf2_ros" in one.process.log(), "the refusal")


def transform(stamp, parent, child, quaternion):
    message = TransformStamped(child_frame_id=child)
    message.header.stamp, message.header.frame_id = stamp, parent
    message.transform.rotation = Quaternion(**dict(zip("xyzw", quaternion)))
    return message


def test_bearings_turn_into_the_frame_of_the_vehicle(start, background):
    tf2_ros = pytest.importorskip("tf2_ros")
    one = start(frame_size="160x128", bearing_frame="base_link", tracks="confirmed")
    client = one.client
    client.wait_for_detector()
    tracks = subscribe(client, TrackArray, "tracks")
    broadcaster = tf2_ros.StaticTransformBroadcaster(client.node)
    info = CameraInfo(height=SIZE[0], width=SIZE[1])
    info.k = [200.0, 0.0, 80.0, 0.0, 200.0, 64.0, 0.0, 0.0, 1.0]
    found = None
    for index in range(60):
        message = client.image(moving(index, background), "mono8")
        if index == 0:
            # The camera looks ahead: its z is the vehicle's x, its x points to the right, which is -y.
            optical = (-0.5, 0.5, -0.5, 0.5)
            broadcaster.sendTransform(
                transform(message.header.stamp, "base_link", message.header.frame_id, optical)
            )
        info.header = message.header
        client.camera.publish(info)
        client.ask(message)
        key = stamp_ns(message.header.stamp)
        client.publish_until(message, lambda: key in tracks, "the tracks of the frame")
        found = next((each for each in tracks[key].tracks if each.has_bearing), None)
        if found:
            break
    assert found and tracks[key].bearing_frame == "base_link"
    across, down = (found.x - 80.0) / 200.0, (found.y - 64.0) / 200.0
    expected = np.array([1.0, -across, -down]) / np.linalg.norm([1.0, across, down])
    assert [found.bearing.x, found.bearing.y, found.bearing.z] == pytest.approx(expected, abs=1e-3)


def test_the_camera_s_turning_comes_from_tf(start, background):
    """As with the gyroscope: a lamp that the pan carries along stands still in the scene."""
    tf2_ros = pytest.importorskip("tf2_ros")
    one = start(frame_size="160x128", motion_frame="odom", tracks="confirmed")
    client = one.client
    client.wait_for_detector()
    tracks = subscribe(client, TrackArray, "tracks")
    broadcaster = tf2_ros.TransformBroadcaster(client.node)
    info = CameraInfo(height=SIZE[0], width=SIZE[1])
    info.k = [400.0, 0.0, 80.0, 0.0, 400.0, 64.0, 0.0, 0.0, 1.0]
    client.wait(lambda: client.node.count_publishers("tracks"), "the topic")
    last = None
    for index in range(60):
        message = client.image(moving(60 - index, background), "mono8")
        half = index / 400.0 / 2.0
        turned = (0.0, np.sin(half), 0.0, np.cos(half))
        broadcaster.sendTransform(transform(message.header.stamp, "odom", message.header.frame_id, turned))
        info.header = message.header
        client.camera.publish(info)
        client.ask(message)
        key = stamp_ns(message.header.stamp)
        client.publish_until(message, lambda: key in tracks, "the tracks of the frame")
        last = tracks[key]
        if last.tracks and last.tracks[0].motion != Track.UNKNOWN:
            break
    assert last.tracks[0].motion == Track.STILL and last.motion_known
