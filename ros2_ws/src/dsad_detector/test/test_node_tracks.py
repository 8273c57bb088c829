"""Tracks of a running detector, across processes."""

import cv2
import numpy as np
import pytest
from dsad_common.qos import reliable
from dsad_common.stamps import stamp_ns
from dsad_msgs.msg import Track, TrackArray
from geometry_msgs.msg import Vector3Stamped
from sensor_msgs.msg import CameraInfo

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
