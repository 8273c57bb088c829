"""No correction of a real camera becomes a track; name the recordings' folder in DSAD_LEPTON (`pip install cptv`)."""

import pytest

from dsad_core.detector import Detector
from dsad_core.frame.monitor import FrameKind, FrameMonitor
from dsad_core.tracking import Follower

STEP_NS = 111_000_000


@pytest.mark.parametrize("name", ["hedgehog", "possum", "skyline"])
def test_no_track_is_confirmed_because_of_a_correction(lepton, engine, name):
    """None is confirmed within a second after a correction that was not there, tentative, before it."""
    detector, monitor, follower = Detector(engine), FrameMonitor(), Follower()
    corrected, confirmed, suspicious = -99, set(), []
    for index, frame in enumerate(lepton(name)):
        stamp = 1 + index * STEP_NS
        kind = monitor.update(frame, stamp)
        if kind is not FrameKind.SCENE:
            corrected = index
        found = detector.detect(frame)
        tracks = follower.update(
            frame, stamp, found.targets, found.mask, found.logits, detector.threshold, kind
        )
        for track in tracks:
            if track.confirmed and track.id not in confirmed:
                confirmed.add(track.id)
                born = index - round(track.age_s * 1e9 / STEP_NS)
                if index - corrected < 9 and born >= corrected - 2:
                    suspicious.append((index, track.id))
    assert corrected > 0 and not suspicious
