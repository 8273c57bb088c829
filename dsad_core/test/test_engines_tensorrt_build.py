"""The real TensorRT or TensorRT-RTX: the latter builds without a GPU, running needs one."""

import os
import signal
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dsad_core.engines import progress
from dsad_core.engines import tensorrt as backend
from dsad_core.engines.load import load_engine
from dsad_core.engines.locate import find_engine
from dsad_core.engines.manifest import MODEL_FILE, load_manifest
from dsad_core.engines.platform import load_platform
from dsad_core.engines.tensorrt.api import find_api
from dsad_core.engines.tensorrt.cuda import Device, find_device
from dsad_core.errors import DsadError, UnsupportedModelError

real_api, real_reason = find_api()
real_gpu = find_device()
needs_rtx = pytest.mark.skipif(
    real_api is None or not (real_api.rtx or real_gpu),
    reason=f"nothing that builds plans here ({real_reason or 'no GPU'})",
)
needs_gpu = pytest.mark.skipif(real_api is None or real_gpu is None, reason="no NVIDIA GPU, or no TensorRT")

SMALL = (64, 80)


@pytest.fixture(autouse=True)
def cache_root(tmp_path, monkeypatch):
    monkeypatch.setenv("DSAD_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def options():
    return load_platform("cuda")


@needs_rtx
def test_a_plan_of_a_trained_engine_is_really_built_and_kept(options):
    folder = find_engine("dnanet-num4-nudt")
    manifest = load_manifest(folder)
    told = []
    with progress.listen(progress.Progress(told.append)):
        path = backend.build(folder, manifest, options, (256, 256))
    assert path.stat().st_size > 1_000_000 and any("step" in line for line in told)
    changed = path.stat().st_mtime_ns
    assert backend.build(folder, manifest, options, (256, 256)) == path
    assert path.stat().st_mtime_ns == changed
    assert backend.stale(folder, manifest, options, (256, 256)) is None

    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "changed or damaged" in backend.stale(folder, manifest, options, (256, 256))
    backend.build(folder, manifest, options, (256, 256))
    assert backend.stale(folder, manifest, options, (256, 256)) is None


@pytest.mark.skipif(real_api is None or not real_api.rtx, reason="no TensorRT-RTX")
def test_rtx_builds_for_one_architecture_without_such_a_gpu(options, monkeypatch):
    monkeypatch.setattr(backend, "find_device", lambda: None)
    folder = find_engine("local-contrast")
    arguments = folder, load_manifest(folder), options, SMALL
    for_any = backend.build(*arguments)
    monkeypatch.setattr(backend, "find_device", lambda: Device("NVIDIA RTX 2080", "7.5", "13.0"))
    assert "this is NVIDIA RTX 2080, compute capability 7.5" in backend.stale(*arguments)
    for_one = backend.build(*arguments)
    assert for_one != for_any and for_one.stat().st_size > 100_000 and backend.stale(*arguments) is None


def write_model(folder, nodes, **constants):
    image, logits = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, "height", "width"])
        for name in ("image", "logits")
    )
    values = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("example", 1)]
    graph = helper.make_graph(nodes, "g", [image], [logits], values)
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=opsets), folder / MODEL_FILE)


@needs_rtx
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_models_of_less_than_float32_are_built(options, engine_dir, precision):
    node = helper.make_node
    if precision == "fp16":
        write_model(
            engine_dir,
            [
                node("Cast", ["image"], ["half"], to=TensorProto.FLOAT16),
                node("Conv", ["half", "kernel"], ["answer"], pads=[1] * 4),
                node("Cast", ["answer"], ["logits"], to=TensorProto.FLOAT),
            ],
            kernel=np.ones((1, 1, 3, 3), np.float16),
        )
    else:
        write_model(
            engine_dir,
            [
                node("QuantizeLinear", ["image", "scale", "zero"], ["image_q"]),
                node("DequantizeLinear", ["image_q", "scale", "zero"], ["image_dq"]),
                node("DequantizeLinear", ["kernel", "scale", "zero"], ["kernel_dq"]),
                node("Conv", ["image_dq", "kernel_dq"], ["logits"], pads=[1] * 4),
            ],
            kernel=np.ones((1, 1, 3, 3), np.int8),
            scale=np.array(0.01, np.float32),
            zero=np.array(0, np.int8),
        )
    manifest = load_manifest(find_engine("local-contrast")).model_copy(update={"precision": precision})
    path = backend.build(engine_dir, manifest, options, SMALL)
    assert precision in path.name and path.stat().st_size > 10_000


@needs_rtx
def test_an_operator_that_it_lacks_is_named(options, engine_dir):
    node = helper.make_node("Sharpen", ["image"], ["logits"], "sharpen_1", domain="example")
    write_model(engine_dir, [node])
    with pytest.raises(UnsupportedModelError, match="operator Sharpen of node sharpen_1: "):
        backend.build(engine_dir, load_manifest(find_engine("local-contrast")), options, SMALL)


@needs_rtx
@pytest.mark.parametrize("content", [b"", b"no model"])
def test_what_is_no_model_is_refused(options, engine_dir, content):
    (engine_dir / MODEL_FILE).write_bytes(content)
    with pytest.raises(DsadError, match=MODEL_FILE):
        backend.build(engine_dir, load_manifest(find_engine("local-contrast")), options, SMALL)


BUILDER = """
import sys
from pathlib import Path
from dsad_core.engines import tensorrt as backend
from dsad_core.engines.locate import find_engine
from dsad_core.engines.manifest import load_manifest
from dsad_core.engines.progress import Progress, listen
from dsad_core.engines.platform import load_platform

folder = find_engine("dnanet-num4-nudt")
task = Progress(lambda line: print(line, file=sys.stderr, flush=True))
try:
    with listen(task):
        print(backend.build(folder, load_manifest(folder), load_platform("cuda"), (128, 128)))
except KeyboardInterrupt:
    print("interrupted")
    sys.exit(130)
"""


@pytest.fixture
def builder():
    started = []

    def start():
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        # A shell's background jobs ignore Ctrl-C, and so would their children.
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", BUILDER],
                env=environment,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_for(process, words):
    """Read its stderr up to a line with these words."""
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"ended without saying {words!r}")


@needs_rtx
@pytest.mark.parametrize("end, status", [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_a_build_that_is_ended_in_the_middle_leaves_a_good_one_to_the_next(builder, options, end, status):
    folder = find_engine("dnanet-num4-nudt")
    arguments = folder, load_manifest(folder), options, (128, 128)
    first = builder()
    wait_for(first, "step 1 of" if hasattr(real_api.trt, "IProgressMonitor") else "building")
    first.send_signal(end)
    assert first.wait(60) == status
    assert backend.stale(*arguments) == "not built yet"
    path = backend.build(*arguments)
    assert backend.stale(*arguments) is None and not list(path.parent.glob(".*"))


@needs_rtx
@pytest.mark.skipif(
    not hasattr(getattr(real_api, "trt", None), "IProgressMonitor"), reason="before TensorRT 10"
)
def test_a_real_build_ends_at_its_next_step_when_it_is_cancelled(options):
    folder = find_engine("dnanet-num4-nudt")
    arguments = folder, load_manifest(folder), options, (128, 128)
    task = progress.Progress(lambda line: task.cancelled.set() if ", step 1 of" in line else None)
    with progress.listen(task), pytest.raises(progress.Cancelled):
        backend.build(*arguments)
    assert backend.stale(*arguments) == "not built yet"


@needs_rtx
def test_two_processes_build_one_plan(builder):
    both = [builder(), builder()]
    answers = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert answers[0][0] == answers[1][0]
    assert sum("building dnanet-num4-nudt" in errors for _, errors in answers) == 1


@needs_gpu
def test_the_gpu_agrees_with_the_cpu(options, spots):
    folder = find_engine("dnanet-num4-nudt")
    frame = ((spots(128, 160, [(40, 30), (100.5, 80.2)]) - 0.42) / 0.22).astype(np.float32)[None, None]
    on_gpu = backend.open_engine(folder, load_manifest(folder), options, 1)
    on_cpu = load_engine("dnanet-num4-nudt", "cpu", threads=1, backend="onnxruntime")
    try:
        assert np.abs(on_gpu.infer(frame) - on_cpu.infer(frame)).max() < 0.01, on_gpu.description
    finally:
        on_gpu.close()
        on_cpu.close()
