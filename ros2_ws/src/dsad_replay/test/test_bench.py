"""``dsad bench pipeline``: its arithmetic, and a short run of the real thing."""

import json
import subprocess
from types import SimpleNamespace

import pytest
from conftest import DSAD

from dsad_core.frame.timing import MOMENTS, STAGES
from dsad_replay.bench.timings import Block, Case, Timings

MS = 1_000_000


def answer(received, queue=1, decode=2, preprocess=3, inference=40, postprocess=5, publish=6, **counters):
    instants = {"received": received * MS}
    at = received
    for end, span in zip(MOMENTS[1:], (queue, decode, preprocess, inference, postprocess, publish)):
        at += span
        instants[end] = at * MS
    names = ("frames_received", "frames_answered", "frames_dropped", "frames_lost")
    return SimpleNamespace(**instants, **dict.fromkeys(names, 0) | counters)


def test_stages_add_up_to_the_latency_and_overhead_leaves_out_inference_and_queue():
    timings = Timings([Block(answer(0), [answer(100), answer(200, inference=80, queue=9)])])
    assert timings.stage("latency").p50 == 57 and timings.stage("latency").max == 105
    assert timings.stage("overhead").max == timings.stage("overhead").p50 == 2 + 3 + 5 + 6
    assert timings.stage("inference").max == 80


def test_rate_leaves_out_the_pauses_between_blocks():
    blocks = [Block(answer(0), [answer(start + 50 * i) for i in range(5)]) for start in (100, 9000)]
    timings = Timings(blocks, engine_ns=[40 * MS] * 10)
    assert timings.rate == pytest.approx(20.0)
    assert timings.engine_rate == pytest.approx(25.0)
    assert timings.summary()["rate_ratio"] == pytest.approx(0.8)


def test_counters_count_from_before_each_block():
    before = answer(0, frames_received=10, frames_answered=9, frames_dropped=1, frames_lost=3)
    after = answer(50, frames_received=15, frames_answered=13, frames_dropped=2, frames_lost=4)
    figures = Timings([Block(before, [after])]).summary()
    assert (figures["sent"], figures["answered"], figures["dropped"], figures["lost"]) == (6, 4, 1, 1)


def test_without_answers_there_are_no_figures():
    figures = Timings([Block(answer(0), [])]).summary()
    assert figures["rate"] is None and figures["rate_ratio"] is None and figures["milliseconds"] == {}


def test_a_case_names_itself():
    assert Case(640, 512, "mono16", 25.0).title == "640x512 mono16, 25 Hz"
    assert Case(256, 256, "mono8", None).title == "256x256 mono8, free-running"


def bench(*options, what="pipeline"):
    command = [*DSAD, "bench", what, "--engine", "local-contrast", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_a_short_run_measures_every_case(tmp_path):
    result = bench("--sizes", "64x48:mono16", "--rates", "50", "--frames", "20", "--output", str(tmp_path))
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "pipeline.json").read_text())
    free, paced = report["cases"]
    assert report["sha256"] and report["machine"]["cores"] >= 1 and "thread" in report["runtime"]
    # How fast, and how many of them, is the machine's.
    assert free["answered"] >= 20 and free["engine_rate"] > 0 and free["rate"] > 0
    assert paced["sent"] >= paced["answered"] > 0 and paced["engine_rate"] is None
    assert (free["requested_rate"], paced["requested_rate"]) == (None, 50.0)
    for case in report["cases"]:
        spans = case["milliseconds"]
        assert 0 < spans["inference"]["p50"] <= spans["latency"]["max"]
        assert set(spans) == {*STAGES, "overhead", "latency"}
    assert (tmp_path / "pipeline.png").read_bytes().startswith(b"\x89PNG")
    assert "64x48 mono16, 50 Hz" in result.stdout


def test_the_mask_s_latency_is_told_with_tracks_and_without():
    result = bench("--rate", "20", "--frames", "10", "--turns", "1", what="tracking")
    assert result.returncode == 0, result.stderr
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()[:3]}
    for tracks in ("all", "none"):
        answers, p50, p95, p99 = map(float, rows[tracks])
        assert answers > 0 and 0 < p50 <= p95 <= p99
    added = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()[4 : 5 + len(STAGES)]}
    assert list(added) == ["mask", *STAGES]
    for middle, low, high in added.values():
        assert float(low) <= float(middle) <= float(high)


@pytest.mark.parametrize("options", [("--sizes", "64:mono8"), ("--rates", "0"), ("--engine", "nobody")])
def test_bad_options_are_one_line_and_status_2(options):
    result = bench(*options)
    assert result.returncode == 2 and len(result.stderr.splitlines()) == 1 and options[1] in result.stderr
