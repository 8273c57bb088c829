import gc
import sys
import threading
import time
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
from stand_in_gpu import Code, StandInCuda, StandInTensorRt

from dsad_core.detector import Detector
from dsad_core.engines import progress
from dsad_core.engines import tensorrt as backend
from dsad_core.engines.cache import keep_self_test, kept_self_test
from dsad_core.engines.locate import find_engine
from dsad_core.engines.manifest import load_manifest
from dsad_core.engines.platform import load_platform
from dsad_core.engines.self_test import SelfTest, run_self_test
from dsad_core.engines.tensorrt import api as api_module
from dsad_core.engines.tensorrt import cuda as cuda_module
from dsad_core.errors import EngineError, FrameError, PlatformError, UnsupportedModelError, UsageError

SMALL = (64, 80)


@pytest.fixture(autouse=True)
def cache_root(tmp_path, monkeypatch):
    monkeypatch.setenv("DSAD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def options():
    return load_platform("cuda")


@pytest.fixture
def baseline():
    folder = find_engine("local-contrast")
    return folder, load_manifest(folder)


@pytest.fixture
def stand_in(monkeypatch):
    """A function (version, ...) -> TensorRT and CUDA in place of what is installed."""

    def forget():
        api_module._probe.cache_clear()
        cuda_module.find_module.cache_clear()

    def install(memory=1 << 30, **properties):
        forget()
        cuda = StandInCuda(memory)
        trt = StandInTensorRt(cuda, **properties)
        monkeypatch.setitem(sys.modules, "tensorrt", None)
        monkeypatch.setitem(sys.modules, trt.__name__, trt)
        monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", cuda)
        return trt

    forget()
    yield install
    forget()


def image(size=SMALL, seed=0):
    return np.random.default_rng(seed).normal(size=(1, 1, *size)).astype(np.float32)


# What is needed


def test_requirements_tell_why_each_module_is_of_no_use(stand_in, monkeypatch, options):
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__name__="tensorrt", __version__="11.4.0"))
    for name in cuda_module.MODULES:
        monkeypatch.setitem(sys.modules, name, None)
    findings = backend.requirements(options)
    assert [finding.ok for finding in findings] == [False, False]
    assert "tensorrt: not usable" in findings[0].hint and "tensorrt_rtx" in findings[0].hint
    assert "pip install cuda-python" in findings[1].hint
    with pytest.raises(PlatformError, match="no TensorRT: tensorrt: not usable"):
        api_module.require_api()


def test_a_builder_that_cannot_be_made_passes_the_module_over(stand_in, monkeypatch, options):
    trt = stand_in()
    monkeypatch.setattr(trt, "Builder", lambda logger: logger.log(1, "CUDA initialization failure: 35"))
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    assert "no builder (CUDA initialization failure: 35)" in backend.requirements(options)[0].hint


def test_requirements_are_met_by_the_stand_in(stand_in, options):
    stand_in()
    findings = backend.requirements(options)
    assert all(finding.ok for finding in findings) and findings[0].hint == "TensorRT 10.3.0"


def test_a_gpu_is_needed_to_build_unless_it_is_rtx(stand_in, options, baseline):
    stand_in().cuda.devices = 0
    with pytest.raises(PlatformError, match="TensorRT 10.3.0 builds plans on the GPU that runs them"):
        backend.stale(*baseline, options, SMALL)
    with pytest.raises(PlatformError, match="no NVIDIA GPU answers"):
        backend.open_engine(*baseline, options, 1)


def test_an_older_cuda_python_without_a_driver_is_no_gpu(stand_in):
    cuda = stand_in().cuda

    def refuse():
        raise RuntimeError("Failed to dlopen libcuda.so.1")

    cuda.cudaGetDeviceCount = refuse
    assert cuda_module.find_device() is None


# Precision, on the releases there are

JETPACK_6_0 = {"version": "8.6.2", "creation": ("EXPLICIT_BATCH",), "flags": ("FP16", "INT8", "TF32")}
NEWEST = {"version": "11.4.0", "creation": ("STRONGLY_TYPED",), "flags": ("TF32",)}
CURRENT = {}


@pytest.mark.parametrize(
    "release, manifest_precision, asked, strong, flags",
    [
        (CURRENT, "fp32", "fp32", False, set()),
        (CURRENT, "fp32", "fp16", False, {"FP16", "TF32"}),
        (CURRENT, "fp16", "fp32", True, {"TF32"}),
        (CURRENT, "int8", "fp16", True, {"TF32"}),
        (CURRENT, "bf16", "fp16", False, {"BF16", "TF32"}),
        (JETPACK_6_0, "fp32", "fp16", False, {"FP16", "TF32"}),
        (JETPACK_6_0, "fp16", "fp16", False, {"FP16", "TF32"}),
        (JETPACK_6_0, "int8", "fp16", False, {"INT8", "FP16", "TF32"}),
        (NEWEST, "fp32", "fp32", True, set()),
        (NEWEST, "fp16", "fp32", True, {"TF32"}),
    ],
)
def test_precision_is_asked_for_as_the_release_wants_it(
    stand_in, options, baseline, release, manifest_precision, asked, strong, flags
):
    trt = stand_in(**release)
    folder, manifest = baseline
    manifest = manifest.model_copy(update={"precision": manifest_precision})
    backend.build(folder, manifest, options.model_copy(update={"precision": asked}), SMALL)
    creation = trt.NetworkDefinitionCreationFlag
    bits = {flag.name for flag in creation if trt.networks[-1].bits & 1 << flag}
    assert ("STRONGLY_TYPED" in bits) == strong
    assert ("EXPLICIT_BATCH" in bits) == ("EXPLICIT_BATCH" in creation.__members__)
    assert trt.configs[-1].flags == flags


@pytest.mark.parametrize(
    "release, manifest_precision, asked, told",
    [
        (NEWEST, "fp32", "fp16", r"TensorRT 11.4.0 .* not in fp16; .*`dsad compile --precision fp16`"),
        (NEWEST, "bf16", "fp32", "not in bf16"),
        (JETPACK_6_0, "bf16", "fp32", "not in bf16"),
    ],
)
def test_a_precision_that_a_release_lacks_is_for_another_backend(
    stand_in, options, baseline, release, manifest_precision, asked, told
):
    stand_in(**release)
    folder, manifest = baseline
    manifest = manifest.model_copy(update={"precision": manifest_precision})
    with pytest.raises(UnsupportedModelError, match=told):
        backend.open_engine(folder, manifest, options.model_copy(update={"precision": asked}), 1)


# Building


def test_the_plan_depends_on_runtime_and_device(stand_in, options, baseline):
    trt = stand_in()
    path = backend.build(*baseline, options, SMALL)
    assert backend.build(*baseline, options, SMALL) == path and len(trt.builds) == 1
    trt.cuda.cudaDriverGetVersion = lambda: (Code.success, 13000)
    assert backend.stale(*baseline, options, SMALL) == "built under driver 12.6, this is 13.0"
    stand_in(version="10.7.0")
    assert backend.stale(*baseline, options, SMALL) == "built by TensorRT 10.3.0, this is TensorRT 10.7.0"
    assert backend.stale(*baseline, options, (64, 64)) == "not built yet"


def test_timings_are_kept_and_a_damaged_file_of_them_is_replaced(stand_in, options, baseline, cache_root):
    trt = stand_in()
    backend.build(*baseline, options, SMALL)
    backend.build(*baseline, options, (64, 64))
    [kept] = cache_root.glob("timing/*")
    kept.write_bytes(b"damaged")
    backend.build(*baseline, options, (32, 32))
    assert trt.timings == [b"", b"timings", b""]


def test_a_build_that_fails_tells_what_was_logged(stand_in, options, baseline):
    stand_in().fails = "Error Code 10: could not find any implementation for node conv1"
    with pytest.raises(EngineError, match="local-contrast 80x64 fp32: TensorRT .* for node conv1"):
        backend.build(*baseline, options, SMALL)


def test_a_release_that_knows_the_nodes_number_alone_tells_that(stand_in, options, baseline):
    trt = stand_in(**JETPACK_6_0)
    trt.parser_error = SimpleNamespace(node=lambda: 7, desc=lambda: "No importer registered for op: Foo")
    with pytest.raises(UnsupportedModelError, match="node number 7: No importer registered for op: Foo"):
        backend.open_engine(*baseline, options, 1)


@pytest.mark.parametrize("size", [(60, 64), (0, 64)])
def test_a_size_that_no_frame_has_is_refused(stand_in, options, baseline, size):
    stand_in()
    with pytest.raises(UsageError, match="multiples of 8"):
        backend.build(*baseline, options, size)


RTX = {"name": "tensorrt_rtx", "version": "1.7.1.116", "creation": ("STRONGLY_TYPED",), "flags": ("TF32",)}


@pytest.mark.parametrize("capability, target", [((8, 9), "SM89"), ((9, 0), None)])
def test_rtx_builds_for_the_architecture_where_it_knows_it(stand_in, options, baseline, capability, target):
    trt = stand_in(**RTX)
    major, minor = capability
    trt.cuda.cudaGetDeviceProperties = lambda device: (
        Code.success,
        SimpleNamespace(name=b"GPU", major=major, minor=minor),
    )
    backend.build(*baseline, options, SMALL)
    assert getattr(trt.configs[-1], "target", None) == target and not trt.timings


def test_kernels_that_rtx_compiled_are_kept_for_the_next_start(stand_in, options, baseline, cache_root):
    trt = stand_in(**RTX)
    for _ in range(2):
        opened = backend.open_engine(*baseline, options, 1)
        frame = image()
        assert np.array_equal(opened.infer(frame), 2 * frame[0, 0])
        opened.close()
    assert trt.kernels == [b"kernels"] and len(list(cache_root.glob("kernels/*"))) == 1


# Running, on a stand-in for the GPU


@pytest.fixture
def engine(stand_in, options, baseline):
    trt = stand_in()
    opened = backend.open_engine(*baseline, options, 1)
    opened.trt = trt
    yield opened
    opened.close()
    gc.collect()
    assert not trt.cuda.device and not trt.cuda.handles and not trt.cuda.host


def test_frames_run_as_one_graph(engine):
    calls = engine.trt.cuda.calls
    for seed in range(3):
        frame = image(seed=seed)
        assert np.array_equal(engine.infer(frame), 2 * frame[0, 0])
    assert calls[-4:] == ["cudaSetDevice", "cudaGraphLaunch", "cudaEventRecord", "cudaEventSynchronize"]
    assert engine.description == "TensorRT 10.3.0 fp32 on Orin" and len(engine.trt.builds) == 1


@pytest.mark.parametrize(
    "function",
    ["cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphInstantiateWithFlags", "cudaGraphLaunch"],
)
def test_without_a_graph_it_runs_all_the_same_and_says_so(engine, function):
    engine.trt.cuda.failures[function] = Code.cudaErrorStreamCaptureInvalidated
    frame = image()
    assert np.array_equal(engine.infer(frame), 2 * frame[0, 0])
    told = f"without CUDA graph ({function} failed: cudaErrorStreamCaptureInvalidated (901))"
    assert told in engine.description


def test_another_size_is_another_plan(engine):
    for size in (SMALL, (64, 64), SMALL):
        frame = image(size)
        assert np.array_equal(engine.infer(frame), 2 * frame[0, 0])
    assert len(engine.trt.builds) == 2


def test_two_sizes_that_alternate_build_and_open_nothing_again(engine):
    for _ in range(4):
        for size in (SMALL, (64, 64)):
            engine.infer(image(size))
    calls = engine.trt.cuda.calls
    before = calls.count("cudaStreamCreate")
    for _ in range(4):
        for size in (SMALL, (64, 64)):
            frame = image(size)
            assert np.array_equal(engine.infer(frame), 2 * frame[0, 0])
    assert len(engine.trt.builds) == 2 and calls.count("cudaStreamCreate") == before


def test_where_there_is_no_room_for_two_the_older_one_is_closed(stand_in, options, baseline):
    trt = stand_in(memory=60_000)  # a session of 80x64 takes 40,960 bytes, and there are two
    trt.context_bytes = 0
    opened = backend.open_engine(*baseline, options, 1)
    for size in (SMALL, (64, 64), SMALL):
        frame = image(size)
        assert np.array_equal(opened.infer(frame), 2 * frame[0, 0])
    assert len(trt.builds) == 2
    opened.close()


def test_a_frame_of_a_size_that_is_not_prepared_does_not_touch_the_good_session(engine):
    detector = Detector(engine, build_on_demand=False)
    detector.warm_up(60, 80)
    with pytest.raises(FrameError, match="built for frames of up to 80x64, not for 64x64") as caught:
        detector.detect(np.zeros((64, 64), np.uint8))
    assert caught.value.reason == "size_not_prepared"
    detector.detect(np.zeros((60, 80), np.uint8))
    assert len(engine.trt.builds) == 1


def test_a_build_that_is_cancelled_ends(stand_in, options, baseline, monkeypatch):
    trt = stand_in()
    task, begun = progress.Progress(lambda text: None), threading.Event()
    trt.IProgressMonitor = type("IProgressMonitor", (), {"__init__": lambda self: None})
    make_builder = trt.Builder

    def builder(logger):
        made = make_builder(logger)

        def build_until_cancelled(network, config):
            begun.set()
            while config.progress_monitor.step_complete("build", 0):
                time.sleep(0.01)

        made.build_serialized_network = build_until_cancelled
        return made

    monkeypatch.setattr(trt, "Builder", builder)
    caught = []

    def run():
        with progress.listen(task):
            try:
                backend.build(*baseline, options, SMALL)
            except EngineError as error:
                caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert begun.wait(20)
    task.cancelled.set()
    thread.join(20)
    assert not thread.is_alive() and isinstance(caught[0], progress.Cancelled)
    monkeypatch.setattr(trt, "Builder", make_builder)
    assert backend.build(*baseline, options, SMALL).is_file()


def test_the_self_test_is_kept_with_the_plan(engine, baseline):
    engine.backend, engine.precision, engine.passed_over, engine.folder = "tensorrt", "fp32", (), baseline[0]
    # The stand-in answers twice its input, which is not what the network answers.
    with pytest.raises(EngineError, match="self-test failed"):
        run_self_test(engine, SMALL)
    assert kept_self_test(engine.plan(SMALL)) is None
    result = SelfTest(ran=True, passed=True, text="as kept")
    keep_self_test(engine.plan(SMALL), asdict(result))
    assert run_self_test(engine, SMALL) == result
    assert backend.stale(*baseline, load_platform("cuda"), SMALL) is None


def test_any_thread_may_run_it_and_logits_outlive_it(engine):
    frame, answers = image(), []
    thread = threading.Thread(target=lambda: answers.append(engine.infer(frame)))
    thread.start()
    thread.join()
    engine.close()
    gc.collect()
    assert np.array_equal(answers.pop(), 2 * frame[0, 0])


def test_a_tensor_that_does_not_fit_is_refused(engine):
    with pytest.raises(EngineError, match="float32"):
        engine.infer(image().astype(np.float64))


def test_a_plan_that_the_runtime_refuses_is_built_once_more(engine):
    engine.trt.refused.add(b"(1, 1, 64, 80) build 0")
    frame = image()
    assert np.array_equal(engine.infer(frame), 2 * frame[0, 0])
    assert len(engine.trt.builds) == 2


def test_a_plan_that_is_refused_twice_is_not_built_for_every_frame(engine):
    engine.trt.refused.update({b"(1, 1, 64, 80) build 0", b"(1, 1, 64, 80) build 1"})
    for _ in range(3):
        with pytest.raises(
            EngineError,
            match="cannot run on 80x64: .*built here and refused all the same: "
            "TensorRT 10.3.0 refuses the plan: magic tag does not match",
        ):
            engine.infer(image())
    assert len(engine.trt.builds) == 2
    frame = image((64, 64))
    assert np.array_equal(engine.infer(frame), 2 * frame[0, 0])


@pytest.mark.parametrize(
    "context_bytes, told",
    [
        (1 << 40, r"need 1048576 MiB of GPU memory, 0 of 0 MiB are free \(OutOfMemory"),
        (0, r"need 1 MiB of GPU memory, 0 of 0 MiB are free \(cudaMalloc failed: cudaErrorMemoryAllocation"),
    ],
)
def test_want_of_memory_is_told_in_figures(stand_in, options, baseline, context_bytes, told):
    trt = stand_in(memory=1000)
    trt.context_bytes = context_bytes
    opened = backend.open_engine(*baseline, options, 1)
    with pytest.raises(EngineError, match=told):
        opened.infer(image())
    opened.close()
    gc.collect()
    assert not trt.cuda.device and not trt.cuda.handles and not trt.cuda.host


def test_a_gpu_that_fails_is_one_line(engine):
    engine.infer(image())
    engine.trt.cuda.failures["cudaEventSynchronize"] = Code.cudaErrorIllegalAddress
    with pytest.raises(EngineError, match="on 80x64: cudaEventSynchronize failed: cudaErrorIllegalAddress"):
        engine.infer(image())
    engine.trt.cuda.failures.clear()
