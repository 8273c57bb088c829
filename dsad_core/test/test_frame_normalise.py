import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsad_core.errors import UsageError
from dsad_core.frame.normalise import NOISE_SPAN, scale_into, to_unit, unit_range


def counts(spots, centres=(), offset=7000.0, scale=1500.0, **kwargs):
    return (offset + scale * spots(128, 160, centres, **kwargs)).astype(np.uint16)


def test_8_bit_frames_are_divided_by_255():
    frame = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_allclose(to_unit(frame), frame / 255.0, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_a_given_range_is_affine_and_clipped(dtype):
    frame = np.array([[900, 1000, 1500, 2000, 2100]], dtype)
    np.testing.assert_allclose(to_unit(frame, (1000, 2000)), [[0, 0, 0.5, 1, 1]], atol=1e-6)


@pytest.mark.parametrize("value_range", [(1.0, 1.0), (2.0, 1.0), (0.0, np.inf), (np.nan, 1.0)])
def test_a_range_that_is_none_is_refused(value_range):
    with pytest.raises(UsageError, match="value_range"):
        to_unit(np.zeros((4, 4), np.uint16), value_range)


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([np.uint8, np.uint16, np.float32]),
    st.integers(0, 2**32 - 1),
)
def test_the_result_is_finite_and_in_the_unit_range_for_any_frame(height, width, dtype, seed):
    rng = np.random.default_rng(seed)
    frame = rng.normal(rng.uniform(0, 200), rng.uniform(0, 50), (height, width)).clip(0, 255).astype(dtype)
    unit = to_unit(frame)
    assert unit.shape == frame.shape and unit.dtype == np.float32
    assert np.isfinite(unit).all() and unit.min() >= 0.0 and unit.max() <= 1.0


def test_offset_and_gain_of_the_sensor_do_not_matter(spots):
    image = spots(128, 160, [(40, 50)])
    np.testing.assert_allclose(
        to_unit((image * 40 + 280).astype(np.float32)),
        to_unit((image * 3000 + 20000).astype(np.float32)),
        atol=1e-3,
    )


def test_a_hot_pixel_leaves_the_contrast_of_a_faint_target(spots):
    frame = counts(spots, [(40, 50)], amplitude=0.1)
    clean = to_unit(frame)
    frame[::31, ::37] = 65535  # twenty-odd of them
    hot = to_unit(frame)

    def contrast(unit):
        return unit[50, 40] - unit[44:57, 30:51].mean()

    assert contrast(clean) > 0.1
    assert contrast(hot) > 0.8 * contrast(clean)


def test_a_target_above_everything_else_is_not_clipped_against_warm_clutter(spots):
    frame = counts(spots)
    frame[80:100, 100:130] += 600  # a warm roof, 3 % of the frame
    frame[90, 115] += 250  # and a target in front of it
    unit = to_unit(frame)
    assert unit[90, 115] - unit[80:100, 100:130].mean() > 0.05


@pytest.mark.parametrize(
    "dtype, level, sigma",
    [(np.uint16, 8000, 3.0), (np.uint16, 8000, 0.4), (np.float32, 293.15, 0.03), (np.float32, 0.5, 1e-3)],
)
def test_pure_noise_is_not_blown_up(dtype, level, sigma):
    frame = np.random.default_rng(0).normal(level, sigma, (512, 640)).astype(dtype)
    assert to_unit(frame).std() < 1.3 / NOISE_SPAN


@pytest.mark.parametrize("value", [0.0, 1.0, 293.15, -40.0, 60000.0])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_a_constant_frame_becomes_the_middle(dtype, value):
    unit = to_unit(np.full((32, 32), max(value, 0) if dtype == np.uint16 else value, dtype))
    np.testing.assert_allclose(unit, 0.5, atol=0.05)


def test_a_one_pixel_frame_has_a_range():
    low, high = unit_range(np.array([[5000]], np.uint16))
    assert low < 5000 < high


def test_scaling_with_mean_and_deviation_is_normalising_the_unit_image(spots):
    frame = counts(spots, [(20, 20)], amplitude=3.0)  # some of it clipped
    out = np.empty((130, 170), np.float32)
    scale_into(frame, unit_range(frame), 0.42, 0.22, out[:128, :160])
    np.testing.assert_allclose(out[:128, :160], (to_unit(frame) - 0.42) / 0.22, atol=1e-5)


def test_it_writes_into_the_buffer_it_is_given():
    out = np.empty((16, 16), np.float32)
    assert to_unit(np.zeros((16, 16), np.uint8), out=out) is out
