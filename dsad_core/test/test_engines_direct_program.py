"""``model.direct``: what it holds, what a start with it needs, and what is refused."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from direct_models import CPU, SHIPPED, Model, needs_kernels, open_model

from dsad_core.engines import direct
from dsad_core.engines.direct.program import kept_ranges, make_program, read_program
from dsad_core.engines.locate import list_engines
from dsad_core.engines.manifest import MODEL_FILE, PROGRAM_FILE, load_manifest, read_manifest
from dsad_core.errors import EngineError, UnsupportedModelError

ENGINES = {folder.name: read_manifest(folder) for folder in list_engines()}
HASH = ENGINES["dnanet-num4-nudt"].sha256


@pytest.fixture
def folder(tmp_path):
    """A copy of a shipped engine, to be damaged at will."""
    copy = tmp_path / SHIPPED.name
    copy.mkdir()
    for name in (MODEL_FILE, PROGRAM_FILE, "manifest.yaml"):
        shutil.copyfile(SHIPPED / name, copy / name)
    return copy


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_ships_what_fuse_makes_of_its_model_today(name):
    """If this fails, `python -m dsad_core.engines.direct edge_engines/<name>` writes the file again."""
    folder = next(each for each in list_engines() if each.name == name)
    if ENGINES[name].program_sha256 is None:
        with pytest.raises(UnsupportedModelError):
            make_program(folder / MODEL_FILE)
    else:
        assert (folder / PROGRAM_FILE).read_text() == make_program(folder / MODEL_FILE, kept_ranges(folder))


@needs_kernels
def test_the_program_computes_the_bits_of_the_model(folder, spots):
    image = spots(64, 80, [(20, 30)]).astype(np.float32)[None, None]
    answers = []
    for manifest in (
        load_manifest(folder),
        load_manifest(folder).model_copy(update={"program_sha256": None}),
    ):
        engine = direct.open_engine(folder, manifest, CPU, 1)
        answers.append(engine.infer(image).copy())
        engine.close()
    np.testing.assert_array_equal(*answers)


@needs_kernels
def test_a_start_with_the_program_imports_neither_onnx_nor_a_runtime_nor_the_fusing_code(folder):
    program = f"""
import sys
sys.modules.update(onnx=None, onnxruntime=None, openvino=None)
from dsad_core.engines.load import load_engine
print(load_engine({str(folder)!r}, threads=1).backend)
print([name for name in sys.modules if name.endswith(("direct.fuse", "direct.reader"))])
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert answer.stdout.splitlines() == ["direct", "[]"], answer.stderr


@needs_kernels
def test_without_program_and_onnx_another_backend_is_left_to_run_the_model(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    manifest = load_manifest(folder).model_copy(update={"program_sha256": None})
    with pytest.raises(UnsupportedModelError, match="no model.direct.*pip install onnx"):
        direct.open_engine(folder, manifest, CPU, 1)


def test_weights_that_are_not_in_the_file_as_they_are_used_travel_in_the_program(tmp_path):
    model = Model(1)
    halves = model.constant(np.full((2, 1, 1, 1), 0.5, np.float32))
    weights = model.op("Mul", halves, model.constant(np.float32(3)))
    proto = model.proto(model.conv("image", 2, 1, weights=weights, bias=False))
    open_model(tmp_path, proto).close()
    (tmp_path / PROGRAM_FILE).write_text(make_program(tmp_path / MODEL_FILE))
    digest = json.loads((tmp_path / PROGRAM_FILE).read_text())["model_sha256"]
    first = read_program(tmp_path, digest).nodes[0]
    np.testing.assert_array_equal(first.attributes["weights"].ravel(), [1.5, 1.5])


def test_the_manifest_covers_the_file(folder):
    with (folder / PROGRAM_FILE).open("a") as program:
        program.write(" ")
    with pytest.raises(EngineError, match=r"model.direct: SHA-256 is \w+... but manifest.yaml says"):
        load_manifest(folder)
    (folder / PROGRAM_FILE).unlink()
    with pytest.raises(EngineError, match="model.direct: cannot be read.*incomplete"):
        load_manifest(folder)


def test_an_engine_that_the_kernels_do_not_run_has_no_program(engine_dir):
    (engine_dir / PROGRAM_FILE).write_text("of an older model")
    manifest = direct.add_program(engine_dir, read_manifest(engine_dir))
    assert manifest.program_sha256 is None and not (engine_dir / PROGRAM_FILE).exists()


def test_the_command_writes_program_and_manifest_again(folder):
    before = (folder / PROGRAM_FILE).read_bytes()
    (folder / PROGRAM_FILE).unlink()
    answer = subprocess.run(
        [sys.executable, "-m", "dsad_core.engines.direct", folder], capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    assert (folder / PROGRAM_FILE).read_bytes() == before
    assert load_manifest(folder) == load_manifest(SHIPPED)


def _of(op, nodes):
    return next(node for node in nodes if node[0] == op)


def _shortcut(program):
    """The first block's, which reads 12 maps and makes 4."""
    return next(
        node[3]["shortcut"] for node in program["nodes"] if node[0] == "Conv" and "shortcut" in node[3]
    )


DAMAGE = {
    "no output": lambda program: program["nodes"].pop(),
    "a map that nothing makes": lambda program: program["nodes"][0][1].__setitem__(0, "nothing"),
    "an unknown operator": lambda program: program["nodes"][0].__setitem__(0, "Exec"),
    "weights beyond the file": lambda program: program["nodes"][0][3]["weights"].update(at=1 << 40),
    "weights before the file": lambda program: program["nodes"][0][3]["weights"].update(at=-8),
    "weights of another shape": lambda program: program["nodes"][0][3]["weights"].update(shape=[4, 9, 3, 3]),
    "weights of three sides": lambda program: program["nodes"][0][3]["weights"].update(shape=[4, 1, 9]),
    "an oblong kernel": lambda program: program["nodes"][0][3]["weights"].update(shape=[4, 1, 3, 5]),
    "a short bias": lambda program: program["nodes"][0][3]["bias"].update(shape=[3]),
    "a dilation of 0": lambda program: program["nodes"][0][3].update(dilation=0),
    "a short gate": lambda program: program["nodes"][1][3]["gate"][2].update(shape=[3, 1, 1, 1]),
    "a gate for others": lambda program: _of("Channels", program["nodes"])[1].__setitem__(1, "image"),
    "another attention": lambda program: _of("Attend", program["nodes"])[3]["spatial"]["weights"].update(
        shape=[1, 2, 5, 5]
    ),
    "a shortcut that does not fit": lambda program: _shortcut(program).update(
        weights={"shape": [5, 12, 1, 1]}, bias={"shape": [5]}
    ),
    "a shortcut of 3x3": lambda program: _shortcut(program).update(
        weights={"shape": [4, 12, 3, 3]}, bias={"shape": [4]}
    ),
    "no nodes": lambda program: program.pop("nodes"),
    "many channels": lambda program: program.update(channels=70000),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_program_is_refused_in_one_line(folder, what):
    program = json.loads((folder / PROGRAM_FILE).read_text())
    DAMAGE[what](program)
    (folder / PROGRAM_FILE).write_text(json.dumps(program))
    with pytest.raises((EngineError, UnsupportedModelError)) as caught:
        read_program(folder, HASH)
    assert "\n" not in str(caught.value)


def test_a_program_of_another_model_or_version_says_how_to_make_it_again(folder):
    with pytest.raises(EngineError, match="another model.onnx; make it again with .python -m"):
        read_program(folder, "0" * 64)
    program = (folder / PROGRAM_FILE).read_text()
    (folder / PROGRAM_FILE).write_text(program.replace('"format":1', '"format":99'))
    with pytest.raises(UnsupportedModelError, match="of format 99, not 1; make it again"):
        read_program(folder, HASH)
    (folder / PROGRAM_FILE).write_text(program[: len(program) // 2])
    with pytest.raises(EngineError, match="damaged.*make it again"):
        read_program(folder, HASH)
