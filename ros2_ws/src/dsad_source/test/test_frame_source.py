import re

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from processes import Source, stamps
from sensor_msgs.msg import CameraInfo, Image

from dsad_core.frame.codec import decode_message
from dsad_msgs.msg import TargetArray
from dsad_tools.scenes.generator import SceneGenerator
from dsad_tools.testing import MjpegServer


def write_images(folder, count, size=(40, 30)):
    folder.mkdir(parents=True)
    for number in range(count):
        cv2.imwrite(str(folder / f"{number}.png"), np.full(size[::-1], 10 * number, np.uint8))


def test_scenes_go_out_with_truth_and_camera_info_of_the_same_stamp(sink):
    images, infos, truths = sink.listen_to_inputs()
    with Source(
        "frame_source",
        source="synthetic",
        limit=12,
        rate=50.0,
        width=96,
        height=64,
        seed=3,
        terrain="cloud",
        encoding="mono16",
        fx=500.0,
        fy=500.0,
        cx=48.0,
        cy=32.0,
        wait_for="['listener']",
    ) as source:
        status, said = sink.spin_to_end(source)
    assert status == 0, said
    assert len(images) == 12
    assert stamps(images) == stamps(infos) == stamps(truths) == sorted(set(stamps(images)))
    assert {image.header.frame_id for image in images} == {"infrared_optical"}
    assert {(info.width, info.height, info.k[0]) for info in infos} == {(96, 64, 500.0)}
    expected = SceneGenerator(64, 96, 12, 3, "uint16", terrain="cloud", fps=50.0)
    for image, truth, sample in zip(images, truths, expected):
        assert image.encoding == "mono16" and (decode_message(image) == sample.image).all()
        assert (decode_message(truth) == sample.mask).all()


def test_a_listener_that_subscribes_piece_by_piece_misses_nothing(sink):
    heard = [sink.listen(Image, "image_raw")]
    rest = [(CameraInfo, "camera_info"), (Image, "ground_truth")]

    def subscribe_next():
        if rest and sink.node.count_publishers("image_raw"):
            heard.append(sink.listen(*rest.pop(0)))

    sink.node.create_timer(0.25, subscribe_next)
    with Source(
        "frame_source", source="synthetic", limit=3, rate=50.0, width=96, height=64, wait_for="['listener']"
    ) as source:
        status, said = sink.spin_to_end(source)
    assert (status, [len(each) for each in heard]) == (0, [3, 3, 3]), said


def test_boxes_go_out_as_targets_and_unlabelled_frames_without(sink, tmp_path):
    write_images(tmp_path / "images", 3)
    rows = ("frame,source_frame,labelled,x,y,w,h", "0,0,1,4,5,3,2", "1,1,0,,,,", "2,2,1,,,,")
    (tmp_path / "gt.csv").write_text("\n".join(rows))
    images, infos, truths = sink.listen_to_inputs(TargetArray)
    with Source("frame_source", source="dataset", path=tmp_path) as source:
        status, said = sink.spin_to_end(source)
    assert (status, len(images), len(infos)) == (0, 3, 3), said
    assert [stamp for stamp in stamps(images) if stamp in stamps(truths)] == stamps(truths)
    assert [[(t.x, t.y) for t in truth.targets] for truth in truths] == [[(5.0, 5.5)], []]
    assert set(infos[0].k) == {0.0}


def test_folder_loops_until_limit_in_lock_step_with_a_slow_detector(sink, tmp_path):
    write_images(tmp_path / "frames", 4)
    frames = sink.answer_frames(seconds=0.01)
    with Source(
        "frame_source", source="folder", path=tmp_path / "frames", loop=True, limit=30, lock_step=True
    ) as source:
        status, said = sink.spin_to_end(source)
    assert (status, len(frames)) == (0, 30), said
    assert [frame.data[0] for frame in frames] == [10 * (number % 4) for number in range(30)]
    assert re.search(r"30 frames, \d+ late, 0 unanswered", said)


def test_camera_frames_and_their_loss_show_in_diagnostics(sink):
    server = MjpegServer()
    images = sink.listen(Image, "image_raw")
    statuses = sink.listen(DiagnosticArray, "/diagnostics")
    try:
        with Source("frame_source", source="camera", device=server.url) as source:
            sink.wait(lambda: len(images) >= 10)
            assert stamps(images) == sorted(set(stamps(images)))
            server.stop()
            sink.wait(lambda: statuses and statuses[-1].status[0].level == DiagnosticStatus.ERROR)
            assert server.url in statuses[-1].status[0].message
            assert source.alive
            source.send_signal()
            assert source.result()[0] == 0
    finally:
        server.stop()
    facts = {value.key: value.value for value in statuses[-1].status[0].values}
    assert statuses[-1].status[0].name == "irst/source" and int(facts["frames published"]) >= len(images)


def test_subscriber_that_cannot_match_is_told_of(sink):
    sink.listen(Image, "image_raw")
    statuses = sink.listen(DiagnosticArray, "/diagnostics")
    with Source(
        "frame_source",
        source="synthetic",
        terrain="cloud",
        reliability="best_effort",
        wait_for_subscribers=0.0,
    ) as source:
        sink.wait(lambda: any("QoS mismatch" in status.status[0].message for status in statuses))
        source.send_signal()
        _, said = source.result()
    assert "QoS mismatch on /irst/image_raw (RELIABILITY)" in said


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"source": "camera", "device": "97"}, "camera /dev/video97: no such device (video devices here:"),
        ({"source": "camera", "lock_step": True}, "lock_step: a camera's frames cannot wait"),
        ({"source": "folder"}, "path is empty: source folder needs"),
        ({"source": "folder", "path": "/no/such/folder"}, "/no/such/folder"),
        ({"source": "radar"}, "'radar' is not one of camera, folder, video, synthetic, dataset"),
        ({"source": "synthetic", "terrain": "sea", "encoding": "yuv422"}, "encoding yuv422 is read only"),
        (
            {"source": "synthetic", "terrain": "sea", "lock_step": True, "wait_for_subscribers": 0.1},
            "lock-step: nobody subscribes to /irst/image_raw within 0.1 s; start the detector",
        ),
    ],
)
def test_what_cannot_work_is_one_line_and_status_2(ros, parameters, message):
    with Source("frame_source", **({"wait_for_subscribers": 0.1} | parameters)) as source:
        status, said = source.result()
    lines = [line for line in said.splitlines() if "FATAL" in line]
    assert status == 2 and len(lines) == 1 and message in lines[0], said
    assert "Traceback" not in said


def test_wrong_kind_of_source_names_the_right_one(ros, tmp_path):
    write_images(tmp_path / "frames", 2)
    with Source("frame_source", source="video", path=tmp_path / "frames") as source:
        status, said = source.result()
    assert status == 2 and "set source to folder" in said, said
