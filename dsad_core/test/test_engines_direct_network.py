"""The compiled kernels on the shipped network: answers, threads, instruction sets."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from direct_models import CPU, SHIPPED, WITH_DSA, needs_kernels, reference

from dsad_core.engines import direct
from dsad_core.engines.direct import library, plan
from dsad_core.engines.direct.fuse import fuse
from dsad_core.engines.direct.kinds import STREAM, Kind
from dsad_core.engines.direct.reader import read_graph
from dsad_core.engines.manifest import MODEL_FILE, load_manifest
from dsad_core.errors import EngineError

pytestmark = needs_kernels


@pytest.fixture(scope="module")
def scene(spots):
    """A function (height, width) -> a frame with targets as the shipped network takes it."""
    normalisation = load_manifest(SHIPPED).normalisation

    def draw(height, width, seed=0):
        centres = np.random.default_rng(seed).uniform((0, 0), (width, height), (4, 2))
        unit = spots(height, width, centres, seed=seed).astype(np.float32)
        return ((unit - normalisation.mean[0]) / normalisation.std[0])[None, None].astype(np.float32)

    return draw


@pytest.fixture(scope="module")
def shipped():
    engine = direct.open_engine(SHIPPED, load_manifest(SHIPPED), CPU, 2)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def shipped_reference():
    return reference((SHIPPED / MODEL_FILE).read_bytes())


def test_the_shipped_network_at_many_sizes_back_and_forth(shipped, shipped_reference, scene):
    for index, size in enumerate([(64, 48), (256, 256), (16, 16), (96, 320), (64, 48), (256, 256)]):
        image = scene(*size, seed=index)
        want, got = shipped_reference(image), shipped.infer(image)
        assert got.shape == size and got.dtype == np.float32
        assert np.abs(got - want).max() < 1e-3
        np.testing.assert_array_equal(got > 0, want > 0)


def test_the_network_with_dsa_at_many_sizes_back_and_forth(scene):
    engine = direct.open_engine(WITH_DSA, load_manifest(WITH_DSA), CPU, 2)
    expected = reference((WITH_DSA / MODEL_FILE).read_bytes())
    for index, size in enumerate([(64, 48), (256, 256), (16, 16), (96, 320), (64, 48)]):
        image = scene(*size, seed=index)
        want, got = expected(image), engine.infer(image)
        assert np.abs(got - want).max() < 3e-5 * np.abs(want).max()
        np.testing.assert_array_equal(got > 0, want > 0)
    engine.close()


@pytest.mark.parametrize("folder", [SHIPPED, WITH_DSA])
def test_the_shipped_network_is_all_fused(folder):
    ops = [node.op for node in fuse(read_graph(folder / MODEL_FILE)).nodes]
    assert ops.count("Attend") == 26 and not {"Relu", "Sigmoid", "Add", "Mul", "GlobalMean"} & set(ops)


@pytest.mark.parametrize("folder", [SHIPPED, WITH_DSA])
def test_writing_past_the_caches_changes_no_bit(folder, scene, monkeypatch):
    """Large frames do so; here small ones do, too, and the frame after them again does not."""
    manifest = load_manifest(folder)
    before = direct.open_engine(folder, manifest, CPU, 1)
    for threads in (1, 3):
        with monkeypatch.context() as patch:
            patch.setattr(plan, "LARGE", 0)
            patch.setattr(plan, "_STREAMED", 0)
            engine = direct.open_engine(folder, manifest, CPU, threads)
            for size in ((64, 48), (96, 336), (16, 16)):
                image = scene(*size)
                np.testing.assert_array_equal(engine.infer(image), before.infer(image))
                streamed, _ = engine._plans.get(size)
                assert any(op.kind == Kind.ATTEND and op.mode & STREAM for op in streamed.ops)
            engine.close()
    before.close()


def test_every_number_of_threads_gives_the_same_bits(shipped, scene):
    image = scene(96, 160)
    want = shipped.infer(image).copy()
    for threads in (1, 3):
        engine = direct.open_engine(SHIPPED, load_manifest(SHIPPED), CPU, threads)
        for _ in range(5):
            np.testing.assert_array_equal(engine.infer(image), want)
        assert engine.description.endswith(f", {threads} thread{'s' if threads > 1 else ''}")
        engine.close()


def test_a_frame_of_nan_leaves_nothing_behind(shipped, scene):
    image = scene(64, 48)
    want = shipped.infer(image).copy()
    shipped.infer(np.full_like(image, np.nan))
    np.testing.assert_array_equal(shipped.infer(image), want)


def test_close_ends_the_threads_and_infer_then_says_so(scene):
    before = set(os.listdir("/proc/self/task"))
    engine = direct.open_engine(SHIPPED, load_manifest(SHIPPED), CPU, 4)
    assert len(set(os.listdir("/proc/self/task")) - before) == 3
    engine.infer(scene(16, 16))
    engine.close()
    engine.close()
    # A thread that was waited for stands there until the system has cleared it away.
    deadline = time.monotonic() + 30
    while set(os.listdir("/proc/self/task")) - before and time.monotonic() < deadline:
        os.sched_yield()
    assert not set(os.listdir("/proc/self/task")) - before
    with pytest.raises(EngineError, match="closed"):
        engine.infer(scene(16, 16))


def test_two_engines_at_once_from_other_threads(scene):
    images = [scene(48, 64, seed=seed) for seed in range(2)]
    engines = [direct.open_engine(SHIPPED, load_manifest(SHIPPED), CPU, 2) for _ in images]
    want = [engine.infer(image).copy() for engine, image in zip(engines, images)]

    def repeat(index):
        return [engines[index].infer(images[index]).copy() for _ in range(40)]

    with ThreadPoolExecutor(2) as pool:
        for index, results in enumerate(pool.map(repeat, range(2))):
            for result in results:
                np.testing.assert_array_equal(result, want[index])
    for engine in engines:
        engine.close()


@pytest.mark.skipif(library.platform.machine() != "x86_64", reason="one instruction set on this machine")
@pytest.mark.parametrize("folder", [SHIPPED, WITH_DSA])
def test_the_build_for_older_cpus_agrees(folder, monkeypatch, scene):
    library.load_kernels.cache_clear()
    monkeypatch.setattr(library, "_X86_BUILDS", library._X86_BUILDS[1:])
    engine = direct.open_engine(folder, load_manifest(folder), CPU, 1)
    library.load_kernels.cache_clear()
    assert "x86-64-v3" in engine.description
    image = scene(48, 80)
    want, got = reference((folder / MODEL_FILE).read_bytes())(image), engine.infer(image)
    assert np.abs(got - want).max() < 3e-5 * np.abs(want).max()
    np.testing.assert_array_equal(got > 0, want > 0)
    engine.close()
