import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsad_core.detector import Detector
from dsad_core.engines.manifest import ScoreCalibration
from dsad_core.errors import DsadError, EngineError, NotFiniteError, UsageError

CENTRES = [(30.3, 41.7), (90.0, 20.0), (131.6, 100.2)]


class RecordingEngine:
    """Keeps the tensor it was given and answers with its first channel: shows what a detector feeds."""

    target, description = "test", "identity"

    def __init__(self, manifest):
        self.manifest = manifest

    def infer(self, tensor):
        self.tensor = tensor.copy()
        return np.ascontiguousarray(tensor[0, 0])

    def close(self):
        pass


def with_manifest(engine, **changes):
    return RecordingEngine(engine.manifest.model_copy(update=changes))


def three_channels(engine, multiple):
    normalisation = engine.manifest.normalisation.model_copy(
        update={"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    )
    return with_manifest(engine, input_channels=3, size_multiple=multiple, normalisation=normalisation)


@pytest.mark.parametrize(
    "dtype, scale, offset", [(np.uint8, 255, 0), (np.uint16, 2000, 6000), (np.float32, 30, 280)]
)
def test_spots_are_found_where_they_are_in_frames_of_every_type(engine, spots, dtype, scale, offset):
    frame = (spots(128, 160, CENTRES) * scale + offset).astype(dtype)
    detection = Detector(engine).detect(frame)
    assert detection.mask.shape == frame.shape and detection.mask.dtype == np.uint8
    assert set(np.unique(detection.mask)) == {0, 255}
    found = sorted((target.x, target.y) for target in detection.targets)
    np.testing.assert_allclose(found, sorted(CENTRES), atol=0.25)
    assert all(0.5 < target.score <= 1.0 for target in detection.targets)


def test_the_score_of_a_calibrated_engine_is_its_calibration_of_the_highest_logit(engine):
    calibration = ScoreCalibration(scale=0.5, offset=-1.0, answers=1, reliability=[])
    blob = np.full((32, 32), -4.0, np.float32)
    blob[10:12, 20:22] = [[2.0, 3.0], [1.0, 0.5]]
    recorder = with_manifest(engine, calibration=calibration)
    recorder.infer = lambda tensor: blob
    (target,) = Detector(recorder).detect(np.zeros((32, 32), np.uint8)).targets
    assert target.score == pytest.approx(1 / (1 + np.exp(-(0.5 * 3.0 - 1.0))))


def test_an_empty_scene_stays_empty(engine, spots):
    detection = Detector(engine).detect((spots(128, 160, []) * 255).astype(np.uint8))
    assert detection.targets == [] and not detection.mask.any()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(height=st.integers(1, 70), width=st.integers(1, 70), multiple=st.sampled_from([1, 8, 16, 32]))
def test_any_size_is_padded_by_reflection_and_cropped_back(engine, height, width, multiple):
    frame = np.random.default_rng(0).integers(0, 256, (height, width), np.uint8)
    recorder = three_channels(engine, multiple)
    detection = Detector(recorder).detect(frame)
    padded = recorder.tensor.shape[2:]
    assert all(full % multiple == 0 and full - side < multiple for full, side in zip(padded, frame.shape))
    reflected = np.pad(frame, [(0, full - side) for full, side in zip(padded, frame.shape)], mode="reflect")
    for channel, mean, std in zip(recorder.tensor[0], (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)):
        np.testing.assert_allclose(channel, (reflected / 255.0 - mean) / std, atol=2e-6)
    assert detection.mask.shape == frame.shape


def test_buffers_follow_the_frame_size(engine, spots):
    detector = Detector(engine)
    for height, width in ((128, 160), (64, 50), (128, 160)):
        frame = (spots(height, width, [(20, 30)]) * 255).astype(np.uint8)
        (target,) = detector.detect(frame).targets
        assert np.hypot(target.x - 20, target.y - 30) < 0.25


def test_a_mask_is_not_overwritten_by_the_next_frame(engine, spots):
    detector = Detector(engine)
    first = detector.detect((spots(64, 64, [(20, 30)]) * 255).astype(np.uint8)).mask
    kept = first.copy()
    detector.detect((spots(64, 64, []) * 255).astype(np.uint8))
    np.testing.assert_array_equal(first, kept)


def test_the_threshold_is_strict_and_in_probability(engine):
    recorder = with_manifest(engine)  # the identity: a pixel of 0 has logit 0, probability 0.5
    frame = np.zeros((8, 8), np.uint8)
    frame[2, 2] = 1
    assert np.argwhere(Detector(recorder, threshold=0.5).detect(frame).mask).tolist() == [[2, 2]]
    assert Detector(recorder, threshold=0.49).detect(frame).mask.all()
    assert not Detector(recorder, threshold=0.51).detect(frame).mask.any()


def test_the_threshold_changes_while_running(engine, spots):
    detector = Detector(engine)
    assert detector.threshold == engine.manifest.threshold
    frame = (spots(64, 64, [(20, 30)]) * 255).astype(np.uint8)
    before = np.count_nonzero(detector.detect(frame).mask)
    detector.threshold = 0.999
    assert np.count_nonzero(detector.detect(frame).mask) < before


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_threshold_outside_its_range_is_refused_and_the_old_one_kept(engine, value):
    detector = Detector(engine, threshold=0.4)
    with pytest.raises(DsadError, match="threshold"):
        detector.threshold = value
    assert detector.threshold == 0.4
    with pytest.raises(DsadError, match="threshold"):
        Detector(engine, threshold=value)


def test_small_components_leave_mask_and_targets_together(engine):
    recorder = with_manifest(engine)
    frame = np.zeros((16, 16), np.uint8)
    frame[2, 2] = frame[10:12, 10:13] = 200
    both = Detector(recorder).detect(frame)
    large = Detector(recorder, min_area=2).detect(frame)
    assert sorted(target.area for target in both.targets) == [1, 6]
    assert [target.area for target in large.targets] == [6]
    assert np.count_nonzero(large.mask) == 6 and set(np.unique(large.mask)) == {0, 255}
    np.testing.assert_array_equal(large.components.to_mask(), large.mask > 0)
    with pytest.raises(UsageError, match="min_area"):
        Detector(recorder, min_area=0)


def test_logits_are_those_the_mask_is_made_of(engine, spots):
    detector = Detector(engine)
    frame = (spots(45, 61, [(20, 30)]) * 255).astype(np.uint8)
    logits = detector.logits(frame)
    assert logits.shape == (45, 61) and logits.dtype == np.float32
    above = logits > np.log(detector.threshold / (1 - detector.threshold))
    np.testing.assert_array_equal(above * np.uint8(255), detector.detect(frame).mask)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_no_clear_sky(engine, value):
    recorder = with_manifest(engine)

    def one_bad(tensor):
        logits = np.zeros(tensor.shape[2:], np.float32)
        logits[3, 5] = value
        return logits

    recorder.infer = one_bad
    for ask in (Detector(recorder).detect, Detector(recorder).logits):
        with pytest.raises(NotFiniteError, match="1 of 64 logits of a 8x8 frame are NaN or infinite"):
            ask(np.zeros((8, 8), np.uint8))


def test_padding_that_is_not_finite_harms_nobody(engine):
    recorder = with_manifest(engine)
    recorder.infer = lambda tensor: np.where(
        np.arange(tensor.shape[3]) < 5, np.float32(-1), np.float32("nan")
    )[None].repeat(tensor.shape[2], 0)
    assert not Detector(recorder).detect(np.zeros((8, 5), np.uint8)).mask.any()


def test_of_too_many_targets_the_best_are_listed_and_the_mask_keeps_all(engine):
    recorder = with_manifest(engine)
    frame = np.zeros((64, 64), np.uint8)
    frame[::4, ::4] = np.arange(1, 257, dtype=np.int64).clip(max=255).reshape(16, 16)
    everything = Detector(recorder).detect(frame)
    best = Detector(recorder, max_targets=10).detect(frame)
    assert best.targets == everything.targets[:10] and best.targets_cut == 246
    assert len(everything.targets) == 256 and everything.targets_cut == 0
    np.testing.assert_array_equal(best.mask, everything.mask)
    with pytest.raises(UsageError, match="max_targets 0"):
        Detector(recorder, max_targets=0)


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((4, 4), np.float64),
        np.zeros((0, 4), np.uint8),
        np.zeros(4, np.uint8),
    ],
)
def test_what_is_no_grey_frame_is_refused(engine, frame):
    with pytest.raises(UsageError, match="not a grey image"):
        Detector(engine).detect(frame)


def test_a_given_range_is_used_and_checked(engine):
    recorder = with_manifest(engine)
    Detector(recorder, value_range=(1000, 2000)).detect(np.full((8, 8), 1250, np.uint16))
    np.testing.assert_allclose(recorder.tensor, 0.25, atol=1e-6)
    with pytest.raises(UsageError, match="value_range"):
        Detector(recorder, value_range=(2000, 1000))


def test_stages_are_stamped_in_order_on_the_steady_clock(engine):
    before = time.monotonic_ns()
    detection = Detector(engine).detect(np.zeros((64, 64), np.uint8))
    stamps = [
        before,
        detection.start_ns,
        detection.preprocess_end_ns,
        detection.inference_end_ns,
        detection.postprocess_end_ns,
        time.monotonic_ns(),
    ]
    assert stamps == sorted(stamps)


def test_an_engine_that_fails_is_reported_as_such(engine):
    recorder = with_manifest(engine)
    recorder.infer = lambda tensor: (_ for _ in ()).throw(EngineError("engine x failed"))
    with pytest.raises(EngineError):
        Detector(recorder).warm_up(8, 8)
