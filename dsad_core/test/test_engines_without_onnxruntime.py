"""A board that runs TensorRT or CANN has no onnxruntime: everything else must work without it."""

import subprocess
import sys

PROGRAM = """
import sys
sys.modules["onnxruntime"] = None
from dsad_core.engines.backends import check_platform
from dsad_core.engines.load import load_engine
from dsad_core.engines.self_test import run_self_test
from dsad_core.engines import cache, tensorrt, acl
from dsad_core.errors import DsadError

check = check_platform("cpu")
print([finding.ok for finding in check.backends["onnxruntime"]])
try:
    engine = load_engine("dsad-num4-field", "cpu", 1, "direct")
    print(engine.backend, run_self_test(engine).text.startswith("not run: no reference"))
except DsadError as error:
    print("direct", "compiled kernels" in str(error))
"""


def test_engines_are_found_loaded_and_described_without_it():
    answer = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines() == ["[False]", "direct True"]
