"""Builds of the kernels: the best that is there runs, wheels carry all, and what is missing is told once."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from direct_models import SHIPPED, needs_kernels, reference

from dsad_core.engines.direct import library
from dsad_core.engines.load import load_engine
from dsad_core.engines.manifest import MODEL_FILE
from dsad_core.errors import PlatformError

PROJECT = Path(__file__).parents[1]
DIRECT = "dsad_core/engines/direct"
LOADS = "from dsad_core.engines.direct import library; print(library.load_kernels().name, library.__file__)"


@pytest.fixture(autouse=True)
def fresh():
    """Each test looks for the kernels anew."""
    library.load_kernels.cache_clear()
    yield
    library.load_kernels.cache_clear()


def run_setup(*arguments, **environment):
    command = [sys.executable, "setup.py", "-q", *map(str, arguments)]
    done = subprocess.run(command, cwd=PROJECT, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def build(folder, compiler):
    """What the build leaves of a compiler's failure, by the name of the library."""
    run_setup(
        *("build_ext", "--build-lib", folder / "lib", "--build-temp", folder / "temp"),
        CC=str(compiler),
        CXX=str(compiler),
    )
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
    name = next(iter(failed))
    monkeypatch.setattr(library, "runnable_builds", lambda: [(name.removeprefix("_kernels"), "any")])
    with pytest.raises(PlatformError, match="compiled kernels: not built: .*omp.h: No such file; reinstall"):
        library.load_kernels()


def test_a_missing_compiler_is_named(tmp_path):
    failed = build(tmp_path, tmp_path / "none")
    assert failed and all(f"there is no {tmp_path}/none" in path.read_text() for path in failed.values())


@needs_kernels
@pytest.mark.skipif(library.platform.machine() != "x86_64", reason="one build on this machine")
def test_where_the_best_build_failed_the_next_one_runs(tmp_path, monkeypatch):
    for path in Path(library.__file__).parent.glob("_kernels_v3.*"):
        shutil.copy(path, tmp_path)
    (tmp_path / "_kernels_v4.failed").write_text("g++ failed: bad value for -march\n")
    monkeypatch.setattr(library, "__file__", str(tmp_path / "library.py"))
    every_flag = set.union(*(needed for _, _, needed in library._X86_BUILDS))
    monkeypatch.setattr(library, "cpu_flags", lambda: every_flag)
    assert library.load_kernels().name == "x86-64-v3"


@pytest.mark.parametrize("missing", ["the CPU's vectors", "build and compiler"])
def test_without_kernels_another_backend_runs_and_one_line_says_why(missing, tmp_path, monkeypatch):
    if missing == "build and compiler":
        monkeypatch.setattr(library, "__file__", str(tmp_path / "library.py"))
        monkeypatch.setenv("PATH", str(tmp_path))
        told = "not built; reinstall dsad_core where g++ is present"
    else:
        monkeypatch.setattr(library.platform, "machine", lambda: "x86_64")
        monkeypatch.setattr(library, "cpu_flags", lambda: {"sse4_2", "avx"})
        told = "they need a CPU with AVX2 and FMA"
    engine = load_engine(SHIPPED, "cpu", threads=1)
    assert engine.backend in ("openvino", "onnxruntime")
    assert engine.passed_over[0] == f"direct: compiled kernels ({told})" and "\n" not in engine.description
    image = np.random.default_rng(0).normal(size=(1, 1, 48, 64)).astype(np.float32)
    want = reference((SHIPPED / MODEL_FILE).read_bytes())(image)
    np.testing.assert_allclose(engine.infer(image), want, atol=1e-3)
    engine.close()


@needs_kernels
def test_a_wheel_carries_every_build_and_needs_no_compiler(tmp_path):
    """Of the libraries that are installed, which are not built again."""
    built = sorted(Path(library.__file__).parent.glob("_kernels*.so"))
    there = tmp_path / "lib" / DIRECT
    there.mkdir(parents=True)
    for path in built:
        shutil.copyfile(path, there / path.name)
    run_setup(
        *("egg_info", "--egg-base", tmp_path),
        *("build", "--build-lib", tmp_path / "lib", "--build-temp", tmp_path / "temp"),
        *("bdist_wheel", "--bdist-dir", tmp_path / "bdist", "--dist-dir", tmp_path),
        CXX="false",
    )
    (wheel,) = tmp_path.glob("*.whl")
    assert not wheel.stem.endswith("-any")
    with ZipFile(wheel) as archive:
        names = {Path(name).name for name in archive.namelist()}
        archive.extractall(tmp_path / "installed")
    assert {path.name for path in built} <= names and not any(name.endswith(".failed") for name in names)
    done = subprocess.run(
        [sys.executable, "-c", LOADS],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "installed"), "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    name, path = done.stdout.split()
    assert name == library.load_kernels().name and Path(path).is_relative_to(tmp_path / "installed")
