"""Contenders in processes of their own, and the machine that all are held against."""

import os
from functools import partial

import numpy as np
import pytest

from dsad_core.engines.direct.library import load_kernels
from dsad_core.engines.locate import find_engine
from dsad_core.errors import EngineError, PlatformError
from dsad_core.machine import cpu_model
from dsad_tools.bench.apart import Apart, run_apart
from dsad_tools.bench.bound import bound_ms, multiplications
from dsad_tools.bench.machine import bench_machine, machine_line
from dsad_tools.bench.measure import scenes
from dsad_tools.bench.models import Model
from dsad_tools.bench.runtimes import Runtime, runtimes

MODEL = Model(find_engine("local-contrast"))
ARGUMENTS = MODEL, "cpu", 1, (32, 48)


def open_plain(*arguments):
    return next(way for way in runtimes("cpu", ["onnxruntime"]) if way.name == "plain onnxruntime").open(
        *arguments
    )


def refuse(reason, *_):
    raise PlatformError(f"{reason} in {os.getpid()}")


def test_answers_and_times_come_from_the_other_process():
    tensor = next(scenes(MODEL.manifest, 32, 48))
    here, apart = open_plain(*ARGUMENTS), Runtime("way", False, open_plain, apart=True).start(*ARGUMENTS)
    assert isinstance(apart, Apart) and apart.description == here.description
    np.testing.assert_array_equal(apart.infer(tensor), here.infer(tensor))
    assert 0 < apart.take_turn(tensor, 0) < 60e9
    apart.close()


def test_a_refusal_comes_across_and_leaves_no_process():
    with pytest.raises(PlatformError, match="^not today in ") as caught:
        Apart(partial(refuse, "not today"), *ARGUMENTS)
    assert str(os.getpid()) not in str(caught.value)


def test_a_process_that_dies_is_one_line():
    with pytest.raises(EngineError, match="^its process died$"):
        run_apart(os._exit, 3)


def test_the_peak_stands_in_the_line_of_the_machine():
    facts = bench_machine([1, 2])
    one, two = (facts["peak_gflops"][count] for count in ("1", "2"))
    # From one operation a cycle of a slow CPU to 64 of a fast one.
    assert 0.5 < one < 400 and 0.5 < two < 800
    line = machine_line(facts)
    assert f"measured peak {one:g} on 1 thread, {two:g} on 2 threads GFLOP/s" in line
    assert cpu_model() in line and all(flag in line for flag in facts["cpu_flags"])


def test_the_bound_counts_every_convolution_of_the_padded_frame():
    model = Model(find_engine("dnanet-num4-nudt"))
    assert multiplications(model, (256, 256)) == 922_133_504
    assert multiplications(model, (241, 250)) == 922_133_504  # padded to 256x256
    assert multiplications(model, (512, 640)) == 5 * 922_133_504
    assert multiplications(MODEL, (256, 256)) is None  # 13x13, for which there is no kernel
    assert bound_ms(922_133_504, 100.0) == pytest.approx(18.44267)
    assert bound_ms(None, 100.0) is None and bound_ms(1, None) is None


def test_threads_that_cannot_be_counted_are_refused():
    with pytest.raises(PlatformError, match="threads cannot be started"):
        load_kernels().peak(-1)
