"""What is left out of a frame: before the network and after."""

import cv2
import numpy as np
import pytest

from dsad_core.detector import Detector
from dsad_core.errors import UsageError
from dsad_core.frame.region import Region


def test_telemetry_rows_are_replaced_and_never_answered():
    frame = np.arange(48, dtype=np.uint16).reshape(6, 8)
    region = Region(top=2, right=1)
    filled = region.before(frame)
    assert filled is not frame and frame[0, 0] == 0
    assert (filled[:2, :7] == frame[2, :7]).all() and (filled[2:, 7] == frame[2:, 6]).all()
    assert (filled[2:, :7] == frame[2:, :7]).all()
    logits = region.after(np.full((6, 8), 5.0, np.float32))
    assert (logits[2:, :7] == 5.0).all() and (logits[:2] == -100).all() and (logits[:, 7] == -100).all()


def test_a_mask_file_is_read_and_must_fit(tmp_path):
    ignore = np.zeros((6, 8), np.uint8)
    ignore[3, 3] = 255
    cv2.imwrite(str(tmp_path / "ignore.png"), ignore)
    region = Region.load(tmp_path / "ignore.png")
    frame = np.full((6, 8), 10, np.uint8)
    frame[3, 3] = 200
    assert (region.before(frame) == 10).all()
    with pytest.raises(UsageError, match="ignore_mask is 8x6, the frame is 9x6"):
        region.before(np.zeros((6, 9), np.uint8))


def test_what_cannot_be_is_refused(tmp_path):
    assert Region.load(None) is None and Region.load("") is None
    with pytest.raises(UsageError, match="crop_top -1"):
        Region(top=-1)
    with pytest.raises(UsageError, match="nope.png: not an image"):
        Region.load(tmp_path / "nope.png")
    with pytest.raises(UsageError, match="leave nothing of a frame of 8x6"):
        Region(top=4, bottom=4).before(np.zeros((6, 8), np.uint8))


def test_a_detector_with_a_region_does_not_alarm_on_telemetry(engine, spots):
    image = (spots(66, 80, [(40, 40)]) * 255).astype(np.uint8)
    image[:2, ::7] = 255  # dots of a telemetry row
    plain, cropped = Detector(engine), Detector(engine, region=Region(top=2))
    assert any(target.y < 2 for target in plain.detect(image).targets)
    found = cropped.detect(image)
    assert found.mask.shape == image.shape and not found.mask[:2].any()
    assert [(round(t.x), round(t.y)) for t in found.targets] == [(40, 40)]
