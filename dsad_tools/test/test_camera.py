import time

import numpy as np
import pytest

from dsad_core.errors import DataError
from dsad_tools.data import camera as module
from dsad_tools.data.camera import Camera, to_grey
from dsad_tools.testing import MjpegServer


@pytest.fixture
def server():
    server = MjpegServer()
    yield server
    server.stop()


def wait_until(condition, seconds=15.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_gives_grey_frames_in_order_with_rising_stamps(server):
    camera = Camera(server.url)
    try:
        frames, stamps = zip(*(pair for pair, _ in zip(camera, range(20))))
    finally:
        camera.close()
    assert {(frame.shape, frame.dtype) for frame in frames} == {((48, 64), np.dtype(np.uint8))}
    brightness = [int(frame.mean().round()) for frame in frames]
    assert brightness == sorted(set(brightness))
    assert list(stamps) == sorted(set(stamps))


def test_slow_reader_gets_the_newest_frame_and_skipped_ones_are_counted(server):
    camera = Camera(server.url)
    try:
        frames = iter(camera)
        before, _ = next(frames)
        already = camera.skipped  # those before this reader came
        wait_until(lambda: camera.skipped >= already + 10)
        next(frames)
        newest, _ = next(frames)
    finally:
        camera.close()
    assert newest.mean() - before.mean() >= 10


def test_lost_camera_is_reported_and_opened_again(server, monkeypatch):
    monkeypatch.setattr(module, "_RETRY", 0.1)
    told = []
    camera = Camera(server.url, tell=told.append)
    again = None
    try:
        server.stop()
        wait_until(lambda: camera.trouble)
        assert server.url in camera.trouble
        again = MjpegServer(port=server.port)
        wait_until(lambda: camera.reopened and not camera.trouble)
        frames = iter(camera)
        next(frames)
        assert next(frames)[0].shape == (48, 64)
        assert told[0] == f"camera {server.url}: stopped giving frames" and "frames again" in told[-1]
    finally:
        camera.close()
        if again:
            again.stop()


def test_other_depth_than_asked_for_is_refused(server):
    with pytest.raises(DataError, match="gives 8-bit frames, not 16-bit; set encoding"):
        Camera(server.url, bits=16)


def test_missing_device_names_what_is_there():
    with pytest.raises(DataError, match=r"camera /dev/video97: no such device \(video devices here: .+\)"):
        Camera("97")
    with pytest.raises(DataError, match="camera /dev/thermal0: no such device"):
        Camera("/dev/thermal0")


def test_node_that_is_no_camera():
    with pytest.raises(DataError, match="/dev/null: exists but cannot be opened"):
        Camera("/dev/null")


def test_dead_address():
    with pytest.raises(DataError, match="no stream that can be opened"):
        Camera("http://127.0.0.1:9/stream")


@pytest.mark.skipif(module._has_gstreamer(), reason="this OpenCV has GStreamer")
def test_pipeline_without_gstreamer_says_how_to_get_it():
    with pytest.raises(DataError, match="lacks GStreamer; install"):
        Camera("videotestsrc ! appsink")


@pytest.mark.parametrize(
    "shape, dtype",
    [
        ((4, 6), "uint16"),
        ((4, 6), "uint8"),
        ((4, 6, 1), "uint16"),
        ((4, 6, 3), "uint8"),
    ],
)
def test_pixel_formats_that_are_taken(shape, dtype):
    assert (to_grey(np.full(shape, 200, dtype), 0, "0") == np.full((4, 6), 200, dtype)).all()


@pytest.mark.parametrize("shape, dtype", [((1, 48), "uint8"), ((4, 6, 2), "uint8"), ((4, 6, 3), "uint16")])
def test_pixel_formats_that_are_refused(shape, dtype):
    with pytest.raises(DataError, match="camera 0: gives .* choose another format"):
        to_grey(np.full(shape, 200, dtype), 0, "0")
