"""Detections below the threshold of the mask."""

import numpy as np
import pytest

from dsad_core.errors import UsageError
from dsad_core.tracking import weak_targets


@pytest.fixture
def answer():
    """Logits with a strong spot that has a weak rim, two weak ones and one that was refused; and the mask."""
    logits = np.full((40, 60), -9.0, np.float32)
    logits[9:14, 9:14] = -1.0
    logits[10:13, 10:13] = 3.0
    logits[30, 20], logits[30, 40] = -1.0, -0.5
    logits[5, 50] = 4.0  # a single pixel that min_area took out of the mask
    mask = np.where(logits > 0, np.uint8(255), np.uint8(0))
    mask[5, 50] = 0
    return logits, mask


def test_lists_what_holds_no_pixel_of_the_mask_best_first(answer):
    found = weak_targets(*answer, threshold=0.5, low_threshold=0.2)
    assert [(round(target.x), round(target.y)) for target in found] == [(40, 30), (20, 30)]
    assert [target.score for target in found] == pytest.approx([0.378, 0.269], abs=1e-3)
    assert len(weak_targets(*answer, 0.5, 0.2, limit=1)) == 1
    assert weak_targets(*answer, 0.5, 0.45) == []


def test_thresholds_in_the_wrong_order_are_refused(answer):
    with pytest.raises(UsageError, match="low threshold 0.6"):
        weak_targets(*answer, 0.5, 0.6)
