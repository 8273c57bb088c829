"""One pass with several engines: what is drawn, what ranks worst, what is refused."""

import numpy as np
import pytest

from dsad_core.errors import DataError, UsageError
from dsad_tools.analysis import analyse
from dsad_tools.analysis.failures import ranking
from dsad_tools.analysis.grid import INSET, focus, free_corner, window_around
from dsad_tools.analysis.marks import find_marks, find_offsets
from dsad_tools.analysis.study import COLUMNS, View
from dsad_tools.data.sample import Sample
from dsad_tools.scenes.generator import SceneGenerator


class Listed:
    name, kind, split_hash, fps, notes = "listed", "images", "", None, []

    def __init__(self, *samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __iter__(self):
        return iter(self.samples)


def mask_of(*boxes, shape=(64, 80)):
    mask = np.zeros(shape, np.uint8)
    for left, top, width, height in boxes:
        mask[top : top + height, left : left + width] = 255
    return mask


def scene(name, spots, mask):
    image = np.full(mask.shape, 40, np.uint8)
    for x, y in spots:
        image[y - 1 : y + 2, x - 1 : x + 2] = 220
    return Sample(name, image, mask)


@pytest.fixture(scope="module")
def study(engine):
    return analyse({"one": engine, "two": engine}, SceneGenerator(96, 128, frames=14, seed=3), progress=False)


def test_engines_that_are_equal_come_out_equal(study):
    one, two = study.engines
    assert one.points == two.points and one.ranking == two.ranking
    assert one.own.threshold == one.engine.manifest.threshold == 0.5
    assert one.own.result.frames == study.frames == 14
    assert one.best.result.iou == max(point.result.iou for point in one.points)
    for key in ("hits", "union", "false_pixels"):
        assert sum(getattr(score.counts, key) for score in one.ranking) == getattr(one.own.result, key)


def test_offsets_are_those_of_the_hits_from_label_to_prediction(engine):
    truth = mask_of((10, 10, 4, 4), (40, 30, 3, 3), (60, 50, 2, 2))
    predicted = mask_of((11, 12, 4, 4), (40, 30, 3, 3), (5, 50, 3, 3))
    assert find_offsets(predicted, truth).tolist() == [[0, 0], [1, 2]]  # the nearest pair first
    assert find_offsets(truth * 0, truth).shape == (0, 2)
    # Every label is moved one pixel up and two to the left.
    scenes = [
        Sample(each.name, each.image, np.roll(each.mask, (-1, -2), (0, 1)))
        for each in SceneGenerator(96, 128, frames=6, seed=3)
    ]
    straight = analyse({"one": engine}, SceneGenerator(96, 128, frames=6, seed=3), progress=False).engines[0]
    moved = analyse({"one": engine}, Listed(*scenes), progress=False).engines[0]
    assert len(straight.offsets) == straight.own.result.hits > 5
    assert np.subtract(moved.offset, straight.offset) == pytest.approx([2, 1], abs=0.3)


def test_frames_to_draw_are_spread_evenly_and_hold_every_engine(study):
    assert len(study.views) == COLUMNS
    numbers = [int(view.name) for view in study.views]
    assert numbers[0] <= 2 and numbers[-1] >= 11 and max(np.diff(numbers)) <= 3
    for view in study.views:
        assert set(view.probability) == {"one", "two"}
        assert view.probability["one"].shape == view.image.shape == view.truth.shape


def test_the_worst_come_first_by_misses_then_false_pixels_then_iou(engine):
    spot = mask_of((29, 29, 3, 3))
    source = Listed(
        scene("clean", [(30, 30)], spot),
        scene("false alarm", [(30, 30), (60, 50)], spot),
        scene("missed", [(30, 30)], mask_of((29, 29, 3, 3), (9, 49, 3, 3))),
        scene("missed both", [(60, 20)], mask_of((29, 29, 3, 3), (9, 49, 3, 3))),
        scene("poor shape", [(30, 30)], mask_of((24, 24, 13, 13))),
    )
    result = analyse({"engine": engine}, source, progress=False, images=["missed", "clean"]).engines[0]
    assert [row["name"] for row in ranking(result)] == [
        "missed both",
        "missed",
        "false alarm",
        "poor shape",
        "clean",
    ]
    assert [view.name for view in result.worst] == ["missed both", "missed", "false alarm"]
    worst = ranking(result)[0]
    assert worst | {"rank": 1, "number": 3, "missed_targets": 2, "targets": 2} == worst


def test_named_images_are_drawn_in_the_order_asked_for(engine):
    source = Listed(*(scene(name, [(30, 30)], mask_of((29, 29, 3, 3))) for name in "abc"))
    study = analyse({"engine": engine}, source, images=["c", "a"], progress=False)
    assert [view.name for view in study.views] == ["c", "a"]
    with pytest.raises(UsageError, match="image c is not among the masked frames taken from listed"):
        analyse({"engine": engine}, source, images=["a", "c"], limit=2, progress=False)


def test_frames_without_a_mask_are_passed_over_and_counted(engine):
    image = np.full((64, 64), 30, np.uint8)
    boxed = Sample("boxed", image, boxes=np.array([[3, 3, 4, 4]], np.float32))
    study = analyse({"engine": engine}, Listed(boxed, Sample("empty", image, image * 0)), progress=False)
    assert (study.frames, study.unlabelled) == (1, 1) and study.engines[0].own.result.pd is None
    with pytest.raises(DataError, match="none of 1 frames has a truth mask"):
        analyse({"engine": engine}, Listed(boxed), progress=False)


def test_a_mask_that_does_not_fit_names_its_frame(engine):
    bad = Sample("frame 7", np.zeros((64, 64), np.uint8), np.zeros((64, 72), np.uint8))
    with pytest.raises(DataError, match="listed, frame frame 7: truth mask is 72x64"):
        analyse({"engine": engine}, Listed(bad), progress=False)
    with pytest.raises(UsageError, match="limit 0"):
        analyse({"engine": engine}, Listed(bad), limit=0, progress=False)


def test_marks_tell_hits_misses_and_false_alarms_apart():
    truth = mask_of((10, 10, 3, 3), (40, 40, 3, 3))
    marks = find_marks(mask_of((11, 10, 3, 3), (60, 20, 5, 1)), truth)
    assert [(mark.outcome, mark.x, mark.y) for mark in marks] == [
        ("hit", 11, 11),
        ("missed", 41, 41),
        ("false", 62, 20),
    ]


def test_the_close_up_shows_the_target_that_is_missed_and_never_covers_it():
    truth = mask_of((10, 10, 3, 3), (70, 55, 3, 3))
    answers = [mask_of((10, 10, 3, 3)), mask_of((10, 10, 3, 3), (70, 55, 3, 3))]
    marks = [find_marks(answer, truth) for answer in answers]
    window = focus(truth, answers, marks)
    assert window.holds(71, 56, 0) and not window.holds(11, 11, 0)
    assert window.left + window.side == 79.5 and window.top + window.side == 63.5
    view = View("a", truth, truth, {}, {})
    right, bottom = free_corner(view, window, marks[0])
    assert (right, bottom) != (True, True)
    side = INSET * 64
    assert not (
        (80 - side if right else 0) < 71 < (80 if right else side)
        and (64 - side if bottom else 0) < 56 < (64 if bottom else side)
    )
    assert focus(truth * 0, answers, marks) is None
    assert window_around(5, 5, 3, (16, 12)).side == 12
