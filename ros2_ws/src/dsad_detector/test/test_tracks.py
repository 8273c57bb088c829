"""Tracks in the node: the thread, its messages and parameters; publishers that keep messages stand for rclpy's."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from dsad_core.components import find_components
from dsad_core.detector import Detection
from dsad_core.errors import UsageError
from dsad_core.frame.monitor import FrameKind, FrameMonitor
from dsad_core.targets import Target
from dsad_core.tracking import Follower
from dsad_detector import track_messages
from dsad_detector.camera_info_buffer import CameraInfoBuffer
from dsad_detector.throttled_warnings import ThrottledWarnings
from dsad_detector.track_settings import TRACK_PARAMETERS, TrackSettings, region
from dsad_detector.tracking import Answer, TrackingThread, TrackOutputs
from dsad_detector.watch import FrameWatch
from dsad_msgs.msg import Target as TargetMessage
from dsad_msgs.msg import TargetArray, Track, TrackArray


class Kept(list):
    def publish(self, message):
        self.append(message)

    def get_subscription_count(self):
        return 1


def header(index):
    message = Header(frame_id="infrared")
    seconds, rest = divmod(1_000_000_000 + index * 33_000_000, 1_000_000_000)
    message.stamp.sec, message.stamp.nanosec = seconds, rest
    return message


def answer(index, x=40.0, kind=FrameKind.SCENE, message=True):
    target = Target(x, 30.0, round(x) - 1, 29, 3, 3, 9, 0.9, 2.2)
    frame = np.zeros((64, 96), np.uint8)
    mask = frame.copy()
    mask[29:32, target.left : target.left + 3] = 255
    logits = np.full(frame.shape, -9.0, np.float32)
    waiting = TargetArray(header=header(index), targets=[TargetMessage(x=x)]) if message else None
    return Answer(header(index), frame, [target], mask, logits, 0.5, kind, index, waiting)


def calibration():
    info = CameraInfo(height=64, width=96)
    info.k = [100.0, 0.0, 48.0, 0.0, 100.0, 32.0, 0.0, 0.0, 1.0]
    return info


@pytest.fixture
def make(ros):
    started = []

    def build(published="all", detections=None, turn=None, begin=True):
        outputs, lines, camera = TrackOutputs(Kept(), Kept(), Kept(), detections), [], CameraInfoBuffer()
        camera.update(calibration())
        thread = TrackingThread(
            Follower(camera="still"),
            outputs,
            camera,
            ThrottledWarnings(SimpleNamespace(warning=lines.append)),
            published,
            turn=turn,
        )
        if begin:
            thread.start()
            started.append(thread)
        return SimpleNamespace(thread=thread, outputs=outputs, lines=lines)

    yield build
    for thread in started:
        thread.stop()


def feed(run, count=20, **changes):
    for index in range(count):
        run.thread.put(answer(index, **{"x": 20.0 + index, **changes}))
        end = time.monotonic() + 60.0
        while run.thread.followed + run.thread.skipped <= index:
            assert time.monotonic() < end and not run.lines, run.lines
            time.sleep(0.001)


def test_every_frame_gets_its_tracks_under_its_own_header(make):
    run = make()
    feed(run)
    arrays = run.outputs.tracks
    assert [array.header for array in arrays] == [header(index) for index in range(20)]
    last = arrays[-1]
    assert (last.height, last.width, last.frame_kind, last.motion_known) == (64, 96, TrackArray.SCENE, True)
    track = last.tracks[0]
    assert (track.id, track.state, track.motion, track.target) == (1, Track.CONFIRMED, Track.MOVING, 0)
    assert track.x == pytest.approx(39, abs=0.5) and track.vx == pytest.approx(30, abs=4)
    assert track.has_bearing and track.bearing.z > 0.9 and len(track.covariance) == 16
    assert arrays[0].tracks[0].state == Track.TENTATIVE
    assert track.bearing_covariance[0] == pytest.approx(track.covariance[0] / 100.0**2, rel=0.05)
    assert track.angular_width == pytest.approx(0.03, rel=0.02) and last.bearing_frame == "infrared"
    assert (arrays[0].best, last.best) == (-1, 0)


def test_targets_go_out_with_the_ids_of_their_confirmed_tracks(make):
    run = make()
    feed(run)
    targets = run.outputs.targets
    assert [array.header for array in targets] == [header(index) for index in range(20)]
    assert targets[0].targets[0].track_id == 0 and targets[-1].targets[0].track_id == 1


def test_targets_of_frames_that_the_tracker_skips_go_out_in_order_without_ids(make):
    run = make(begin=False)
    for index in range(3):
        run.thread.put(answer(index))
    run.thread.start()
    end = time.monotonic() + 60.0
    while run.thread.followed < 1:
        assert time.monotonic() < end
        time.sleep(0.001)
    run.thread.stop()
    assert [array.header for array in run.outputs.targets] == [header(index) for index in range(3)]
    assert run.thread.skipped == 2 and len(run.outputs.tracks) == 1
    assert run.outputs.tracks[0].frames_skipped == 2


def test_bearings_are_turned_and_absent_where_nobody_knows_how(make):
    upright = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    run = make(
        turn=lambda found, stamp: found.turned(upright, "base_link") if stamp != 1_000_000_000 else None
    )
    feed(run)
    newest = run.outputs.bearing[-1]
    assert newest.header.frame_id == "base_link" and newest.header.stamp == header(19).stamp
    assert newest.vector.x > 0.9 and run.outputs.tracks[-1].bearing_frame == "base_link"
    assert not run.outputs.tracks[0].tracks[0].has_bearing and run.outputs.tracks[1].tracks[0].has_bearing


def test_the_best_track_s_bearing_goes_out_alone(make):
    run = make()
    feed(run)
    newest = run.outputs.bearing[-1]
    assert newest.header == header(19)
    assert newest.vector == run.outputs.tracks[-1].tracks[0].bearing


def test_tracks_coast_over_frames_that_show_no_scene(make):
    run = make()
    feed(run)
    run.thread.put(answer(20, kind=FrameKind.SHUTTER))
    while run.thread.followed < 21:
        time.sleep(0.001)
    last = run.outputs.tracks[-1]
    assert last.frame_kind == TrackArray.SHUTTER
    assert [track.state for track in last.tracks] == [Track.COASTING]


@pytest.mark.parametrize("published, shown", [("confirmed", True), ("moving", True)])
def test_tentative_tracks_can_be_left_out(make, published, shown):
    run = make(published)
    feed(run)
    assert not run.outputs.tracks[0].tracks and bool(run.outputs.tracks[-1].tracks) is shown


def test_still_tracks_can_be_left_out(make):
    run = make("moving")
    feed(run, 40, x=40.0)
    assert not any(array.tracks for array in run.outputs.tracks) and len(run.outputs.tracks) == 40


def test_a_frame_that_fails_is_reported_and_the_thread_lives(make):
    run = make()
    broken = answer(0)
    object.__setattr__(broken, "mask", None)
    run.thread.put(broken)
    end = time.monotonic() + 60.0
    while not run.lines:
        assert time.monotonic() < end
        time.sleep(0.001)
    run.thread.stop()
    assert [array.header for array in run.outputs.targets] == [header(0)], "targets do not depend on tracks"


class Plain(SimpleNamespace):
    """Stands for a message of vision_msgs where it is not installed."""

    def __init__(self, **fields):
        super().__init__(**{"results": [], "detections": [], **fields})
        self.center = SimpleNamespace(position=SimpleNamespace(x=0.0, y=0.0))
        self.hypothesis = SimpleNamespace(class_id="", score=0.0)


def test_detections_carry_the_tracks_ids(make, monkeypatch):
    for name in ("BoundingBox2D", "Detection2D", "Detection2DArray", "ObjectHypothesisWithPose"):
        if not getattr(track_messages, name, None):
            monkeypatch.setattr(track_messages, name, Plain, raising=False)
    run = make(detections=Kept())
    feed(run)
    first, last = run.outputs.detections[0], run.outputs.detections[-1]
    assert first.detections[0].id == "" and last.detections[0].id == "1"
    detection = last.detections[0]
    assert detection.results[0].hypothesis.class_id == "target"
    assert (detection.bbox.center.position.x, detection.bbox.size_x) == (39.0, 3.0)


def values(**changes):
    return {parameter.name: parameter.default for parameter in TRACK_PARAMETERS} | changes


def test_parameters_become_settings():
    assert TrackSettings.from_parameters(values()) == TrackSettings("all", None, "estimate", "refuse")
    assert TrackSettings.from_parameters(values(tracks="none")).follower() is None
    assert TrackSettings.from_parameters(values(frame_monitor="none")).frame_monitor() is None
    assert region(values()) is None and region(values(crop_top=2)) is not None
    for changes, words in (
        ({"low_threshold": 1.0}, "low_threshold 1.0"),
        ({"imu_to_camera": [0.0] * 4}, "imu_to_camera"),
        ({"imu_to_camera": [1.0, 0.0, 0.0]}, "quaternion"),
        ({"motion_topic": "imu", "motion_frame": "odom"}, "one of them"),
        ({"ffc_topic": "flag", "frame_monitor": "none"}, "ffc_topic flag needs the frame monitor"),
    ):
        with pytest.raises(UsageError, match=words):
            TrackSettings.from_parameters(values(**changes))
    with pytest.raises(UsageError, match="ignore_mask nothing.png"):
        region(values(ignore_mask="nothing.png"))


def test_the_watch_empties_masks_only_where_asked():
    detection = SimpleNamespace(mask=1)
    rng = np.random.default_rng(0)
    textured = [(rng.normal(120, 30, (64, 64))).clip(0, 255).astype(np.uint8) for _ in range(4)]
    mark = FrameWatch(FrameMonitor())
    assert mark.refuse(lambda frame: detection, textured[0], header(0), 0) == (detection, None)
    assert mark.look(textured[0], header(0), 0) is FrameKind.SCENE
    assert mark.look(np.full((64, 64), 120, np.uint8), header(1), 1) is FrameKind.SHUTTER
    assert mark.counts == {"repeated": 0, "shutter": 1, "settling": 0}


def one_large_target() -> Detection:
    mask = np.full((64, 64), 255, np.uint8)
    return Detection(mask, [1], find_components(mask), np.zeros((64, 64), np.float32), 0, 0, 0, 0)


def test_the_watch_empties_masks_while_the_driver_says_that_the_shutter_is_closed():
    detection = one_large_target()
    scene = np.random.default_rng(0).normal(120, 30, (64, 64)).clip(0, 255).astype(np.uint8)
    watch = FrameWatch(FrameMonitor())
    watch.announce(True)
    emptied, kind = watch.refuse(lambda frame: detection, scene, header(0), 0)
    assert kind is FrameKind.SHUTTER and not emptied.mask.any() and not emptied.targets
    watch.announce(False)
    assert watch.refuse(lambda frame: detection, scene, header(1), 1) == (detection, None)


def test_a_correction_is_answered_with_nothing_and_a_repeated_frame_as_ever():
    detection = one_large_target()
    scene = np.random.default_rng(0).normal(7000, 60, (64, 64)).astype(np.uint16)
    watch = FrameWatch(FrameMonitor(), empties=True)
    answers = [
        watch.refuse(lambda frame: detection, frame, header(index), index)
        for index, frame in enumerate((scene, scene, scene + np.uint16(300), np.full_like(scene, 7000)))
    ]
    assert [kind.value for _, kind in answers] == ["scene", "repeated", "settling", "shutter"]
    assert [len(answer.targets) for answer, _ in answers] == [1, 1, 0, 0]
    assert [bool(answer.mask.any()) for answer, _ in answers] == [True, True, False, False]


def test_a_watch_without_a_monitor_calls_everything_a_scene():
    textured = [np.zeros((64, 64), np.uint8)]
    assert (
        FrameWatch(None).counts == {} and FrameWatch(None).look(textured[0], header(0), 0) is FrameKind.SCENE
    )
