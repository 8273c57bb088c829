"""Programs on 8-bit integers: the same integers as in NumPy, and the masks of the float32 engine."""

import numpy as np
import pytest
from direct_models import CPU, SHIPPED, calibrated, needs_kernels, on_bytes

from dsad_core.detector import Detector
from dsad_core.engines import direct
from dsad_core.engines.direct.engine import DirectEngine, load_graph
from dsad_core.engines.direct.graph import Graph, Map, Node
from dsad_core.engines.direct.library import load_kernels
from dsad_core.engines.direct.parameters import samples
from dsad_core.engines.direct.plan import Plan
from dsad_core.engines.direct.quantise import quantise, weights_of
from dsad_core.engines.load import load_engine
from dsad_core.engines.manifest import INPUT_NAME, OUTPUT_NAME, load_manifest
from dsad_core.engines.self_test import frames, run_self_test
from dsad_core.errors import UnsupportedModelError

needs_vnni = pytest.mark.skipif(
    not all(each.ok for each in direct.requirements(CPU)) or not load_kernels().bytes,
    reason="no kernels, or a CPU without AVX-512 VNNI",
)


class Little:
    """A block that makes a map in bytes, and what is asked of it; any map can be read back channel by channel."""

    def __init__(self, channels, seed=0):
        self.rng = np.random.default_rng(seed)
        self.maps = {INPUT_NAME: Map(1)}
        self.nodes = []
        first = self.add("Conv", [INPUT_NAME], channels, **self.conv(1, channels), relu=True)
        gate = self.rng.normal(size=2 * channels + 1 + channels).astype(np.float32)
        gate = gate[None, :channels], gate[:1], gate[channels : 2 * channels, None], gate[-channels:]
        mapped = self.add("Conv", [first], channels, **self.conv(channels, channels), gate=gate)
        self.nodes[-1].outputs.append("gate")
        self.maps |= {"gate": Map(channels, pooled=True), "mean": Map(1), "most": Map(1)}
        self.nodes.append(Node("Channels", [mapped, "gate"], ["mean", "most"]))
        self.steps = {}
        step = self.rng.uniform(0.01, 0.02, channels).astype(np.float32)
        spatial = {"weights": self.weights(1, 2, 7), "bias": np.zeros(1, np.float32), "dilation": 1}
        inputs = [mapped, "gate", "mean", "most", first]
        self.block = self.add("Attend", inputs, channels, spatial=spatial, shortcut=None, made=step)
        self.steps[self.block] = step

    def weights(self, outputs, inputs, side):
        return (self.rng.normal(size=(outputs, inputs, side, side)) / np.sqrt(inputs * side**2)).astype(
            np.float32
        )

    def conv(self, inputs, outputs, side=3):
        bias = self.rng.normal(size=outputs).astype(np.float32)
        return {"weights": self.weights(outputs, inputs, side), "bias": bias, "dilation": 1}

    def add(self, op, inputs, channels, **attributes):
        name = f"m{len(self.nodes)}"
        self.maps[name] = Map(channels)
        self.nodes.append(Node(op, inputs, [name], attributes))
        return name

    def read(self, name, image, packed=True):
        """A map's values (C,h,w), by a program for each channel that ends in it."""
        channels, kernels = self.maps[name].channels, load_kernels()
        pool, found = kernels.open_pool(2), []
        try:
            for wanted in range(channels):
                nodes, maps = list(self.nodes), dict(self.maps)
                if packed:
                    nodes.append(
                        Node("Floats", [name], ["floats"], {"levels": np.ones(channels, np.float32)})
                    )
                    maps["floats"] = Map(channels)
                one = np.zeros((1, channels, 1, 1), np.float32)
                one[0, wanted] = 1
                attributes = {"weights": one, "bias": np.zeros(1, np.float32), "dilation": 1}
                nodes.append(Node("Conv", ["floats" if packed else name], [OUTPUT_NAME], attributes))
                maps[OUTPUT_NAME] = Map(1)
                height, width = image.shape
                plan = Plan(Graph(nodes, maps, {}), height, width, kernels.lanes)
                logits = np.empty((height, width), np.float32)
                kernels.run(pool, plan.ops, np.ascontiguousarray(image[None, None]), logits)
                found.append(logits)
        finally:
            kernels.close_pool(pool)
        return np.stack(found)


def convolved(values, conv, levels):
    """Sums (O,h,w) int64 of bytes (I,h,w), and the outputs' scales."""
    weights, scales = weights_of(conv, levels)
    _, height, width = values.shape
    reach = weights.shape[2] // 2
    padded = np.pad(values.astype(np.int64), ((0, 0), (reach, reach), (reach, reach)))
    sums = np.zeros((len(weights), height, width), np.int64)
    for v in range(weights.shape[2]):
        for u in range(weights.shape[3]):
            part = padded[:, v : v + height, u : u + width]
            sums += np.tensordot(weights[:, :, v, u].astype(np.int64), part, 1)
    return sums, scales


def image_of(size, seed=1):
    return np.random.default_rng(seed).normal(size=size).astype(np.float32)


@needs_vnni
@pytest.mark.parametrize("size", [(16, 16), (20, 37), (70, 100)])
def test_a_convolution_sums_the_same_integers(size):
    little, image = Little(8), image_of(size)
    made = np.full(12, 0.02, np.float32)
    conv, shortcut = little.conv(8, 12), little.conv(8, 12, 1)
    levels = little.steps[little.block]
    source = little.read(little.block, image)
    assert source.max() > 20 and np.array_equal(source, np.rint(source)) and source.min() >= 0
    name = little.add(
        "ConvBytes", [little.block], 12, **conv, relu=True, levels=levels, made=made, shortcut=shortcut
    )
    little.nodes[-1].outputs.append("beside")
    little.maps["beside"] = Map(12)
    sums, scales = convolved(source, conv, levels)
    exact = (sums * scales[:, None, None] + conv["bias"][:, None, None]) / made[:, None, None]
    # A half may round either way in float32.
    assert np.abs(little.read(name, image) - np.clip(exact, 0, 255)).max() < 0.501
    sums, scales = convolved(source, shortcut, levels)
    want = sums * scales[:, None, None] + shortcut["bias"][:, None, None]
    np.testing.assert_allclose(little.read("beside", image, packed=False), want, rtol=1e-5, atol=1e-5)


def sampled(values, by_rows, by_columns):
    """A resized map in bytes (C,h,w), as integers go through it: shares of 1/127 along rows, of 2^-15 along columns."""
    (rows, row_shares), (columns, column_shares) = by_rows, by_columns
    values = values.astype(np.int64)
    share = np.rint(column_shares * np.float32(127)).astype(np.int64)
    after = np.minimum(columns + 1, values.shape[2] - 1)
    lines = values[:, :, columns] * (127 - share) + values[:, :, after] * share
    share = np.floor(row_shares * np.float32(32767) + np.float32(0.5)).astype(np.int64)[:, None]
    below = np.minimum(rows + 1, values.shape[1] - 1)
    value = lines[:, rows] + (((lines[:, below] - lines[:, rows]) * share + 2**14) >> 15)
    return (value * 258 + 2**14) >> 15


@needs_vnni
@pytest.mark.parametrize("size", [(16, 16), (36, 72)])
def test_it_samples_halved_maps_by_itself(size):
    little, image = Little(4), image_of(size)
    levels = little.steps[little.block]
    source = little.read(little.block, image)
    half = source.reshape(4, size[0] // 2, 2, size[1] // 2, 2).max((2, 4))
    pooled = little.add("MaxPool", [little.block], 4, size=2, ceil=False, bytes=True)
    large = little.add("Resize", [pooled], 4, scale=2.0, positions="align_corners")
    both = little.add("Concat", [little.block, large], 8)
    conv, made = little.conv(8, 4), np.full(4, 0.02, np.float32)
    steps = np.concatenate([levels, levels])
    name = little.add("ConvBytes", [both], 4, **conv, relu=True, levels=steps, made=made)
    axes = [samples(length, length // 2, 2.0, "align_corners") for length in size]
    cut = [(first[:length], share[:length]) for (first, share), length in zip(axes, size)]
    sums, scales = convolved(np.concatenate([source, sampled(half, *cut)]), conv, steps)
    exact = (sums * scales[:, None, None] + conv["bias"][:, None, None]) / made[:, None, None]
    assert np.abs(little.read(name, image) - np.clip(exact, 0, 255)).max() < 0.501


@pytest.fixture(scope="module")
def ranges():
    return calibrated(SHIPPED)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return on_bytes(SHIPPED, tmp_path_factory.mktemp("engines"))


@needs_vnni
def test_the_masks_are_almost_those_of_float32_and_the_same_on_any_threads(folder):
    engines = [
        load_engine(each, "cpu", threads, "direct")
        for each, threads in ((SHIPPED, 1), (folder, 1), (folder, 3))
    ]
    assert engines[1].precision == "int8" and "int8" in engines[1].description
    detectors = [Detector(engine) for engine in engines]
    overlap = either = 0
    for frame in frames():
        float32, one, three = (detector.logits(frame).copy() for detector in detectors)
        np.testing.assert_array_equal(one, three)
        assert not np.array_equal(one, float32)
        overlap += ((one > 0) & (float32 > 0)).sum()
        either += ((one > 0) | (float32 > 0)).sum()
    for engine in engines:
        engine.close()
    assert either > 40 and overlap / either > 0.85


@needs_vnni
def test_the_self_test_compares_it_with_the_float32_model(folder):
    engine = load_engine(folder, "cpu", 1, "direct")
    result = run_self_test(engine)
    engine.close()
    assert result.ran and result.passed and result.largest_logit_difference > 0, result.text


def test_other_backends_do_not_take_its_float32_model_for_it(folder):
    with pytest.raises(UnsupportedModelError, match="program of backend direct"):
        load_engine(folder, "cpu", 1, "onnxruntime")


@needs_kernels
def test_a_cpu_without_the_instruction_refuses_in_one_line(folder, monkeypatch):
    monkeypatch.setattr(load_kernels(), "bytes", False)
    with pytest.raises(UnsupportedModelError, match="dnanet-num4-nudt-int8 .* need a CPU with AVX-512 VNNI"):
        DirectEngine(folder, load_manifest(folder), CPU, 1)


def test_a_range_that_is_missing_or_none_is_refused(ranges):
    graph = load_graph(SHIPPED, load_manifest(SHIPPED))
    name = next(iter(ranges))
    for bad in ({}, {**ranges, name: ranges[name][:-1]}, {**ranges, name: ranges[name] * np.float32(np.nan)}):
        with pytest.raises(UnsupportedModelError, match="no range of"):
            quantise(graph, bad)


def test_the_first_block_attention_and_the_ends_stay_float32(ranges):
    graph = load_graph(SHIPPED, load_manifest(SHIPPED))
    made = quantise(graph, ranges)
    floats = [node for node in made.nodes if node.op == "Conv"]
    # The two of the first block, four 1x1 of the ends, the two of the last block, and what gives the logits.
    assert len(floats) == 9 and sum(node.op == "ConvBytes" for node in made.nodes) == 48
    assert INPUT_NAME in floats[0].inputs and OUTPUT_NAME in floats[-1].outputs
