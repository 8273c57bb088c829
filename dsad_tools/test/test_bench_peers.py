"""Runtimes of others give the engine's answers, or say why they do not run."""

import importlib.util

import numpy as np
import pytest

from dsad_core.engines.locate import find_engine
from dsad_core.errors import DsadError, NotInstalledError, PlatformError
from dsad_core.machine import cpu_flags
from dsad_tools.bench.measure import scenes
from dsad_tools.bench.models import Model
from dsad_tools.bench.peers import open_mnn, open_openvino_bf16
from dsad_tools.bench.runtimes import runtimes

MODEL = Model(find_engine("dnanet-num4-nudt"))
ARGUMENTS = MODEL, "cpu", 1, (64, 96)


def reference(tensor):
    engine = runtimes("cpu", ["onnxruntime"])[0].open(*ARGUMENTS)
    try:
        return engine.infer(tensor)
    finally:
        engine.close()


def test_openvino_in_bfloat16_is_close_where_the_cpu_has_it():
    pytest.importorskip("openvino")
    if not {"avx512_bf16", "amx_bf16", "bf16"} & cpu_flags():
        with pytest.raises(DsadError, match="OpenVINO computes in"):
            open_openvino_bf16(*ARGUMENTS)
        return
    tensor = next(scenes(MODEL.manifest, 64, 96))
    engine, want = open_openvino_bf16(*ARGUMENTS), reference(tensor)
    error = np.abs(engine.infer(tensor) - want).max() / np.abs(want).max()
    assert "bf16" in engine.description
    # Eight bits of mantissa: neither float32 nor something else.
    assert 1e-5 < error < 0.2
    engine.close()


def test_mnn_gives_the_masks():
    pytest.importorskip("MNN")
    tensor = next(scenes(MODEL.manifest, 64, 96))
    engine, want = open_mnn(*ARGUMENTS), reference(tensor)
    got = engine.infer(tensor)
    assert got.shape == want.shape and np.abs(got - want).max() < 1e-3 * np.abs(want).max()
    np.testing.assert_array_equal(got > 0, want > 0)
    engine.close()


@pytest.mark.skipif(importlib.util.find_spec("MNN") is not None, reason="MNN is installed")
def test_what_is_not_installed_says_how_to_get_it():
    with pytest.raises(NotInstalledError, match="pip install MNN"):
        open_mnn(*ARGUMENTS)


@pytest.mark.parametrize("opener", [open_mnn, open_openvino_bf16])
def test_they_run_on_a_cpu_alone(opener):
    with pytest.raises(PlatformError, match="target cpu alone"):
        opener(MODEL, "cuda", 1, (64, 96))
