"""The metrics node in a process of its own, fed over DDS with frames whose figures are known."""

import json
import math
import signal

import numpy as np
import pytest
from metrics_harness import SECOND, START, blob
from rclpy.node import NodeNameNonExistentError
from sensor_msgs.msg import CameraInfo
from std_srvs.srv import Trigger

from dsad_common.qos import best_effort
from dsad_common.stamps import to_stamp
from dsad_core.metrics import DetectionAccumulator
from dsad_msgs.msg import EngineInfo, FrameCounters

FRAME = SECOND // 25


def send(client, stamp: int, truth: np.ndarray, predicted: np.ndarray, published_ms: int) -> None:
    client.announce(stamp)
    client.send_image(client.truth, stamp, truth)
    client.send_image(client.image, stamp, truth // 2)
    client.answer(stamp, predicted, published_ms)


def hold_an_image(client) -> None:
    """Frames are best effort: publish one until the node has matched us and takes it."""

    def held():
        client.send_image(client.image, START - SECOND, blob(1, 1))
        return client.fact_of("metrics", "images_held") not in ("", "0")

    client.wait(held, "an image in the node")


def test_figures_equal_offline_counting_and_files_follow_sigint(start, client, tmp_path):
    out = tmp_path / "out"
    process = start("metrics", output_dir=out, publish_rate=20.0, report_frames=4, source="made up")
    client.wait_for_listener(client.image, client.camera_info, client.truth, client.mask, client.timing)
    hold_an_image(client)
    generator = np.random.default_rng(1)
    offline = DetectionAccumulator("nearest")
    for n in range(30):
        truth, predicted = (generator.random((2, 48, 64)) > 0.985).astype(np.uint8) * 255
        offline.update(predicted, truth)
        send(client, START + n * FRAME, truth, predicted, published_ms=1000 + 20 * n)
    # Announced, but never answered.
    client.announce(START + 30 * FRAME)
    client.engine.publish(EngineInfo(name="tiny", sha256="ab" * 32, platform="cpu", threshold=0.5))

    def complete(metrics):
        return metrics.total.frames == 30 and metrics.total.frames_missed == 1 and metrics.engine

    total = client.wait_for(complete, "30 scored frames and 1 missed").total
    expected = offline.result()
    for name in ("frames", "targets", "hits", "predictions", "false_targets", "false_pixels", "pixels"):
        assert getattr(total, name) == getattr(expected, name), name
    assert (total.intersection_pixels, total.union_pixels) == (expected.intersection, expected.union)
    assert (total.pd, total.fa, total.iou) == (expected.pd, expected.fa, expected.iou)
    assert total.niou == pytest.approx(expected.niou)
    assert total.frame_rate == pytest.approx(50.0)
    assert total.latency_p50 == total.latency_max == 12.0
    metrics = client.metrics
    assert (metrics.engine, metrics.threshold, metrics.matching) == ("tiny", 0.5, "nearest")
    assert metrics.header.frame_id == "infrared"

    assert process.interrupt() == 0
    saved = json.loads((out / "metrics.json").read_text())
    assert saved["metrics"] == expected.to_dict() | {"niou": pytest.approx(expected.niou)}
    assert saved["run"]["engine_sha256"] == "ab" * 32
    assert saved["counters"]["frames_missed"] == 1
    page = (out / "report.html").read_text()
    assert "tiny on made up" in page
    assert page.count("data:image/png") >= 1
    assert sorted(path.name for path in out.iterdir()) == ["metrics.json", "report.html"]
    assert "Traceback" not in process.log()


def test_what_is_in_the_queues_at_sigint_is_counted(start, client, tmp_path):
    out = tmp_path / "out"
    process = start("metrics", output_dir=out, report_frames=0, publish_rate=20.0)
    client.wait_for_listener()
    hit = blob(10, 10, shape=(256, 256))
    send(client, START, hit, hit, published_ms=999)
    client.wait_for(lambda m: m.total.frames == 1, "the first frame")
    for n in range(1, 60):
        send(client, START + n * FRAME, hit, hit, published_ms=1000 + n)
    assert process.interrupt() == 0
    saved = json.loads((out / "metrics.json").read_text())
    assert (saved["metrics"]["frames"], saved["counters"]["frames_missed"]) == (60, 0)


def test_window_reset_and_save(start, client, tmp_path):
    out = tmp_path / "out"
    process = start("metrics", publish_rate=20.0, window=5, report_frames=0)
    client.wait_for_listener()
    hit, empty = blob(10, 10), np.zeros((32, 40), np.uint8)
    for n in range(8):
        send(client, START + n * FRAME, hit, hit if n < 4 else empty, published_ms=1000 + 40 * n)
    metrics = client.wait_for(lambda m: m.total.frames == 8, "8 frames")
    assert (metrics.total.pd, metrics.window.pd) == (0.5, 0.2)
    assert (metrics.window.frames, metrics.window.targets, metrics.window.hits) == (5, 5, 1)
    assert metrics.window.frame_rate == pytest.approx(25.0)

    refused = client.call(Trigger, "metrics/save")
    assert not refused.success and "output_dir" in refused.message
    assert client.call(Trigger, "metrics/reset").success
    metrics = client.wait_for(lambda m: m.total.frames == 0, "figures after the reset")
    assert metrics.total.targets == 0 and math.isnan(metrics.total.pd) and math.isnan(metrics.window.iou)
    send(client, START + 8 * FRAME, hit, hit, published_ms=2000)
    assert client.wait_for(lambda m: m.total.frames == 1, "a frame of the new run").total.pd == 1.0
    assert process.interrupt(signal.SIGTERM) == 0
    assert not out.exists()


def test_save_writes_while_running(start, client, tmp_path):
    out = tmp_path / "out"
    start("metrics", output_dir=out, report_frames=0)
    client.wait_for_listener()
    answer = client.call(Trigger, "metrics/save")
    assert answer.success and answer.message == str(out / "report.html")
    assert json.loads((out / "metrics.json").read_text())["metrics"]["pd"] is None
    assert "No frame was scored" in (out / "report.html").read_text()


def test_boxes_are_scored_by_box(start, client):
    start("metrics", publish_rate=20.0, report_frames=0)
    client.wait_for_listener()
    client.send_boxes(START, [(8, 8, 6, 6), (25, 20, 4, 4)], 32, 40)
    client.answer(START, blob(10, 10), published_ms=1000)
    metrics = client.wait_for(lambda m: m.total.frames == 1, "the frame")
    assert (metrics.matching, metrics.total.targets, metrics.total.hits) == ("box", 2, 1)
    assert math.isnan(metrics.total.iou)


def test_tracks_are_scored_live_and_in_the_files(start, client, tmp_path):
    process = start("metrics", publish_rate=20.0, report_frames=0, output_dir=tmp_path)
    client.wait_for_listener()
    for n in range(10):
        stamp = START + n * FRAME
        client.send_boxes(stamp, [(8 + n, 8, 6, 6), (25, 20, 4, 4)], 32, 40, first_id=3)
        client.answer(stamp, blob(10, 10), published_ms=1000 + n, tracks_follow=True)
        if n != 4:  # the tracker was busy
            client.send_tracks(stamp, {1 if n < 7 else 9: (10.0 + n, 10.0), 2: (3.0, 28.0)}, 32, 40)
    tracks = client.wait_for(lambda m: m.tracks.frames == 9, "the tracks").tracks
    assert (tracks.frames_without_tracks, tracks.points, tracks.covered, tracks.false_points) == (1, 18, 9, 9)
    assert (tracks.tracks, tracks.false_tracks, tracks.false_moving_tracks) == (3, 1, 1)
    assert (tracks.switches, tracks.targets, tracks.never) == (1, 2, 1)
    assert tracks.coverage == 0.5 and math.isnan(tracks.median_confirm_s)
    assert tracks.false_a_minute == pytest.approx(60 / (9 * FRAME / SECOND))
    assert process.interrupt() == 0
    saved = json.loads((tmp_path / "metrics.json").read_text())
    assert saved["tracks"]["tracks"]["covered"] == 9 and saved["counters"]["frames_without_tracks"] == 1
    assert 'href="tracks.html"' in (tmp_path / "report.html").read_text()
    assert "track 9" in (tmp_path / "tracks.html").read_text()


def test_bad_truth_is_counted_and_the_node_lives(start, client):
    process = start("metrics", publish_rate=20.0, report_frames=0)
    client.wait_for_listener()
    good = blob(10, 10)
    client.send_image(client.truth, START, blob(10, 10, shape=(32, 44)))
    client.answer(START, good, published_ms=1000)
    client.send_image(client.truth, START + FRAME, good.astype(np.uint16), "mono16")
    client.answer(START + FRAME, good, published_ms=1040)
    client.send_image(client.truth, START + 2 * FRAME, good)
    client.answer(START + 2 * FRAME, good, published_ms=1080)
    metrics = client.wait_for(lambda m: m.total.frames == 1 and m.total.frames_unlabelled == 2, "3 frames")
    assert metrics.total.hits == 1

    client.wait(
        lambda: client.fact_of("metrics", "truth_refused") == "2", "diagnostics that count the refused truth"
    )
    assert process.interrupt() == 0
    assert "mono16" in process.log() or "44x32" in process.log()


def test_frames_without_truth_and_looping_stamps(start, client):
    start("metrics", publish_rate=20.0, report_frames=0, join_timeout=0.5)
    client.wait_for_listener()
    client.node.destroy_publisher(client.truth)
    client.node.destroy_publisher(client.boxes)
    for n in range(3):
        client.answer(START + n * FRAME, blob(3, 3), published_ms=1000 + 40 * n)
    client.wait_for(lambda m: m.window.frames_unlabelled == 3, "3 unlabelled frames")
    # The bag begins again.
    client.answer(START, blob(3, 3), published_ms=1200)
    metrics = client.wait_for(lambda m: m.total.frames_unlabelled == 4, "the first frame again")
    assert metrics.window.frames_unlabelled == 1
    assert metrics.total.frames_missed == 0
    assert metrics.total.latency_max == 12.0


def test_a_refused_parameter_is_one_line(start):
    process = start("metrics", matching="best")
    assert process.wait() == 2
    assert "'best' is not one of nearest, dnanet, box" in process.log()
    assert "Traceback" not in process.log()


def test_frames_that_were_lost_are_lost_though_no_answer_follows(start, client):
    """One frame of 150 is answered, then nothing: the timing said "0 lost", the counters know better."""
    start("metrics", publish_rate=20.0, report_frames=0)
    client.wait_for_listener()
    client.answer(START, blob(4, 4), published_ms=100, activated=7, frames_lost=0)
    client.counters.publish(FrameCounters(activated=7, frames_received=1, frames_answered=1, frames_lost=149))
    client.wait_for(lambda metrics: metrics.frames_lost == 149, "149 lost frames")


def test_a_best_effort_driver_announces_frames_like_any_other(start, client):
    start("metrics", publish_rate=20.0, report_frames=0, join_timeout=0.2)
    camera = client.node.create_publisher(CameraInfo, "camera_info", best_effort(10))
    client.wait_for_listener(camera, client.mask, client.timing)
    client.wait_for(lambda metrics: metrics.total.frames_missed == 0, "the first figures")
    stamps = iter(range(START, START + 1000 * FRAME, FRAME))

    def missed():
        info = CameraInfo()
        info.header.stamp = to_stamp(next(stamps))
        camera.publish(info)
        return client.metrics.total.frames_missed > 0

    client.wait(missed, "a frame that was announced and never answered")
    client.wait(lambda: "metrics" in client.statuses, "a status")
    assert "QoS mismatch" not in client.statuses["metrics"].message


def test_images_are_taken_only_while_there_is_a_report_to_show_them_in(start, client, tmp_path):
    start("metrics", publish_rate=20.0)
    client.wait_for_listener()
    client.wait_for(lambda metrics: True, "the first figures")

    def subscribed() -> list[str]:
        # Topics are discovered before the node that they belong to.
        try:
            found = client.node.get_subscriber_names_and_types_by_node("metrics", client.namespace)
        except NodeNameNonExistentError:
            return []
        return [name for name, _ in found]

    client.wait(lambda: f"{client.namespace}/mask" in subscribed(), "the node in the graph")
    assert f"{client.namespace}/image_raw" not in subscribed()
    client.set_parameter("metrics", "output_dir", str(tmp_path / "out"))
    hold_an_image(client)
    client.set_parameter("metrics", "output_dir", "")
    client.wait(lambda: not client.image.get_subscription_count(), "the end of the subscription")
