"""Kernels that cannot be built say why where they are missed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dsad_core.engines.direct import library
from dsad_core.errors import PlatformError

PROJECT = Path(__file__).parents[1]


def build(folder, compiler):
    """What the build leaves of a compiler's failure, by the name of the library."""
    command = ["setup.py", "-q", "build_ext", "--build-lib", folder / "lib", "--build-temp", folder / "temp"]
    environment = os.environ | {"CC": str(compiler), "CXX": str(compiler)}
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=PROJECT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return {path.stem: path for path in (folder / "lib").rglob("*.failed")}


@pytest.fixture
def broken(tmp_path):
    """A compiler that is there and fails."""
    compiler = tmp_path / "g++"
    compiler.write_text("#!/bin/sh\necho 'kernels.cpp:1:1: fatal error: omp.h: No such file' >&2\nexit 1\n")
    compiler.chmod(0o755)
    return compiler


def test_the_compilers_complaint_is_kept_and_told(tmp_path, broken, monkeypatch):
    failed = build(tmp_path, broken)
    assert failed, "the build left nothing"
    for path in failed.values():
        assert path.read_text() == (
            f"{broken} failed: kernels.cpp:1:1: fatal error: omp.h: No such file; "
            "reinstall dsad_core once that is mended\n"
        )
    monkeypatch.setattr(library, "__file__", str(next(iter(failed.values())).with_name("library.py")))
    monkeypatch.setattr(library, "_build", lambda: (next(iter(failed)).removeprefix("_kernels"), "any"))
    library.load_kernels.cache_clear()
    with pytest.raises(PlatformError, match="compiled kernels: not built: .*omp.h: No such file; reinstall"):
        library.load_kernels()
    library.load_kernels.cache_clear()


def test_a_missing_compiler_is_named(tmp_path):
    failed = build(tmp_path, tmp_path / "none")
    assert failed and all(f"there is no {tmp_path}/none" in path.read_text() for path in failed.values())
