"""The compiled kernels under the compiler's sanitizers: addresses and undefined behaviour, then threads."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from direct_models import SHIPPED, WITH_DSA, Model, on_bytes

from dsad_core.engines import direct
from dsad_core.engines.direct import library
from dsad_core.engines.direct.library import load_kernels
from dsad_core.engines.manifest import INPUT_NAME, MODEL_FILE, load_manifest, save_manifest
from dsad_core.files import sha256_file

SOURCE = Path(library.__file__).with_name("kernels.cpp")
#: What the compiler links, and what has to be loaded before Python.
SANITIZERS = {"address,undefined": "libasan.so", "thread": "libtsan.so"}
#: Of the process under test: a shell's status that no error of ours has.
FOUND = 66
FLAGS = ["-std=c++17", "-O1", "-g", "-ffp-contract=fast", "-Wno-psabi", "-pthread", "-shared", "-fPIC"]

PROGRAM = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from dsad_core.engines.direct import engine, parameters
from dsad_core.engines.direct.library import Kernels
from dsad_core.engines.manifest import load_manifest
from dsad_core.engines.platform import load_platform

fault, built, *folders = sys.argv[1:]
kernels = Kernels(Path(built), "sanitized")
engine.load_kernels = lambda: kernels
if fault == "short":
    blocked = parameters.blocked
    parameters.blocked = lambda conv, block: tuple(array[:-1].copy() for array in blocked(conv, block))
for folder in folders:
    manifest = load_manifest(folder)
    for threads in (1, 3):
        opened = engine.DirectEngine(Path(folder), manifest, load_platform("cpu"), threads)
        for size in ((16, 16), (48, 80), (32, 272)):
            image = np.random.default_rng(0).normal(size=(1, manifest.input_channels, *size)).astype(np.float32)
            opened.infer(image)
        if fault == "shared":
            laid_out, logits = opened._plans.get(size)
            pools = [kernels.open_pool(2) for _ in range(2)]
            with ThreadPoolExecutor(2) as workers:
                list(workers.map(lambda pool: kernels.run(pool, laid_out.ops, image, logits), pools * 20))
        opened.close()
print("ran")
"""


@pytest.fixture(scope="module", params=SANITIZERS)
def run(request, tmp_path_factory):
    """A function (fault, engines) -> the process that ran the engines on kernels built with one sanitizer."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ to build the kernels with")
    folder = tmp_path_factory.mktemp("sanitized")
    name = library.runnable_builds()[0][1]
    march = [f"-march={name}"] if name.startswith("x86-64") else []
    sanitize = [f"-fsanitize={request.param}", "-fno-sanitize-recover=all"]
    (folder / "empty.cpp").write_text("int empty() { return 0; }")
    trial = [compiler, *FLAGS, *sanitize, folder / "empty.cpp", "-o", folder / "empty.so"]
    if subprocess.run(trial, capture_output=True).returncode:
        pytest.skip(f"this g++ has no sanitizer for {request.param}")
    built = folder / "kernels.so"
    subprocess.run([compiler, *FLAGS, *march, *sanitize, SOURCE, "-o", built], check=True)
    ask = [compiler, f"-print-file-name={SANITIZERS[request.param]}"]
    runtime = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    options = f"exitcode={FOUND}:halt_on_error=1"

    def start(fault, *engines):
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, fault, built, *engines],
            env={
                **os.environ,
                "PYTHONMALLOC": "malloc",
                "LD_PRELOAD": runtime,
                "ASAN_OPTIONS": f"{options}:detect_leaks=0",
                "UBSAN_OPTIONS": options,
                "TSAN_OPTIONS": options,
            },
            capture_output=True,
            text=True,
        )

    start.sanitizer = request.param
    return start


@pytest.fixture(scope="module")
def every_operator(tmp_path_factory):
    """An engine of the operators that the shipped ones lack."""
    folder = tmp_path_factory.mktemp("engine") / "every-operator"
    folder.mkdir()
    model = Model(1)
    wide = model.op("Sigmoid", model.conv(model.conv(INPUT_NAME, 5, 5), 5, 3, dilation=2))
    pooled = model.op("MaxPool", wide, kernel_shape=[3, 3], strides=[3, 3], ceil_mode=1)
    mean, most = (model.op(kind, pooled) for kind in ("GlobalAveragePool", "GlobalMaxPool"))
    scaled = model.op("Mul", wide, model.op("Relu", model.op("Add", mean, most)))
    least = [model.op(kind, scaled, channels=1, axes=[1]) for kind in ("ReduceMean", "ReduceMax")]
    last = model.attention_block(model.op("Add", scaled, wide), 5, 3, project=False)
    last = model.op("Mul", model.group_norm(last, 5), model.squeeze(last, 2))
    foreign = model.attention_block(model.concat(last, *least), 6, shortcut=INPUT_NAME)
    (folder / MODEL_FILE).write_bytes(model.proto(foreign).SerializeToString())
    update = {"name": folder.name, "sha256": sha256_file(folder / MODEL_FILE), "size_multiple": 1}
    save_manifest(folder, direct.add_program(folder, load_manifest(SHIPPED).model_copy(update=update)))
    return folder


def test_the_kernels_read_and_write_where_they_may(run, every_operator, tmp_path):
    engines = [every_operator, SHIPPED, WITH_DSA]
    if load_kernels().bytes:
        engines.append(on_bytes(SHIPPED, tmp_path))
    answer = run("none", *engines)
    assert (answer.returncode, answer.stdout) == (0, "ran\n"), answer.stderr[-3000:]


def test_the_sanitizers_see_a_fault(run, every_operator):
    """Weights one block short; one frame's planes in the hands of two programs."""
    answer = run("shared" if run.sanitizer == "thread" else "short", every_operator)
    assert answer.returncode == FOUND and "Sanitizer" in answer.stderr, answer.stderr[-3000:]
