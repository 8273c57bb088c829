"""The profile that the launch sets, with real processes over DDS."""

import os
import subprocess
import sys
from pathlib import Path

from dsad_bringup.graph import PROFILE_VARIABLES

PROFILE = Path(__file__).parents[1] / "launch" / "fastdds.xml"
TRAFFIC = Path(__file__).with_name("frame_traffic.py")
FRAMES = 200


def frames_received():
    environment = os.environ | dict.fromkeys(PROFILE_VARIABLES, str(PROFILE))
    publisher, receiver = (
        subprocess.Popen(
            [sys.executable, str(TRAFFIC), role, str(FRAMES)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for role in ("publish", "receive")
    )
    output, _ = receiver.communicate(timeout=300)
    publisher.terminate()
    publisher.communicate(timeout=300)
    return int(output)


def test_frames_of_640x512_mono16_get_through_at_100_hz(isolated):
    # What share of them a busy machine receives is a figure for the bench, not a verdict.
    received = frames_received()
    assert 0 < received <= FRAMES
