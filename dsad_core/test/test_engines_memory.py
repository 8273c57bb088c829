"""Out of memory is an answer, not the end of the process."""

import subprocess
import sys

import pytest

from dsad_core.engines.backends import check_platform

PROGRAM = """
import resource, sys
import numpy as np, psutil
from dsad_core.detector import Detector
from dsad_core.engines.load import load_engine
from dsad_core.errors import EngineError

detector = Detector(load_engine("dnanet-num4-nudt", threads=1, backend=sys.argv[1]))
small = np.zeros((64, 64), np.uint8)
detector.detect(small)
frame = np.zeros((8192, 8192), np.uint8)
used = psutil.Process().memory_info().vms
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), resource.RLIM_INFINITY))
try:
    detector.detect(frame)
except EngineError as error:
    print(error)
assert detector.detect(small).mask.shape == small.shape
print("lives")
"""


@pytest.mark.parametrize("backend", check_platform("cpu").usable)
def test_a_frame_too_large_for_the_memory_is_refused_and_the_next_is_answered(backend):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, backend], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.splitlines()
    assert "dnanet-num4-nudt" in first and "8192x8192" in first and last == "lives"
