"""The compiled kernels against onnxruntime: operators, patterns, the shipped network, what is refused."""

import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from dsad_core.engines import direct
from dsad_core.engines.direct import library
from dsad_core.engines.direct.fuse import fuse
from dsad_core.engines.direct.reader import read_graph
from dsad_core.engines.locate import find_engine
from dsad_core.engines.manifest import INPUT_NAME, MODEL_FILE, OUTPUT_NAME, load_manifest
from dsad_core.engines.target_file import load_target
from dsad_core.errors import EngineError, TargetError, UnsupportedModelError
from dsad_core.scenes.generator import SceneGenerator

pytestmark = pytest.mark.skipif(
    shutil.which("g++") is None and not all(each.ok for each in direct.requirements(load_target("cpu"))),
    reason="neither compiled kernels nor a g++ to build them")

SHIPPED = find_engine("dnanet-num4-nudt")
CPU = load_target("cpu")
CHANNELS = st.sampled_from([1, 3, 4, 5, 17])
SIDE = st.integers(1, 40)
FEW = settings(max_examples=25, deadline=None)


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
        return self.op("Conv", *inputs, channels=channels, output=output, kernel_shape=[size] * 2,
                       pads=[pad] * 4, dilations=[dilation] * 2)

    def concat(self, *names):
        return self.op("Concat", *names, channels=sum(self.channels[name] for name in names), axis=1)

    def resize(self, name, scale, mode="align_corners"):
        scales = self.constant(np.array([1, 1, scale, scale], np.float32))
        return self.op("Resize", name, "", scales, mode="linear", coordinate_transformation_mode=mode)

    def attention_block(self, name, channels, size=7, hidden=2, project=True, alike=True, stacked=False):
        """The residual block of DNANet and AMFU-Net; stacked as the compiler writes it."""
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
        both = (self.op("ReduceSum", branches[0], self.constant(np.array([2])), keepdims=1) if stacked else
                self.op("Add", *branches))
        gated = self.op("Mul", self.op("Sigmoid", both), body)
        pair = [self.op(kind, gated, channels=1, **({"axes": [1]})) for kind in ("ReduceMean", "ReduceMax")]
        attention = self.op("Sigmoid", self.conv(self.concat(*pair), 1, size, bias=False))
        attended = self.op("Mul", attention, gated, channels=channels)
        shortcut = self.conv(name, channels, 1) if project else name
        return self.op("Relu", self.op("Add", attended, shortcut))

    def proto(self, last=None, output_channels=1):
        if last is not None:
            self.conv(last, output_channels, 1, output=OUTPUT_NAME)
        ends = {INPUT_NAME: self.channels[INPUT_NAME], OUTPUT_NAME: output_channels}
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, "height", "width"])
                  for name, channels in ends.items()]
        graph = helper.make_graph(self.nodes, "test", values[:1], values[1:], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def image(self, height, width):
        return self.rng.normal(size=(1, self.channels[INPUT_NAME], height, width)).astype(np.float32)


def open_model(folder, proto, threads=1, multiple=1, **changes):
    """The engine of a model that no manifest was written for."""
    Path(folder, MODEL_FILE).write_bytes(proto if isinstance(proto, bytes) else proto.SerializeToString())
    channels = 1 if isinstance(proto, bytes) else proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    manifest = load_manifest(SHIPPED).model_copy(
        update={"input_channels": channels, "size_multiple": multiple, **changes})
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
                np.testing.assert_allclose(engine.infer(image), want, rtol=1e-4,
                                           atol=2e-5 * max(1, np.abs(want).max()))
        finally:
            engine.close()


def fused(proto):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, MODEL_FILE).write_bytes(proto.SerializeToString())
        return [node.op for node in fuse(read_graph(Path(folder, MODEL_FILE))).nodes]


@pytest.fixture(scope="module")
def scene():
    """A function (height, width) -> a generated frame as the shipped network takes it."""
    normalisation = load_manifest(SHIPPED).normalisation

    def draw(height, width, seed=0):
        frame = next(iter(SceneGenerator(256, 320, 1, seed=seed))).image[:height, :width]
        unit = frame.astype(np.float32) / 255
        return ((unit - normalisation.mean[0]) / normalisation.std[0])[None, None].astype(np.float32)

    return draw


def test_the_kernels_are_built_where_there_is_a_compiler():
    assert library.load_kernels().lanes in (4, 8, 16)
    assert all(finding.ok for finding in direct.requirements(CPU))


@FEW
@given(size=st.sampled_from([1, 3, 5, 7]), dilation=st.integers(1, 3), inputs=CHANNELS, outputs=CHANNELS,
       height=SIDE, width=st.integers(1, 150), relu=st.booleans(), add=st.booleans(), seed=st.integers(0, 99))
def test_convolutions(size, dilation, inputs, outputs, height, width, relu, add, seed):
    model = Model(inputs, seed)
    last = model.conv(INPUT_NAME, outputs, size, dilation)
    if add:
        last = model.op("Add", last, model.conv(INPUT_NAME, outputs, 1))
    if relu:
        last = model.op("Relu", last)
    assert_same(model, last, (height, width))


@FEW
@given(scale=st.sampled_from([0.5, 1, 2, 3, 4, 16]), channels=CHANNELS, height=st.integers(1, 20),
       width=st.integers(1, 40), mode=st.sampled_from(["align_corners", "half_pixel", "pytorch_half_pixel"]))
def test_resizing(scale, channels, height, width, mode):
    """Halved, or made small by a pool, and brought back to the image's size."""
    model = Model(channels)
    factor = 2 if scale == 0.5 else int(scale)
    small = (model.resize(INPUT_NAME, 0.5, mode) if scale == 0.5 else
             model.op("MaxPool", INPUT_NAME, kernel_shape=[factor] * 2, strides=[factor] * 2))
    assert_same(model, model.resize(small, factor, mode), (factor * height, factor * width), multiple=factor)


@FEW
@given(size=st.sampled_from([2, 3, 4]), ceil=st.booleans(), channels=CHANNELS, height=SIDE,
       width=st.integers(1, 70))
def test_pooling(size, ceil, channels, height, width):
    model = Model(channels)
    pooled = model.op("MaxPool", INPUT_NAME, kernel_shape=[size] * 2, strides=[size] * 2, ceil_mode=int(ceil))
    whole = model.conv(model.op("GlobalMaxPool", pooled), channels, 1)
    if not ceil:
        height, width = size * height, size * width
    assert_same(model, model.op("Add", INPUT_NAME, whole), (height, width))


@FEW
@given(channels=CHANNELS, height=SIDE, width=st.integers(1, 70), seed=st.integers(0, 99))
def test_what_is_done_pixel_by_pixel(channels, height, width, seed):
    """Every kind of broadcast: map, pooled map, one channel, constant."""
    model = Model(channels, seed)
    mean = model.op("ReduceMean", INPUT_NAME, channels=1, axes=[1])
    most = model.op("ReduceMax", INPUT_NAME, channels=1, axes=[1])
    pooled = model.op("Sigmoid", model.op("ReduceMean", INPUT_NAME, axes=[2, 3]))
    numbers = model.constant(model.rng.normal(size=(1, channels, 1, 1)).astype(np.float32))
    last = model.op("Add", model.op("Mul", mean, INPUT_NAME, channels=channels), most)
    last = model.op("Mul", pooled, last, channels=channels)
    last = model.op("Add", model.op("Mul", last, numbers), model.constant(np.float32(0.25)))
    last = model.op("Div", model.op("Relu", last), model.constant(np.float32(5)))
    statistics = [model.constant(model.rng.uniform(0.5, 2, channels).astype(np.float32)) for _ in range(4)]
    last = model.op("BatchNormalization", last, *statistics)
    assert_same(model, model.op("Sigmoid", model.concat(last, INPUT_NAME)), (height, width))


@FEW
@given(inputs=CHANNELS, channels=CHANNELS, size=st.sampled_from([3, 7]), hidden=st.integers(1, 3),
       height=SIDE, width=st.integers(1, 300), project=st.booleans(), stacked=st.booleans(),
       seed=st.integers(0, 99))
def test_attention_blocks_are_fused(inputs, channels, size, hidden, height, width, project, stacked, seed):
    model = Model(inputs, seed)
    start = INPUT_NAME if project else model.op("Relu", model.conv(INPUT_NAME, channels))
    last = model.attention_block(start, channels, size, hidden, project, stacked=stacked)
    assert_same(model, last, (height, width))
    assert fused(model.proto()) == ["Conv"] * (2 if project else 3) + ["Channels", "Attend", "Conv"]


@pytest.mark.parametrize("change", ["other weights", "kernel", "gated used again", "attention used again"])
def test_what_only_looks_like_attention_is_right_too(change):
    model = Model(4)
    size = 5 if change == "kernel" else 7
    last = model.attention_block(INPUT_NAME, 5, size, alike=change != "other weights")
    if change.endswith("again"):
        kind, which = ("Sigmoid", -1) if change.startswith("attention") else ("Mul", 0)
        used = [node.output[0] for node in model.nodes if node.op_type == kind]
        last = model.op("Mul", last, used[which])
    assert_same(model, last, (23, 37), (16, 16))
    assert "Attend" not in fused(model.proto())


@st.composite
def compositions(draw):
    """Any operators after each other, on any of the maps made so far."""
    model = Model(draw(st.integers(1, 5)), draw(st.integers(0, 999)))
    maps = [INPUT_NAME]
    for _ in range(draw(st.integers(1, 12))):
        one, other = draw(st.sampled_from(maps)), draw(st.sampled_from(maps))
        kind = draw(st.sampled_from(
            ["conv", "relu", "sigmoid", "add", "mul", "concat", "ReduceMean", "ReduceMax", "gate", "pool"]))
        if kind == "conv":
            maps.append(model.conv(one, draw(CHANNELS), draw(st.sampled_from([1, 3, 5]))))
        elif kind in ("relu", "sigmoid"):
            maps.append(model.op(kind.capitalize(), one))
        elif kind in ("add", "mul"):
            other = other if model.channels[one] == model.channels[other] else one
            maps.append(model.op(kind.capitalize(), one, other))
        elif kind == "concat" and model.channels[one] + model.channels[other] < 60:
            maps.append(model.concat(one, other))
        elif kind in ("ReduceMean", "ReduceMax"):
            maps.append(model.op(kind, one, channels=1, axes=[1]))
        elif kind == "gate":
            maps.append(model.op("Mul", one, model.op("Sigmoid", model.op("GlobalAveragePool", one))))
        elif kind == "pool":
            small = model.op("MaxPool", one, kernel_shape=[2, 2], strides=[2, 2])
            maps.append(model.resize(model.op("Relu", small), 2))
    return model, model.concat(*maps[-3:])


@settings(max_examples=40, deadline=None)
@given(composition=compositions(), height=st.integers(1, 12), width=st.integers(1, 30))
def test_any_composition(composition, height, width):
    model, last = composition
    assert_same(model, last, (2 * height, 2 * width), (2, 2), (2 * height, 2 * width))


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


def test_the_shipped_network_is_all_fused():
    ops = [node.op for node in fuse(read_graph(SHIPPED / MODEL_FILE)).nodes]
    assert ops.count("Attend") == 26 and not {"Relu", "Sigmoid", "Add", "Mul", "GlobalMean"} & set(ops)


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
    before = len(os.listdir("/proc/self/task"))
    engine = direct.open_engine(SHIPPED, load_manifest(SHIPPED), CPU, 4)
    assert len(os.listdir("/proc/self/task")) == before + 3
    engine.infer(scene(16, 16))
    engine.close()
    engine.close()
    assert len(os.listdir("/proc/self/task")) == before
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


@pytest.mark.parametrize("kind, attributes", [
    ("Softmax", {"axis": 1}), ("Tanh", {}), ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2]}),
    ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]})])
def test_what_there_is_no_kernel_for_is_named(tmp_path, kind, attributes):
    model = Model(1)
    with pytest.raises(UnsupportedModelError, match=f"direct kernels have no {kind}"):
        open_model(tmp_path, model.proto(model.op(kind, INPUT_NAME, **attributes)))


def test_a_form_there_is_no_kernel_for_is_named(tmp_path):
    model = Model(1)
    strided = model.op("Conv", INPUT_NAME, model.random(4, 1, 3, 3), channels=4, strides=[2, 2], pads=[1] * 4)
    with pytest.raises(UnsupportedModelError, match=r"no Conv \(4, 1, 3, 3\) with .*strides=\[2, 2\]"):
        open_model(tmp_path, model.proto(strided))
    model = Model(1)
    with pytest.raises(UnsupportedModelError, match="no Resize by .*1.5"):
        open_model(tmp_path, model.proto(model.resize(INPUT_NAME, 1.5)))


@pytest.mark.parametrize("precision", ["fp16", "bf16", "int8"])
def test_other_precisions_are_refused(tmp_path, precision):
    with pytest.raises(UnsupportedModelError, match=f"fp32, not {precision}"):
        open_model(tmp_path, Model(1).proto(INPUT_NAME), precision=precision)


def damaged_models():
    model = Model(1)
    yield "not protobuf", b"\x08\xff garbage"
    yield "cut short", (SHIPPED / MODEL_FILE).read_bytes()[:5000]
    yield "empty", b""
    proto = model.proto(model.conv(INPUT_NAME, 4))
    proto.graph.initializer[0].dims[1] = 2
    yield "weights of other dimensions than numbers", proto
    model = Model(1)
    yield "weights for other channels", model.proto(
        model.op("Conv", INPUT_NAME, model.random(4, 2, 1, 1), channels=4))
    model = Model(1)
    yield "a bias too short", model.proto(
        model.op("Conv", INPUT_NAME, model.random(4, 1, 1, 1), model.random(3), channels=4))
    model = Model(1)
    yield "an input that nothing computes", model.proto(model.op("Relu", "nowhere"))
    model = Model(1)
    small = model.op("MaxPool", INPUT_NAME, kernel_shape=[2, 2], strides=[2, 2])
    yield "maps of two sizes added", model.proto(model.op("Add", small, INPUT_NAME))
    model = Model(1)
    yield "a smaller output than the image", model.proto(
        model.op("MaxPool", INPUT_NAME, kernel_shape=[2, 2], strides=[2, 2]))
    model = Model(1)
    yield "an output of two maps", model.proto(INPUT_NAME, output_channels=2)
    model = Model(1)
    model.op("Relu", INPUT_NAME, output=INPUT_NAME)
    yield "a map computed twice", model.proto(INPUT_NAME)
    model = Model(1)
    huge = model.resize(INPUT_NAME, 4096.0)
    yield "an image without end", model.proto(model.resize(huge, 4096.0))
    model = Model(1)
    doubled = INPUT_NAME
    for _ in range(40):
        doubled = model.concat(doubled, doubled)
    yield "channels without end", model.proto(model.op("ReduceMax", doubled, channels=1, axes=[1]))
    yield "no channels", Model(0).proto(INPUT_NAME)
    model = Model(1)
    yield "numbers for no channel", model.proto(
        model.op("Mul", INPUT_NAME, model.constant(np.zeros((1, 0, 1, 1), np.float32))))
    model = Model(1)
    yield "a window larger than the image", model.proto(
        model.op("MaxPool", INPUT_NAME, kernel_shape=[1 << 30] * 2, strides=[1 << 30] * 2))


@pytest.mark.parametrize("proto", [pytest.param(proto, id=name) for name, proto in damaged_models()])
def test_a_damaged_model_is_an_error_in_one_line(tmp_path, proto):
    with pytest.raises((EngineError, UnsupportedModelError)) as error:
        open_model(tmp_path, proto, multiple=16)
    assert "\n" not in str(error.value)


def test_a_model_for_another_number_of_channels_than_the_manifests(tmp_path):
    with pytest.raises(EngineError, match="image has 3 channels, the manifest needs 1"):
        open_model(tmp_path, Model(3).proto(INPUT_NAME), input_channels=1)


def test_a_graph_of_fixed_size(tmp_path):
    model = Model(1)
    small = model.op("MaxPool", INPUT_NAME, kernel_shape=[4, 4], strides=[4, 4])
    sizes = model.constant(np.array([1, 1, 48, 80]))
    proto = model.proto(model.op("Resize", small, "", "", sizes, mode="linear"))
    engine = open_model(tmp_path, proto, size=(48, 80))
    image = model.image(48, 80)
    np.testing.assert_allclose(engine.infer(image), reference(proto)(image), atol=1e-5)
    with pytest.raises(EngineError, match="for frames of 80x48 alone"):
        engine.infer(model.image(48, 64))
    engine.close()


def test_a_size_the_model_cannot_take_is_an_error_and_the_next_frame_works(tmp_path):
    model = Model(1)
    small = model.op("MaxPool", INPUT_NAME, kernel_shape=[2, 2], strides=[2, 2])
    proto = model.proto(model.op("Add", model.resize(small, 2), INPUT_NAME))
    engine = open_model(tmp_path, proto)
    with pytest.raises(EngineError, match="sizes|31x30|30x30"):
        engine.infer(model.image(30, 31))
    image = model.image(30, 30)
    np.testing.assert_allclose(engine.infer(image), reference(proto)(image), atol=1e-5)
    engine.close()


def test_a_library_of_another_version_is_refused(monkeypatch):
    library.load_kernels.cache_clear()
    monkeypatch.setattr(library, "VERSION", library.VERSION + 1)
    with pytest.raises(TargetError, match="another version of dsad_core; reinstall"):
        library.load_kernels()
    kernels = direct.requirements(CPU)[0]
    assert not kernels.ok and kernels.what == "compiled kernels" and "reinstall" in kernels.hint


def test_a_library_that_is_not_there_is_a_finding(monkeypatch, tmp_path):
    library.load_kernels.cache_clear()
    monkeypatch.setattr(library, "__file__", str(tmp_path / "library.py"))
    kernels = direct.requirements(CPU)[0]
    assert not kernels.ok and kernels.hint == "not built; reinstall dsad_core where g++ is present"


def test_a_cpu_too_old_is_a_finding(monkeypatch):
    library.load_kernels.cache_clear()
    monkeypatch.setattr(library, "_cpu_flags", lambda: {"sse4_2", "avx"})
    monkeypatch.setattr(library.platform, "machine", lambda: "x86_64")
    assert direct.requirements(CPU)[0].hint == "they need a CPU with AVX2 and FMA"


@pytest.mark.skipif(library.platform.machine() != "x86_64", reason="one instruction set on this machine")
def test_the_build_for_older_cpus_agrees(monkeypatch, scene, shipped_reference):
    library.load_kernels.cache_clear()
    monkeypatch.setattr(library, "_X86_BUILDS", library._X86_BUILDS[1:])
    engine = direct.open_engine(SHIPPED, load_manifest(SHIPPED), CPU, 1)
    library.load_kernels.cache_clear()
    assert "x86-64-v3" in engine.description
    image = scene(48, 80)
    want, got = shipped_reference(image), engine.infer(image)
    assert np.abs(got - want).max() < 1e-3
    np.testing.assert_array_equal(got > 0, want > 0)
    engine.close()
