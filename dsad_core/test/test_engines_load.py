import hashlib

import numpy as np
import pytest
import yaml

from dsad_core.engines.backends import check_platform
from dsad_core.engines.cache import cache_folder
from dsad_core.engines.load import load_engine
from dsad_core.engines.manifest import MODEL_FILE, load_manifest, read_manifest, save_manifest
from dsad_core.engines.onnx_runtime import OnnxRuntimeEngine
from dsad_core.engines.platform import PLATFORMS, load_platform
from dsad_core.errors import EngineError, PlatformError, UnsupportedModelError, UsageError


def replace_model(folder, content: bytes):
    (folder / MODEL_FILE).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    save_manifest(folder, read_manifest(folder).model_copy(update={"sha256": digest}))


def identity(input_name="image", output_name="logits", shape=(1, 1, "h", "w"), dtype=None) -> bytes:
    onnx = pytest.importorskip("onnx")
    kind = dtype or onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", [input_name], [output_name])],
        "identity",
        [onnx.helper.make_tensor_value_info(input_name, kind, shape)],
        [onnx.helper.make_tensor_value_info(output_name, kind, shape)],
    )
    return onnx.helper.make_model(
        graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 17)]
    ).SerializeToString()


def padded(rows: int, added: bool = False) -> bytes:
    """Pads by a constant, as `local-contrast` does, and adds the frame where wanted; it declares a frame's size."""
    onnx = pytest.importorskip("onnx")
    frame = [onnx.helper.make_tensor_value_info(name, 1, (1, 1, "h", "w")) for name in ("image", "logits")]
    pads = onnx.numpy_helper.from_array(np.array([0, 0, rows, 0, 0, 0, 0, 0], np.int64), "pads")
    nodes = [onnx.helper.make_node("Pad", ["image", "pads"], ["sum" if added else "logits"])]
    if added:
        nodes.append(onnx.helper.make_node("Add", ["sum", "image"], ["logits"]))
    graph = onnx.helper.make_graph(nodes, "padded", frame[:1], frame[1:], [pads])
    opset = onnx.helper.make_opsetid("", 17)
    return onnx.helper.make_model(graph, ir_version=8, opset_imports=[opset]).SerializeToString()


def tensor(height=32, width=48, channels=1):
    return np.random.default_rng(0).random((1, channels, height, width), np.float32)


CPU_BACKENDS = check_platform("cpu").usable


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_an_identity_network_answers_its_input(engine_dir, backend):
    replace_model(engine_dir, identity())
    engine = load_engine(engine_dir, threads=1, backend=backend)
    for size in ((32, 48), (16, 16), (32, 48)):
        frame = tensor(*size)
        np.testing.assert_array_equal(engine.infer(frame), frame[0, 0])
    assert engine.manifest == load_manifest(engine_dir)
    assert engine.platform == "cpu" and engine.description.endswith(", 1 thread")
    engine.close()


def test_threads_change_the_time_but_not_the_answer(engine_dir):
    one, two = (load_engine(engine_dir, threads=count, backend="onnxruntime") for count in (1, 2))
    frame = tensor(64, 64)
    np.testing.assert_allclose(one.infer(frame), two.infer(frame), atol=1e-5)
    assert two.description.endswith("2 threads")


@pytest.mark.parametrize(
    "bad, words",
    [
        (tensor(33, 48), "multiples of 8, not 48x33"),
        (tensor(0, 48), "multiples"),
        (tensor(channels=3), r"\(1, 1, H, W\)"),
        (tensor().astype(np.float64), "float64"),
        (tensor()[0], "float32"),
        (tensor().transpose(0, 1, 3, 2), "C-contiguous"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(engine, bad, words):
    with pytest.raises(EngineError, match=words):
        engine.infer(bad)


@pytest.mark.parametrize(
    "content, words",
    [
        (lambda: b"this is no network", "cannot load it"),
        (lambda: identity(input_name="x"), "'x'"),
        (lambda: identity(output_name="y"), "'y'"),
        (lambda: identity(shape=(1, 3, "h", "w")), "manifest needs"),
        (lambda: identity(shape=(1, "h", "w")), "manifest needs"),
        (lambda: identity(dtype=10), "float16"),
        (lambda: identity(shape=(1, 1, "tall", "w")).replace(b"tall", b"\xff\xfe\xff\xfe"), "not UTF-8"),
        (lambda: padded(1 << 40), "answers a frame of 64x64 by 64x1099511627840 logits"),
        (lambda: padded(5, added=True), "takes no frame of 64x64"),
    ],
)
def test_files_that_are_no_engine_are_refused_in_one_line(engine_dir, content, words):
    replace_model(engine_dir, content())
    with pytest.raises(EngineError, match=words) as caught:
        load_engine(engine_dir, backend="onnxruntime")
    assert "\n" not in str(caught.value) and MODEL_FILE in str(caught.value)


def test_a_model_that_pads_by_nothing_is_an_engine(engine_dir):
    replace_model(engine_dir, padded(0))
    frame = tensor()
    np.testing.assert_array_equal(load_engine(engine_dir, backend="onnxruntime").infer(frame), frame[0, 0])


def test_a_network_of_fixed_size_fails_on_another_with_one_line(engine_dir):
    replace_model(engine_dir, identity(shape=(1, 1, 128, 64)))
    engine = load_engine(engine_dir, backend="onnxruntime")
    assert engine.infer(tensor(128, 64)).shape == (128, 64)
    with pytest.raises(EngineError, match="failed on 48x32") as caught:
        engine.infer(tensor())
    assert "\n" not in str(caught.value)


def test_missing_and_tampered_engines_are_refused(engine_dir):
    with pytest.raises(EngineError, match="no engine 'nope'"):
        load_engine("nope")
    with (engine_dir / MODEL_FILE).open("ab") as model:
        model.write(b"\0")
    with pytest.raises(EngineError, match="SHA-256"):
        load_engine(engine_dir)


def test_unknown_targets_and_thread_counts_are_refused(engine_dir):
    with pytest.raises(PlatformError, match="'tpu' is not one of cpu, cuda, agx, ascend"):
        load_engine(engine_dir, "tpu")
    with pytest.raises(UsageError, match="threads 0"):
        load_engine(engine_dir, threads=0)


@pytest.mark.parametrize("target", PLATFORMS)
def test_every_target_has_a_file_that_parses(target):
    assert load_platform(target).platform == target


@pytest.mark.parametrize(
    "content, words", [("platform: cpu\n", "backends"), ("a: [", "cannot be read"), ("", "cpu.yaml")]
)
def test_a_broken_platform_file_is_named(tmp_path, monkeypatch, content, words):
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets/cpu.yaml").write_text(content)
    monkeypatch.setenv("DSAD_ENGINES", str(tmp_path))
    with pytest.raises(EngineError, match=words) as caught:
        load_platform("cpu")
    assert "cpu.yaml" in str(caught.value) and "\n" not in str(caught.value)


def test_the_threads_of_the_platforms_file_are_used(tmp_path, monkeypatch, engine_dir):
    content = yaml.safe_load(load_platform("cpu").model_dump_json())
    content["threads"] = 3
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets/cpu.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.setenv("DSAD_ENGINES", str(tmp_path))
    assert load_engine(engine_dir, backend="onnxruntime").description.endswith("3 threads")


def test_a_provider_that_is_not_there_is_never_replaced_in_silence(engine_dir):
    options = load_platform("cpu")
    settings = options.onnxruntime.model_copy(update={"provider": "TensorrtExecutionProvider"})
    with pytest.raises(PlatformError, match="needs TensorrtExecutionProvider"):
        OnnxRuntimeEngine(
            engine_dir,
            load_manifest(engine_dir),
            options.model_copy(update={"onnxruntime": settings}),
            threads=1,
        )


def test_the_cache_differs_with_model_options_and_device(tmp_path, monkeypatch):
    monkeypatch.setenv("DSAD_CACHE", str(tmp_path))
    agx = load_platform("agx")
    other = agx.onnxruntime.model_copy(update={"provider_options": {}})
    folders = {
        cache_folder("a" * 64, agx),
        cache_folder("b" * 64, agx),
        cache_folder("a" * 64, agx.model_copy(update={"onnxruntime": other})),
    }
    monkeypatch.setattr("dsad_core.engines.cache.accelerator_name", lambda: "another board")
    folders.add(cache_folder("a" * 64, agx))
    assert len(folders) == 4 and all(folder.is_dir() and tmp_path in folder.parents for folder in folders)


@pytest.fixture
def run_folder(tmp_path):
    (tmp_path / "weights.safetensors").write_bytes(b"not looked at")
    return tmp_path


def test_a_checkpoint_without_the_training_stage_says_what_it_needs(run_folder, monkeypatch):
    monkeypatch.setattr("dsad_core.engines.load.plugins", lambda kind: {})
    with pytest.raises(EngineError, match="environment of the training stage") as caught:
        load_engine(run_folder)
    assert str(run_folder) in str(caught.value) and "dsad compile" in str(caught.value)


def test_a_checkpoint_goes_to_the_loader_that_is_installed(run_folder, tmp_path, monkeypatch):
    """A distribution on the path that offers a loader, as the training stage is one."""
    packages = tmp_path / "packages"
    facts = packages / "loader-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Name: loader\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[dsad.plugins]\nengine.safetensors = loader:load\n")
    (packages / "loader.py").write_text(
        "class Loaded:\n    def __init__(self, *arguments):\n        self.arguments = arguments\n\nload = Loaded\n"
    )
    monkeypatch.syspath_prepend(str(packages))
    loaded = load_engine(run_folder, "cuda", 3)
    assert loaded.arguments == (run_folder, "cuda", 3)
    assert (loaded.backend, loaded.folder, loaded.passed_over) == ("torch", run_folder, ())
    with pytest.raises(PlatformError, match="'tpu'"):
        load_engine(run_folder, "tpu")


def with_manifest(folder, **changes):
    save_manifest(folder, read_manifest(folder).model_copy(update=changes))


def test_a_backend_that_cannot_take_the_model_is_passed_over_by_name(engine_dir):
    """The baseline has operators that the compiled kernels lack."""
    engine = load_engine(engine_dir)
    assert "passed over direct: " in engine.description and engine.passed_over[0].startswith("direct: ")
    assert (engine.backend, engine.precision) == ("onnxruntime", "fp32")
    with pytest.raises(UnsupportedModelError, match="no backend takes it; direct: ") as caught:
        load_engine(engine_dir, backend="direct")
    assert "\n" not in str(caught.value)


def test_a_precision_that_a_backend_lacks_is_refused(engine_dir):
    with_manifest(engine_dir, precision="bf16")
    with pytest.raises(UnsupportedModelError, match="onnxruntime has no bfloat16 mode"):
        load_engine(engine_dir, backend="onnxruntime")


def test_unknown_backends_are_named(engine_dir):
    with pytest.raises(UsageError, match="backend 'magic' is not one of"):
        load_engine(engine_dir, backend="magic")


def test_an_engine_of_fixed_size_takes_no_other(engine_dir):
    with_manifest(engine_dir, size=(64, 80))
    engine = load_engine(engine_dir)
    assert engine.infer(tensor(64, 80)).shape == (64, 80)
    with pytest.raises(EngineError, match="compiled for frames of 80x64 alone, not 48x32"):
        engine.infer(tensor())
