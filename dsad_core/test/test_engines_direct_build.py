"""What is left of the kernels where a compiler refuses them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[1]
ASK = "from dsad_core.engines.direct.library import load_kernels as load; load()"

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ to refuse anything")


@pytest.fixture
def checkout(tmp_path):
    """A copy of this package without compiled kernels."""
    ignored = shutil.ignore_patterns("*.so", "*.refused", "build", "test", "__pycache__", "*.egg-info")
    return shutil.copytree(SOURCES, tmp_path / "dsad_core", ignore=ignored)


def build(checkout):
    """The last line that a program says that then asks for the kernels."""
    setup = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(setup, cwd=checkout, check=True, capture_output=True)
    answer = subprocess.run([sys.executable, "-c", ASK], cwd=checkout, capture_output=True, text=True)
    return answer.stderr.splitlines()[-1]


def test_a_source_that_does_not_compile_is_told_in_the_compilers_words(checkout):
    source = checkout / "dsad_core/engines/direct/kernels.cpp"
    source.write_text("#error these kernels are broken\n")
    said = build(checkout)
    assert "not built, the compiler says:" in said and "#error these kernels are broken" in said
    source.write_text("int direct_version() { return 0; }\n")
    assert "cannot be loaded" in build(checkout)
