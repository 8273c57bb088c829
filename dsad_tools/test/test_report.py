"""The report: complete, self-contained, and right for every kind of run."""

import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from dsad_core.frame.timing import STAGES, TOTAL
from dsad_core.metrics import DetectionAccumulator
from dsad_core.metrics.counts import FrameCounts
from dsad_core.metrics.latency import LatencyStats
from dsad_tools.metrics.film import Film
from dsad_tools.metrics.frame_picture import FramePicture
from dsad_tools.metrics.record import FrameRecord, RunFacts, RunRecord
from dsad_tools.report import build_report
from dsad_tools.report.figures import latency_histogram, latency_time_line
from dsad_tools.report.frames import view_frame
from dsad_tools.report.outline import outline_path

VOID = {"meta", "br", "img", "input", "hr", "link"}


class Balance(HTMLParser):
    """Checks that every element is closed where it should be, and collects text and outside references."""

    def __init__(self, page):
        super().__init__()
        self.open, self.text, self.references, self.ids = [], "", [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        self.references += [value for name, value in attributes if name in ("src", "href", "xlink:href")]
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_data(self, data):
        self.text += data


def square(*corners, shape=(40, 60)):
    mask = np.zeros(shape, np.uint8)
    for x, y in corners:
        mask[y : y + 3, x : x + 3] = 255
    return mask


def run_record(frames=20, missed=(), pictures=(), accumulator=None, stage_ns=1_000_000, **facts) -> RunRecord:
    latency = {stage: LatencyStats() for stage in (*STAGES, TOTAL)}
    records = []
    for n in range(frames):
        stages = {} if n in missed else dict.fromkeys(STAGES, stage_ns + n)
        for stage, duration in stages.items():
            latency[stage].add(duration)
        if stages:
            latency[TOTAL].add(sum(stages.values()))
        records.append(FrameRecord(f"{n}", 10**18 + n * 40_000_000, n not in missed, None, stages))
    return RunRecord(
        title="num4 on <scenes>",
        facts=RunFacts(engine="num4", **facts),
        result=(accumulator or DetectionAccumulator()).result(),
        counters={"frames": frames, "frames_missed": len(missed)},
        frame_rate=25.0 if frames else None,
        latency={stage: stats.result() for stage, stats in latency.items() if stats.result()},
        latencies_ms=latency[TOTAL].durations_ms(),
        frames=records,
        pictures=list(pictures),
        notes=["a <note>"],
    )


def page_of(tmp_path, run) -> tuple[str, Balance]:
    page = build_report(tmp_path, run).read_text()
    return page, Balance(page)


def test_a_full_run(tmp_path):
    accumulator = DetectionAccumulator()
    accumulator.add(FrameCounts(1234, 1000, 1100, 100, 250, 600, 800, 1_000_000))
    truth, predicted = square((4, 4), (30, 20)), square((5, 4), (50, 30))
    pictures = [FramePicture(f"frame {n}", truth // 2, predicted, truth) for n in range(3)]
    run = run_record(
        30,
        missed=(3, 7),
        pictures=pictures,
        accumulator=accumulator,
        threshold=0.5,
        split="test",
        split_hash="abc123",
        machine={"cpu": "A & B", "cores": 2},
    )
    page, parsed = page_of(tmp_path, run)
    assert "num4 on <scenes>" in parsed.text and "a <note>" in parsed.text and "A & B, 2 cores" in parsed.text
    for figure in ("0.8104", "25.0000", "0.7500", "test (abc123)", "2 missed", "6.000"):
        assert figure in parsed.text, figure
    assert page.count("data:image/png;base64") == 3
    # Nothing to be fetched: every reference is inside the page.
    assert all(reference.startswith(("#", "data:image/png;base64,")) for reference in parsed.references)
    assert len(parsed.ids) == len(set(parsed.ids))

    saved = json.loads((tmp_path / "metrics.json").read_text())
    assert saved["metrics"]["hits"] == 1000 and saved["metrics"]["fa"] == 250e-6
    assert saved["run"]["split_hash"] == "abc123"
    assert len(saved["frames"]) == 30 and not saved["frames"][3]["answered"]


def test_a_run_without_scored_frames_says_so(tmp_path):
    _, parsed = page_of(tmp_path, run_record(5))
    assert "No frame was scored" in parsed.text


def test_a_run_without_any_frame(tmp_path):
    _, parsed = page_of(tmp_path, run_record(0))
    assert "No timing arrived" in parsed.text
    assert json.loads((tmp_path / "metrics.json").read_text())["metrics"]["pd"] is None


def test_boxes_have_no_iou(tmp_path):
    accumulator = DetectionAccumulator("box")
    picture = FramePicture("boxed", square() + 9, square((5, 4)), boxes=np.array([[3, 3, 6, 6]]))
    accumulator.update(picture.predicted, boxes=picture.boxes)
    _, parsed = page_of(tmp_path, run_record(pictures=[picture], accumulator=accumulator))
    assert "truth is boxes" in parsed.text and "1 target, 1 found" in parsed.text


def test_a_new_report_takes_the_place_of_the_old_one(tmp_path):
    build_report(tmp_path, run_record(3))
    build_report(tmp_path, run_record(9))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.json", "report.html"]
    assert len(json.loads((tmp_path / "metrics.json").read_text())["frames"]) == 9


def test_view_marks_what_was_missed_and_what_is_false():
    truth, predicted = square((4, 4), (30, 20)), square((5, 4), (50, 30))
    view = view_frame(FramePicture("f", truth, predicted, truth))
    assert [(mark.kind, mark.x, mark.y) for mark in view.truth_marks] == [("truth", 4, 4), ("missed", 30, 20)]
    assert [mark.kind for mark in view.predicted_marks] == ["hit", "false", "missed"]
    assert view.caption == "2 targets, 1 found, 1 missed, 1 false alarm"
    assert {zoom.kind for zoom in view.zooms} == {"missed", "false", "truth"}
    for zoom in view.zooms:
        assert 0 <= zoom.x <= 60 - zoom.width and 0 <= zoom.y <= 40 - zoom.height


def test_view_of_an_unlabelled_frame_and_of_pure_noise():
    noise = np.random.default_rng(0).random((256, 256)) > 0.8
    view = view_frame(FramePicture("f", noise.astype(np.float32), noise.astype(np.uint8)))
    assert "no ground truth" in view.caption
    assert len(view.predicted_marks) < 100 and view.predicted_path == ""


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_flat_frames_are_drawn(dtype):
    assert view_frame(FramePicture("f", np.full((20, 20), 7, dtype), np.zeros((20, 20), np.uint8))).png


@given(arrays(np.bool_, (6, 7)))
def test_outline_has_an_edge_for_each_border_of_a_pixel(mask):
    length = sum(
        int(stroke.split("h" if "h" in stroke else "v")[1]) for stroke in outline_path(mask).split("M")[1:]
    )
    padded = np.pad(mask, 1).astype(int)
    assert length == np.abs(np.diff(padded, axis=0)).sum() + np.abs(np.diff(padded, axis=1)).sum()


def test_figures_are_svg_with_their_own_ids():
    frames = [FrameRecord(str(n), 10**18 + n, True, None, {"inference": 10**6 + n}) for n in range(3000)]
    histogram = latency_histogram(np.array([frame.latency_ns / 1e6 for frame in frames]))
    time_line = latency_time_line(frames)
    ids = []
    for svg in (histogram, time_line):
        ids += [element.get("id") for element in ElementTree.fromstring(svg).iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert len(time_line) < 200_000
    assert latency_histogram(np.empty(0)) == "" and latency_time_line([]) == ""


def film(frames, most=120) -> list:
    collected = Film(most)
    for number in range(frames):
        truth = square((number % 30 + 4, 4), (30, 20))
        picture = FramePicture(f"</script> {number}", truth // 2, square((30, 20), (50, 30)), truth)
        collected.offer(number, lambda: picture)
    return collected.result()


def test_a_film_is_spread_over_a_run_of_any_length():
    assert [frame.number for frame in film(7, most=8)] == list(range(7))
    numbers = [frame.number for frame in film(100, most=8)]
    assert 4 <= len(numbers) <= 8 and len(set(np.diff(numbers))) == 1 and numbers[-1] >= 80
    assert film(5, most=0) == []
    kinds = [mark.kind for mark in film(1)[0].marks]
    # What went wrong comes first.
    assert kinds == ["missed", "false", "truth", "hit"]
    assert cv2.imdecode(np.frombuffer(film(1)[0].jpeg, np.uint8), cv2.IMREAD_UNCHANGED).shape == (40, 60)


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_runs_in_a_browser(tmp_path, width):
    # Latencies of a loaded machine: they are wider than those of one at rest.
    picture = FramePicture("f", square((4, 4)), square((5, 4)), square((4, 4)))
    run = run_record(pictures=[picture], stage_ns=12_345_678_901)
    path = build_report(tmp_path, replace(run, film=film(6)))
    # What a reader would do, and then what the page says, left where the dumped page shows it.
    steps = """<script>
      const key = name => document.body.dispatchEvent(new KeyboardEvent("keydown", {key: name, bubbles: true}));
      key("ArrowRight"); key("ArrowRight"); key("t");
      const root = document.documentElement;
      root.dataset.seen = [
        document.getElementById("player-title").textContent,
        [...document.querySelectorAll("#player-marks rect")].map(mark => mark.getAttribute("class")).sort(),
        root.scrollWidth <= root.clientWidth,
        [...document.querySelectorAll("#gallery-crops span")].map(label => label.textContent).slice(0, 3),
        document.getElementById("gallery-note").textContent,
        (document.querySelectorAll("#gallery-crops button")[8].click(), document.getElementById("player-at").value),
      ].join("|");
    </script></html>"""
    path.write_text(path.read_text().replace("</html>", steps))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    command += [
        f"--window-size={width},900",
        f"--user-data-dir={tmp_path}/browser",
        "--dump-dom",
        f"file://{path}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "CONSOLE" not in done.stderr
    seen = re.search('data-seen="([^"]*)"', done.stdout).group(1)
    title = "&lt;/script&gt; 2 (frame 3): 1 answers, 1 missed, 1 false"
    crops = "missed, frame 1,false alarm, frame 1,missed, frame 2"
    note = "6 missed targets and 6 false alarms in the player's frames. A crop leads to its frame."
    assert seen == f"{title}|mark false,mark hit|true|{crops}|{note}|4"
