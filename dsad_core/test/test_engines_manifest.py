import pytest
import yaml

from dsad_core.engines.manifest import (
    MANIFEST_FILE,
    MODEL_FILE,
    Manifest,
    TestResult,
    load_manifest,
    read_manifest,
    save_manifest,
)
from dsad_core.errors import EngineError

RESULT = TestResult(
    data_set="NUDT-SIRST",
    split="test",
    split_hash="abc",
    threshold=0.5,
    matching="nearest",
    images=2,
    targets=3,
    iou=0.5,
    niou=0.4,
    pd=1 / 3,
    fa=1e-5,
    counts={"hits": 1},
    seed=0,
)


def change(folder, **fields):
    path = folder / MANIFEST_FILE
    content = yaml.safe_load(path.read_text()) | fields
    path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value != "drop"}))


def test_what_is_saved_is_what_is_loaded(engine_dir):
    manifest = load_manifest(engine_dir).model_copy(update={"test_results": [RESULT]})
    save_manifest(engine_dir, manifest)
    assert load_manifest(engine_dir) == manifest


def test_provenance_keeps_further_facts(engine_dir):
    change(engine_dir, provenance={"commit": "abc", "recipe": "x.yaml", "seed": 3, "images_seen": 1000})
    save_manifest(engine_dir, load_manifest(engine_dir))
    assert load_manifest(engine_dir).provenance.images_seen == 1000


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"threshold": 1.0}, "threshold"),
        ({"outline": 0.6}, "outline 0.6 is above threshold 0.5"),
        ({"sha256": "short"}, "sha256"),
        ({"name": "drop"}, "name"),
        ({"unheard": 1}, "unheard"),
        ({"input_channels": 2}, "input_channels"),
        ({"input_channels": 3}, "normalisation.mean has 1 values, input_channels is 3"),
        ({"normalisation": {"mean": [0.5], "std": [0.0]}}, "normalisation.std"),
        ({"size_multiple": 0}, "size_multiple"),
    ],
)
def test_a_bad_field_is_named_with_its_file_in_one_line(engine_dir, fields, words):
    change(engine_dir, **fields)
    with pytest.raises(EngineError) as caught:
        load_manifest(engine_dir)
    message = str(caught.value)
    assert words in message and MANIFEST_FILE in message and "\n" not in message


@pytest.mark.parametrize(
    "content, words",
    [
        (b"- a\n- b\n", "no mapping"),
        (b"a: [", "not YAML"),
        (b"\xff\xfe\x00", "not YAML"),
        (b"", "no mapping"),
    ],
)
def test_a_manifest_that_is_none_is_refused(engine_dir, content, words):
    (engine_dir / MANIFEST_FILE).write_bytes(content)
    with pytest.raises(EngineError, match=words):
        read_manifest(engine_dir)


def test_a_tampered_model_is_refused(engine_dir):
    model = engine_dir / MODEL_FILE
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    with pytest.raises(EngineError, match="SHA-256"):
        load_manifest(engine_dir)
    with pytest.raises(EngineError, match="SHA-256"):
        save_manifest(engine_dir, read_manifest(engine_dir))


def test_missing_files_are_named(engine_dir, tmp_path):
    (engine_dir / MODEL_FILE).unlink()
    with pytest.raises(EngineError, match=MODEL_FILE):
        load_manifest(engine_dir)
    with pytest.raises(EngineError, match=MANIFEST_FILE):
        load_manifest(tmp_path / "nothing")


def test_a_ratio_that_is_none_is_refused():
    with pytest.raises(ValueError):
        TestResult.model_validate(RESULT.model_dump() | {"pd": 1.5})
    assert Manifest.model_fields["test_results"].get_default(call_default_factory=True) == []
