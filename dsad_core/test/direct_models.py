"""Little ONNX graphs for the compiled kernels, and onnxruntime's answers to them."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from dsad_core.detector import Detector
from dsad_core.engines import direct
from dsad_core.engines.direct.calibrate import CalibratingEngine
from dsad_core.engines.direct.engine import load_graph
from dsad_core.engines.direct.fuse import fuse
from dsad_core.engines.direct.program import make_program
from dsad_core.engines.direct.quantise import ranged_maps
from dsad_core.engines.direct.reader import read_graph
from dsad_core.engines.locate import find_engine
from dsad_core.engines.manifest import (
    INPUT_NAME,
    MODEL_FILE,
    OUTPUT_NAME,
    PROGRAM_FILE,
    load_manifest,
    save_manifest,
)
from dsad_core.engines.platform import load_platform
from dsad_core.engines.self_test import frames
from dsad_core.files import sha256_file

needs_kernels = pytest.mark.skipif(
    shutil.which("g++") is None and not all(each.ok for each in direct.requirements(load_platform("cpu"))),
    reason="neither compiled kernels nor a g++ to build them",
)

SHIPPED = find_engine("dnanet-num4-nudt")
WITH_DSA = find_engine("dnanet-num4-dsa-dsad-nudt")
CPU = load_platform("cpu")


class Model:
    """An ONNX graph in the making; every operator's method returns its output's name."""

    def __init__(self, channels=3, seed=0):
        self.rng = np.random.default_rng(seed)
        self.channels = {INPUT_NAME: channels}
        self.nodes, self.weights = [], []

    def constant(self, array):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def random(self, *shape):
        fan_in = np.prod(shape[1:]) if len(shape) > 1 else 1
        return self.constant((self.rng.normal(size=shape) / np.sqrt(fan_in)).astype(np.float32))

    def op(self, kind, *inputs, channels=None, output=None, **attributes):
        output = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        self.channels[output] = channels or self.channels.get(inputs[0], 1)
        return output

    def conv(self, name, channels, size=3, dilation=1, bias=True, weights=None, output=None):
        weights = weights or self.random(channels, self.channels[name], size, size)
        pad = dilation * (size // 2)
        inputs = [name, weights, self.random(channels)] if bias else [name, weights]
        return self.op(
            "Conv",
            *inputs,
            channels=channels,
            output=output,
            kernel_shape=[size] * 2,
            pads=[pad] * 4,
            dilations=[dilation] * 2,
        )

    def concat(self, *names):
        return self.op("Concat", *names, channels=sum(self.channels[name] for name in names), axis=1)

    def edge_conv(self, name, channels, size=7):
        """A convolution beyond whose border the border is repeated."""
        pads = self.constant(np.array([0, 0, size // 2, size // 2] * 2))
        return self.op(
            "Conv",
            self.op("Pad", name, pads, mode="edge"),
            self.random(channels, self.channels[name], size, size),
            channels=channels,
        )

    def resize(self, name, scale, mode="align_corners"):
        scales = self.constant(np.array([1, 1, scale, scale], np.float32))
        return self.op("Resize", name, "", scales, mode="linear", coordinate_transformation_mode=mode)

    def group_norm(self, name, groups, bias=0.0):
        """As torch's exporter writes it, but for the factors of each channel that follow."""
        held = self.op("Reshape", name, self.constant(np.array([0, groups, -1])))
        factors = [self.constant(np.full(groups, number, np.float32)) for number in (1.0, bias)]
        normalised = self.op("InstanceNormalization", held, *factors, epsilon=1e-5)
        return self.op("Reshape", normalised, self.op("Shape", name), channels=self.channels[name])

    def squeeze(self, name, hidden):
        """A factor a channel by two linear layers, as torch's exporter writes them."""
        channels = self.channels[name]
        flat = self.op("Reshape", self.op("GlobalAveragePool", name), self.constant(np.array([0, channels])))
        inner = self.op("Relu", self.op("MatMul", flat, self.random(channels, hidden), channels=hidden))
        gate = self.op("Sigmoid", self.op("MatMul", inner, self.random(hidden, channels), channels=channels))
        return self.op("Unsqueeze", gate, self.constant(np.array([2, 3])))

    def attention_block(
        self, name, channels, size=7, hidden=2, project=True, alike=True, stacked=False, axes=0, shortcut=None
    ):
        """The residual block of DNANet and AMFU-Net, of CBAM or, with four axes, of DSA; stacked as the
        compiler writes it."""
        body = self.conv(self.op("Relu", self.conv(name, channels)), channels)
        layers = [(self.random(hidden, channels, 1, 1), self.random(channels, hidden, 1, 1))] * 2
        if not alike:
            layers[1] = (self.random(hidden, channels, 1, 1), layers[0][1])
        pools = [self.op(kind, body) for kind in ("GlobalAveragePool", "GlobalMaxPool")]
        if stacked:
            pools = [self.op("Concat", *pools, axis=2)]
        branches = []
        for pool, (first, second) in zip(pools, layers):
            inner = self.op("Relu", self.conv(pool, hidden, 1, bias=False, weights=first))
            branches.append(self.conv(inner, channels, 1, bias=False, weights=second))
        both = (
            self.op("ReduceSum", branches[0], self.constant(np.array([2])), keepdims=1)
            if stacked
            else self.op("Add", *branches)
        )
        gated = self.op("Mul", self.op("Sigmoid", both), body)
        pair = [self.op(kind, gated, channels=1, **({"axes": [1]})) for kind in ("ReduceMean", "ReduceMax")]
        if axes:
            responses = self.edge_conv(self.concat(*pair), axes, size)
            spatial = self.op("ReduceMin", self.op("Mul", responses, responses), channels=1, axes=[1])
        else:
            spatial = self.conv(self.concat(*pair), 1, size, bias=False)
        attention = self.op("Sigmoid", spatial)
        attended = self.op("Mul", attention, gated, channels=channels)
        shortcut = self.conv(shortcut or name, channels, 1) if project else name
        return self.op("Relu", self.op("Add", attended, shortcut))

    def proto(self, last=None, output_channels=1):
        if last is not None:
            self.conv(last, output_channels, 1, output=OUTPUT_NAME)
        ends = {INPUT_NAME: self.channels[INPUT_NAME], OUTPUT_NAME: output_channels}
        values = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, "height", "width"])
            for name, channels in ends.items()
        ]
        graph = helper.make_graph(self.nodes, "test", values[:1], values[1:], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def image(self, height, width):
        return self.rng.normal(size=(1, self.channels[INPUT_NAME], height, width)).astype(np.float32)


def open_model(folder, proto, threads=1, multiple=1, **changes):
    """The engine of a model that no manifest was written for."""
    Path(folder, MODEL_FILE).write_bytes(proto if isinstance(proto, bytes) else proto.SerializeToString())
    channels = 1 if isinstance(proto, bytes) else proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    manifest = load_manifest(SHIPPED).model_copy(
        update={"input_channels": channels, "size_multiple": multiple, "program_sha256": None, **changes}
    )
    return direct.open_engine(Path(folder), manifest, CPU, threads)


def reference(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    source = model if isinstance(model, bytes) else model.SerializeToString()
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {INPUT_NAME: image})[0][0, 0]


def assert_same(model, last, *sizes, multiple=1):
    """onnxruntime and the kernels agree on images of these sizes, one after the other."""
    proto = model.proto(last)
    expected = reference(proto)
    with tempfile.TemporaryDirectory() as folder:
        engine = open_model(folder, proto, multiple=multiple)
        try:
            for size in sizes:
                image = model.image(*size)
                want = expected(image)
                np.testing.assert_allclose(
                    engine.infer(image), want, rtol=1e-4, atol=2e-5 * max(1, np.abs(want).max())
                )
        finally:
            engine.close()


def fused_nodes(proto):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, MODEL_FILE).write_bytes(proto.SerializeToString())
        return fuse(read_graph(Path(folder, MODEL_FILE))).nodes


def fused(proto):
    return [node.op for node in fused_nodes(proto)]


def calibrated(folder):
    """The ranges of an engine's maps on the frames of the self-test."""
    manifest = load_manifest(folder)
    engine = CalibratingEngine(folder, manifest, ranged_maps(load_graph(folder, manifest)))
    detector = Detector(engine)
    for frame in frames():
        detector.logits(frame)
    return engine.ranges


def on_bytes(folder, parent):
    """A copy of an engine that runs on 8-bit integers."""
    made = parent / f"{folder.name}-int8"
    made.mkdir()
    shutil.copyfile(folder / MODEL_FILE, made / MODEL_FILE)
    (made / PROGRAM_FILE).write_text(make_program(made / MODEL_FILE, calibrated(folder)))
    changes = {"name": made.name, "precision": "int8", "program_sha256": sha256_file(made / PROGRAM_FILE)}
    save_manifest(made, load_manifest(folder).model_copy(update=changes))
    return made
