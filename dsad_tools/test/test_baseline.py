import pytest

from dsad_core.engines.locate import find_engine
from dsad_core.engines.manifest import MODEL_FILE, read_manifest

pytest.importorskip("onnx")
from dsad_tools.baseline import NAME, build_local_contrast  # noqa: E402


def test_the_shipped_baseline_is_what_the_code_builds(tmp_path):
    built = build_local_contrast(tmp_path)
    shipped = find_engine(NAME)
    assert (shipped / MODEL_FILE).read_bytes() == (tmp_path / MODEL_FILE).read_bytes()
    assert read_manifest(shipped).model_copy(update={"test_results": []}) == built
