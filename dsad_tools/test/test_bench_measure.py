"""Turns, ratios and agreement, on engines whose answers and speeds are known."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from dsad_core.engines.locate import find_engine
from dsad_core.errors import EngineError, PlatformError
from dsad_tools.bench import measure
from dsad_tools.bench.measure import FRAMES, Block, Case, quartiles, ratio_quartiles, ratios, scenes
from dsad_tools.bench.models import Model
from dsad_tools.bench.report import results, speedups
from dsad_tools.bench.runtimes import Runtime

MODEL = Model(find_engine("local-contrast"))


class Slow:
    """Answers with the frame itself plus ``offset``, after ``seconds``."""

    description = "slow, 1 thread"

    def __init__(self, log, name, seconds=0.0, offset=0.0, fails_at=None):
        self.manifest = MODEL.manifest
        self.log, self.name, self.seconds, self.offset, self.fails_at = log, name, seconds, offset, fails_at
        self.calls, self.closed = 0, False

    def infer(self, tensor):
        self.calls += 1
        self.log.append(self.name)
        if self.fails_at == self.calls:
            raise EngineError("out of memory")
        time.sleep(self.seconds)
        return tensor[0, 0] + np.float32(self.offset)

    def close(self):
        self.closed = True


def block(*engines, model=MODEL):
    def opener(engine):
        def open_engine(*_):
            if isinstance(engine, Exception):
                raise engine
            return engine

        return open_engine

    ways = [Runtime(f"way {number}", False, opener(engine)) for number, engine in enumerate(engines)]
    return Block("cpu", (32, 40), 1, [Case(model, way, model.manifest) for way in ways])


def test_each_turn_times_a_call_once_settled_and_begins_with_another(monkeypatch):
    monkeypatch.setattr(measure, "SETTLE_NS", 1)  # the second call begins later than that
    log = []
    engines = [Slow(log, "a"), Slow(log, "b")]
    told = []
    turns = block(*engines)
    turns.measure(3, told.append)
    assert "".join(log) == "a" * FRAMES + "b" * FRAMES + "aabb" + "bbaa" + "aabb"
    assert len(told) == 2 + 3 and all(len(case.durations) == 3 for case in turns.cases)
    assert all(engine.closed for engine in engines)


def test_ratio_is_against_the_first_that_runs():
    turns = block(PlatformError("not here"), Slow([], "a", 0.02), Slow([], "b", 0.01))
    turns.measure(3, lambda _: None)
    absent, first, second = results(turns)
    assert absent["reason"] == "not here" and "ratio" not in absent
    assert first["baseline"] and first["ratio"] == 1.0
    assert not second["baseline"] and 1.5 < second["ratio"] < 2.5


def test_median_of_the_ratios_turn_by_turn():
    assert ratios([10, 40, 90], [10, 20, 30]) == 2.0
    assert ratios([10, 40], [10, 20, 30]) == pytest.approx(1.5)  # interrupted amid the third turn


def test_quartiles_are_values_around_the_median():
    assert quartiles([4.0]) == (4.0, 4.0) and quartiles([4.0, 2.0]) == (2.0, 4.0)
    assert quartiles([8.0, 1.0, 5.0, 3.0]) == (1.0, 5.0)
    assert ratio_quartiles([10, 40, 90, 80], [10, 20, 30, 20]) == (1.0, 3.0)


def test_masks_and_logits_are_compared_with_the_baselines():
    turns = block(Slow([], "a"), Slow([], "b", offset=0.5))
    turns.measure(1, lambda _: None)
    same, shifted = (case.agreement for case in turns.cases)
    assert same.differing == 0 and same.largest_logit_difference == 0
    assert shifted.largest_logit_difference == pytest.approx(0.5, rel=1e-5)
    tensors = np.stack(list(scenes(MODEL.manifest, 32, 40)))
    threshold = MODEL.manifest.threshold
    level = np.log(threshold / (1 - threshold))
    assert shifted.differing == np.count_nonzero((tensors > level) != (tensors + np.float32(0.5) > level))
    assert shifted.pixels == tensors.size == FRAMES * 32 * 40


@pytest.mark.parametrize("call", [2, FRAMES + 3])
def test_one_that_fails_midway_is_closed_and_says_why(call):
    broken = Slow([], "a", fails_at=call)
    turns = block(broken, Slow([], "b"))
    turns.measure(3, lambda _: None)
    failed, other = results(turns)
    assert failed["reason"] == "out of memory" and broken.closed
    assert other["baseline"] and other["milliseconds"]["frames"] == 3


def test_interrupting_closes_everything():
    engines = [Slow([], "a"), Slow([], "b")]

    def interrupt(what):
        if what.startswith("turn 2"):
            raise KeyboardInterrupt

    turns = block(*engines)
    with pytest.raises(KeyboardInterrupt):
        turns.measure(5, interrupt)
    assert all(engine.closed for engine in engines)
    assert [entry["milliseconds"]["frames"] for entry in results(turns)] == [1, 1]


def test_frames_are_normalised_and_padded():
    manifest = MODEL.manifest.model_copy(update={"size_multiple": 16})
    frames = list(scenes(manifest, 40, 50))
    assert len(frames) == FRAMES
    for frame in frames:
        assert frame.shape == (1, 1, 48, 64) and frame.dtype == np.float32 and frame.flags.c_contiguous
        np.testing.assert_array_equal(frame[0, 0, 40:], frame[0, 0, 38:30:-1])


def test_the_student_is_set_against_its_teacher():
    def case(width, durations):
        manifest = MODEL.manifest.model_copy(update={"name": f"net-num{width}", "width": width})
        model = Model(MODEL.engine, note=str(width))
        return Case(model, SimpleNamespace(name="way", ours=True), manifest, durations=durations)

    pair = Block("cpu", (256, 256), 2, [case(4, [10, 20, 30]), case(16, [40, 60, 60])])
    (found,) = speedups(pair)
    assert found["teacher"] == "net-num16" and found["student"] == "net-num4" and found["widths"] == [16, 4]
    assert found["speedup"] == 3.0 and found["milliseconds"] == [60e-6, 20e-6]


def test_what_starts_in_turn_but_not_alone_keeps_its_figures():
    """These engines live in this process alone, so the other one knows none of their names."""
    turns = block(Slow([], "a"))
    turns.measure(1, lambda _: None)
    turns.measure_cold(lambda _: None)
    (entry,) = results(turns)
    assert entry["cold_start"] is None and entry["cold_failure"]
    assert entry["milliseconds"]["frames"] == 1
