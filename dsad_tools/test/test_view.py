"""What the viewer is told of each frame, and the recording that Rerun makes of it."""

import collections
import socket
import sys

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from dsad_core.detector import Detector
from dsad_core.engines.load import load_engine
from dsad_core.errors import DataError, UsageError
from dsad_core.tracking import Follower
from dsad_tools.cli.view import register
from dsad_tools.data.camera import is_camera
from dsad_tools.data.open import open_source
from dsad_tools.follow import follow
from dsad_tools.testing import MjpegServer

FRAMES = 12


@pytest.fixture
def folder(tmp_path):
    """A bright spot that moves over a dark sky, with its boxes."""
    sequence = tmp_path / "spot"
    (sequence / "images").mkdir(parents=True)
    rows = ["frame,source_frame,labelled,x,y,w,h"]
    y, x = np.mgrid[:96, :128]
    for number in range(FRAMES):
        left, top = 20 + 3 * number, 40 + number
        spot = 40 + 180 * np.exp(-((x - left) ** 2 + (y - top) ** 2) / 4)
        cv2.imwrite(str(sequence / f"images/{number:04}.png"), spot.astype(np.uint8))
        rows.append(f"{number},{number},1,{left - 2},{top - 2},5,5")
    (sequence / "gt.csv").write_text("\n".join(rows))
    return sequence


def run(*arguments):
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return CliRunner().invoke(app, ["view", *map(str, arguments)])


def test_frames_come_with_their_answers_tracks_and_times(folder):
    engine = load_engine("local-contrast")
    views = list(follow(open_source(folder), Detector(engine), Follower(), limit=FRAMES - 2))
    engine.close()
    assert len(views) == FRAMES - 2
    assert all(view.sample.image.shape == view.detection.mask.shape == (96, 128) for view in views)
    assert all(len(view.sample.boxes) == 1 for view in views)
    assert (np.diff([view.stamp_ns for view in views]) > 0).all()
    assert all(view.track_ns > 0 for view in views)
    (track,) = [track for track in views[-1].tracks if track.confirmed]
    left, top = 20 + 3 * (FRAMES - 3), 40 + FRAMES - 3
    assert np.hypot(track.x - left, track.y - top) < 2


def test_a_recording_holds_every_frame_its_mask_tracks_and_latency(folder, tmp_path):
    pytest.importorskip("rerun", reason="Rerun is not installed")
    from rerun.chunk import RrdReader

    out = tmp_path / "out.rrd"
    result = run(folder, "--engine", "local-contrast", "--out", out)
    assert result.exit_code == 0 and f"{FRAMES} frames in {out}" in result.output
    rows = collections.Counter()
    for chunk in RrdReader(out).stream():
        rows[chunk.entity_path] += chunk.num_rows
    for entity in ("/frame/image", "/frame/mask", "/frame/tracks", "/frame/truth", "/latency/detector"):
        assert rows[entity] == FRAMES, entity


def test_a_camera_is_shown_like_a_file(tmp_path):
    pytest.importorskip("rerun", reason="Rerun is not installed")
    from rerun.chunk import RrdReader

    server, out = MjpegServer(), tmp_path / "out.rrd"
    try:
        result = run(server.url, "--engine", "local-contrast", "--out", out, "--limit", 5)
    finally:
        server.stop()
    assert result.exit_code == 0 and "5 frames" in result.output, result.output
    rows = collections.Counter()
    for chunk in RrdReader(out).stream():
        rows[chunk.entity_path] += chunk.num_rows
    assert rows["/frame/image"] == rows["/frame/mask"] == 5


def test_a_camera_that_is_not_there_is_one_line(tmp_path):
    result = run("/dev/video97", "--out", tmp_path / "out.rrd")
    assert isinstance(result.exception, DataError) and "no such device" in str(result.exception)


def test_what_is_a_camera_and_what_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for camera in ("0", "/dev/video0", "rtsp://user:secret@10.0.0.9/ir", "videotestsrc ! appsink"):
        assert is_camera(camera)
    (tmp_path / "7").mkdir()
    for file in ("7", "bag7", "clips/sky.mp4", "/data/NUDT-SIRST"):
        assert not is_camera(file)


def test_a_file_that_cannot_be_written_and_a_port_that_is_taken_are_one_line(folder, tmp_path):
    pytest.importorskip("rerun", reason="Rerun is not installed")
    result = run(folder, "--engine", "local-contrast", "--out", tmp_path / "none" / "out.rrd")
    assert isinstance(result.exception, UsageError) and "out.rrd: cannot be written" in str(result.exception)
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        result = run(folder, "--engine", "local-contrast", "--page", "--port", port)
    assert isinstance(result.exception, UsageError) and "--port" in str(result.exception)


def test_without_rerun_the_way_out_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)
    result = run(folder, "--engine", "local-contrast")
    assert result.exit_code != 0 and "pip install" in str(result.exception)


def test_a_missing_source_is_one_line(tmp_path):
    result = run(tmp_path / "none", "--out", tmp_path / "out.rrd")
    assert result.exit_code != 0 and "no such file" in str(result.exception)
