"""The compiled kernels against onnxruntime: operators, patterns, what is refused."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from direct_models import (
    CPU,
    SHIPPED,
    Model,
    assert_same,
    fused,
    fused_nodes,
    needs_kernels,
    open_model,
    reference,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dsad_core.engines import direct
from dsad_core.engines.direct import library
from dsad_core.engines.direct.fuse import fuse
from dsad_core.engines.direct.kinds import Kind
from dsad_core.engines.direct.plan import Plan
from dsad_core.engines.direct.reader import read_graph
from dsad_core.engines.manifest import INPUT_NAME, MODEL_FILE, OUTPUT_NAME
from dsad_core.errors import EngineError, PlatformError, UnsupportedModelError

pytestmark = needs_kernels

CHANNELS = st.sampled_from([1, 3, 4, 5, 17])
SIDE = st.integers(1, 40)
FEW = settings(max_examples=25, deadline=None)


def test_the_kernels_are_built_where_there_is_a_compiler():
    assert library.load_kernels().lanes in (4, 8, 16)
    assert all(finding.ok for finding in direct.requirements(CPU))


@FEW
@given(
    size=st.sampled_from([1, 3, 5, 7]),
    dilation=st.integers(1, 3),
    inputs=CHANNELS,
    outputs=CHANNELS,
    height=SIDE,
    width=st.integers(1, 150),
    relu=st.booleans(),
    add=st.booleans(),
    seed=st.integers(0, 99),
)
def test_convolutions(size, dilation, inputs, outputs, height, width, relu, add, seed):
    model = Model(inputs, seed)
    last = model.conv(INPUT_NAME, outputs, size, dilation)
    if add:
        last = model.op("Add", last, model.conv(INPUT_NAME, outputs, 1))
    if relu:
        last = model.op("Relu", last)
    assert_same(model, last, (height, width))


@FEW
@example(scale=0.5, channels=1, height=1, width=1, mode="pytorch_half_pixel")
@given(
    scale=st.sampled_from([0.5, 1, 2, 3, 4, 16]),
    channels=CHANNELS,
    height=st.integers(1, 20),
    width=st.integers(1, 40),
    mode=st.sampled_from(["align_corners", "half_pixel", "pytorch_half_pixel"]),
)
def test_resizing(scale, channels, height, width, mode):
    """Halved, or made small by a pool, and brought back to the image's size."""
    model = Model(channels)
    factor = 2 if scale == 0.5 else int(scale)
    small = (
        model.resize(INPUT_NAME, 0.5, mode)
        if scale == 0.5
        else model.op("MaxPool", INPUT_NAME, kernel_shape=[factor] * 2, strides=[factor] * 2)
    )
    assert_same(model, model.resize(small, factor, mode), (factor * height, factor * width), multiple=factor)


@FEW
@example(factor=2, half=False, outputs=4, height=9, width=290, mode="align_corners", shortcut=True)
@example(factor=4, half=True, outputs=17, height=70, width=20, mode="half_pixel", shortcut=True)
@given(
    factor=st.sampled_from([1, 2, 4]),
    half=st.booleans(),
    outputs=st.sampled_from([4, 5, 17]),
    height=st.integers(1, 40),
    width=st.integers(1, 150),
    mode=st.sampled_from(["align_corners", "half_pixel", "pytorch_half_pixel"]),
    shortcut=st.booleans(),
)
def test_a_convolution_samples_the_maps_that_it_reads(factor, half, outputs, height, width, mode, shortcut):
    """One of them is read from memory too, which another operator needs."""
    model = Model(9, height)
    small = model.op("MaxPool", INPUT_NAME, kernel_shape=[factor] * 2, strides=[factor] * 2)
    large = model.resize(small, factor, mode)
    twice = model.resize(model.resize(INPUT_NAME, 2, mode), 0.5, mode)
    both = model.concat(INPUT_NAME, large, twice)
    if half:
        both = model.concat(both, model.op("Relu", large))
    last = model.attention_block(both, outputs) if shortcut else model.conv(both, outputs)
    assert_same(model, last, (factor * height, factor * width), multiple=factor)


def test_nothing_is_sampled_into_memory_that_only_a_convolution_reads():
    model = Model(8)
    small = model.op("MaxPool", INPUT_NAME, kernel_shape=[2, 2], strides=[2, 2])
    model.conv(model.conv(model.resize(small, 2), 4), 1, output=OUTPUT_NAME)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, MODEL_FILE).write_bytes(model.proto().SerializeToString())
        laid_out = Plan(fuse(read_graph(Path(folder, MODEL_FILE))), 16, 16, 16)
    assert Kind.RESIZE not in {op.kind for op in laid_out.ops}


@FEW
@given(
    size=st.sampled_from([2, 3, 4]),
    ceil=st.booleans(),
    channels=CHANNELS,
    height=SIDE,
    width=st.integers(1, 70),
)
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
@example(1, 4, (7, 0), 2, 201, 300, True, False, 0)
@example(4, 5, (7, 4), 1, 203, 40, False, False, 1)
@example(3, 4, (3, 0), 1, 200, 17, True, True, 2)
@given(
    inputs=CHANNELS,
    channels=CHANNELS,
    spatial=st.sampled_from([(3, 0), (7, 0), (7, 4)]),
    hidden=st.integers(1, 3),
    height=SIDE,
    width=st.integers(1, 300),
    project=st.booleans(),
    stacked=st.booleans(),
    seed=st.integers(0, 99),
)
def test_attention_blocks_are_fused(inputs, channels, spatial, hidden, height, width, project, stacked, seed):
    model = Model(inputs, seed)
    size, axes = spatial
    start = INPUT_NAME if project else model.op("Relu", model.conv(INPUT_NAME, channels))
    last = model.attention_block(start, channels, size, hidden, project, stacked=stacked, axes=axes)
    assert_same(model, last, (height, width))
    assert fused(model.proto()) == ["Conv"] * (2 if project else 3) + ["Channels", "Attend", "Conv"]


@pytest.mark.parametrize("channels", [1, 5, 8])
@pytest.mark.parametrize("foreign", [False, True])
def test_the_first_convolution_makes_the_shortcut_of_many_maps_that_both_read(channels, foreign):
    model = Model(12)
    before = model.op("Relu", model.conv(INPUT_NAME, 10))
    last = model.attention_block(before, channels, shortcut=INPUT_NAME if foreign else None)
    assert_same(model, last, (23, 37), (16, 100))
    nodes, shared = fused_nodes(model.proto()), not foreign and channels <= 5
    assert any("shortcut" in node.attributes for node in nodes if node.op == "Conv") == shared
    (attend,) = (node for node in nodes if node.op == "Attend")
    assert (attend.attributes["shortcut"] is None) == shared


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
        kind = draw(
            st.sampled_from(
                ["conv", "relu", "sigmoid", "add", "mul", "concat", "ReduceMean", "ReduceMax", "gate", "pool"]
            )
        )
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


@FEW
@given(
    groups=st.sampled_from([1, 2, 5]),
    each=st.integers(1, 4),
    height=st.integers(2, 40),
    width=st.integers(2, 70),
    offset=st.sampled_from([0.0, 30.0]),
)
def test_normalisation_in_groups(groups, each, height, width, offset):
    """Of numbers far from zero too, whose variance is lost where squares are summed."""
    model = Model(3, groups)
    far = model.op(
        "Add", model.conv(INPUT_NAME, groups * each), model.constant(np.full((1, 1, 1), offset, "f"))
    )
    normalised = model.group_norm(far, groups, bias=0.5)
    channels = [model.rng.normal(size=groups * each).astype(np.float32) for _ in range(2)]
    own = model.op("InstanceNormalization", normalised, *map(model.constant, channels))
    assert_same(model, model.op("Add", normalised, own), (height, width))


@FEW
@given(channels=CHANNELS, hidden=st.integers(1, 6), height=SIDE, width=SIDE)
def test_linear_layers_of_pooled_maps(channels, hidden, height, width):
    model = Model(2, hidden)
    body = model.conv(INPUT_NAME, channels)
    assert_same(model, model.op("Mul", body, model.squeeze(body, hidden)), (height, width))


@pytest.mark.parametrize(
    "named, build",
    [
        (
            "Reshape to ",
            lambda model: model.op("Reshape", INPUT_NAME, model.constant(np.array([1, 4, 2, -1]))),
        ),
        ("Reshape to ", lambda model: model.op("Reshape", INPUT_NAME, model.constant(np.array([2, -1])))),
        (
            "Relu of a map in another shape",
            lambda model: model.op(
                "Relu", model.op("Reshape", INPUT_NAME, model.constant(np.array([0, 2, -1])))
            ),
        ),
        (
            "Reshape of normalised groups but to the shape before",
            lambda model: model.op(
                "Reshape",
                model.op("Reshape", INPUT_NAME, model.constant(np.array([0, 2, -1]))),
                model.op("Shape", model.conv(INPUT_NAME, 4)),
            ),
        ),
        ("MatMul but of a pooled map", lambda model: model.op("MatMul", INPUT_NAME, model.random(4, 4))),
        ("Unsqueeze of axes", lambda model: model.op("Unsqueeze", INPUT_NAME, model.constant(np.array([0])))),
        (
            "InstanceNormalization with",
            lambda model: model.op("InstanceNormalization", INPUT_NAME, model.random(3), model.random(3)),
        ),
    ],
)
def test_other_shapes_are_refused_by_name(tmp_path, named, build):
    model = Model(4)
    with pytest.raises(UnsupportedModelError, match=f"direct kernels have no {named}"):
        open_model(tmp_path, model.proto(build(model)), input_channels=4)


@settings(max_examples=40, deadline=None)
@given(composition=compositions(), height=st.integers(1, 12), width=st.integers(1, 30))
def test_any_composition(composition, height, width):
    model, last = composition
    assert_same(model, last, (2 * height, 2 * width), (2, 2), (2 * height, 2 * width))


@pytest.mark.parametrize(
    "kind, attributes",
    [
        ("Softmax", {"axis": 1}),
        ("Tanh", {}),
        ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2]}),
        ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ],
)
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


@pytest.mark.parametrize(
    "named, build",
    [
        ("Pad but in directional attention", lambda model: model.edge_conv(INPUT_NAME, 4)),
        ("Pad but in directional attention", lambda model: model.attention_block(INPUT_NAME, 5, axes=3)),
        (
            "ReduceMin but in directional attention",
            lambda model: model.op("ReduceMin", INPUT_NAME, channels=1, axes=[1]),
        ),
        (r"Reduce with .* over axes \[2, 3\]", lambda model: model.op("ReduceMin", INPUT_NAME, axes=[2, 3])),
        (
            "Relu of a padded map",
            lambda model: model.op(
                "Relu", model.op("Pad", INPUT_NAME, model.constant(np.array([0, 0, 3, 3] * 2)), mode="edge")
            ),
        ),
        (
            "Pad by .*reflect",
            lambda model: model.op(
                "Pad", INPUT_NAME, model.constant(np.array([0, 0, 3, 3] * 2)), mode="reflect"
            ),
        ),
        (
            "Pad by .*",
            lambda model: model.op(
                "Pad", INPUT_NAME, model.constant(np.array([0, 0, 3, 2] * 2)), mode="edge"
            ),
        ),
        (
            r"Conv \(4, 1, 5, 5\) of a map padded by 3",
            lambda model: model.op(
                "Conv",
                model.op("Pad", INPUT_NAME, model.constant(np.array([0, 0, 3, 3] * 2)), mode="edge"),
                model.random(4, 1, 5, 5),
                channels=4,
            ),
        ),
    ],
)
def test_what_only_directional_attention_may_hold_is_named(tmp_path, named, build):
    model = Model(1)
    last = build(model)
    with pytest.raises(UnsupportedModelError, match=f"direct kernels have no {named}"):
        open_model(tmp_path, model.proto(last))


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
    yield (
        "weights for other channels",
        model.proto(model.op("Conv", INPUT_NAME, model.random(4, 2, 1, 1), channels=4)),
    )
    model = Model(1)
    yield (
        "a bias too short",
        model.proto(model.op("Conv", INPUT_NAME, model.random(4, 1, 1, 1), model.random(3), channels=4)),
    )
    model = Model(1)
    yield "an input that nothing computes", model.proto(model.op("Relu", "nowhere"))
    model = Model(1)
    small = model.op("MaxPool", INPUT_NAME, kernel_shape=[2, 2], strides=[2, 2])
    yield "maps of two sizes added", model.proto(model.op("Add", small, INPUT_NAME))
    model = Model(1)
    yield (
        "a smaller output than the image",
        model.proto(model.op("MaxPool", INPUT_NAME, kernel_shape=[2, 2], strides=[2, 2])),
    )
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
    yield (
        "numbers for no channel",
        model.proto(model.op("Mul", INPUT_NAME, model.constant(np.zeros((1, 0, 1, 1), np.float32)))),
    )
    model = Model(1)
    yield (
        "a window larger than the image",
        model.proto(model.op("MaxPool", INPUT_NAME, kernel_shape=[1 << 30] * 2, strides=[1 << 30] * 2)),
    )


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
    with pytest.raises(PlatformError, match="another version of dsad_core; reinstall"):
        library.load_kernels()
    kernels = direct.requirements(CPU)[0]
    assert not kernels.ok and kernels.what == "compiled kernels" and "reinstall" in kernels.hint


@pytest.mark.parametrize(
    ("compiler", "hint"),
    [(None, "reinstall dsad_core where g++ is present"), ("/usr/bin/g++", "shows the compiler's message")],
)
def test_a_library_that_is_not_there_is_a_finding(monkeypatch, tmp_path, compiler, hint):
    library.load_kernels.cache_clear()
    monkeypatch.setattr(library, "__file__", str(tmp_path / "library.py"))
    monkeypatch.setattr(library.shutil, "which", lambda name: compiler)
    kernels = direct.requirements(CPU)[0]
    assert not kernels.ok and kernels.hint.startswith("not built") and hint in kernels.hint


def test_a_cpu_too_old_is_a_finding(monkeypatch):
    library.load_kernels.cache_clear()
    monkeypatch.setattr(library, "cpu_flags", lambda: {"sse4_2", "avx"})
    monkeypatch.setattr(library.platform, "machine", lambda: "x86_64")
    assert direct.requirements(CPU)[0].hint == "they need a CPU with AVX2 and FMA"
