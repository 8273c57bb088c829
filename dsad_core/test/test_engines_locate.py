import shutil

import pytest

from dsad_core.engines.locate import (
    ROLES,
    engine_for,
    engine_roots,
    find_checkpoint,
    find_engine,
    list_engines,
    platform_file,
)
from dsad_core.errors import EngineError


@pytest.fixture
def root(engine_dir, monkeypatch):
    """A folder of engines with one in it, first in the search order."""
    monkeypatch.setenv("DSAD_ENGINES", str(engine_dir.parent))
    return engine_dir.parent


def test_a_path_is_taken_as_it_is(engine_dir):
    assert find_engine(engine_dir) == engine_dir
    assert find_engine(str(engine_dir)) == engine_dir


def test_an_engine_in_the_working_directory_never_wins_silently(root, monkeypatch, tmp_path, caplog):
    work = tmp_path / "work"
    shutil.copytree(root / "local-contrast", work / "local-contrast")
    shutil.copytree(root / "local-contrast", work / "mine")
    monkeypatch.chdir(work)
    assert find_engine("local-contrast") == root / "local-contrast"
    assert "local-contrast is taken, not ./local-contrast; write ./local-contrast" in caplog.text
    assert find_engine("./local-contrast").resolve() == work / "local-contrast"
    assert find_engine("mine").resolve() == work / "mine"


def test_the_environment_goes_before_what_is_installed(root, monkeypatch, tmp_path):
    installed = tmp_path / "prefix/share/dsad_bringup/edge_engines"
    shutil.copytree(root / "local-contrast", installed / "local-contrast")
    shutil.copytree(root / "local-contrast", installed / "other")
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path / "prefix"))
    assert engine_roots()[:2] == [root, installed]
    assert find_engine("local-contrast") == root / "local-contrast"
    assert find_engine("other") == installed / "other"
    assert [engine.name for engine in list_engines()].count("local-contrast") == 1


@pytest.mark.parametrize("role", ROLES)
def test_the_engine_of_a_role_is_what_its_file_names(root, role):
    (root / ROLES[role]).write_text("local-contrast\n")
    assert engine_for(role) == find_engine(role) == root / "local-contrast"


def test_no_name_is_the_default(root):
    (root / "DEFAULT").write_text("local-contrast\n")
    assert find_engine("") == root / "local-contrast"


@pytest.mark.parametrize("content", ["", "default\n", "camera\n", "gone\n"])
@pytest.mark.parametrize("role", ROLES)
def test_a_role_whose_file_names_no_engine_is_an_error(root, role, content):
    (root / ROLES[role]).write_text(content)
    with pytest.raises(EngineError):
        engine_for(role)


def test_an_unknown_engine_lists_those_there_are(root):
    with pytest.raises(EngineError, match="'nope'.*local-contrast"):
        find_engine("nope")


def test_a_folder_that_is_no_engine_says_what_it_lacks(tmp_path):
    with pytest.raises(EngineError, match="manifest.yaml"):
        find_engine(tmp_path)


def test_targets_of_the_environment_go_first(root):
    (root / "targets").mkdir()
    (root / "targets/cpu.yaml").write_text("")
    assert platform_file("cpu") == root / "targets/cpu.yaml"
    with pytest.raises(EngineError, match="targets/tpu.yaml"):
        platform_file("tpu")


def test_weights_and_the_folders_that_hold_them_are_checkpoints(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    assert find_checkpoint(run) is None
    (run / "weights.safetensors").write_bytes(b"")
    assert find_checkpoint(run) == run and find_checkpoint(str(run)) == run
    assert find_checkpoint(run / "weights.safetensors") == run / "weights.safetensors"
    # Named so, but missing: who loads it says that it is not there.
    assert find_checkpoint(tmp_path / "gone.safetensors") == tmp_path / "gone.safetensors"
    assert find_checkpoint(tmp_path / "gone") is None


def test_engines_are_no_checkpoints_whatever_lies_about(root, tmp_path, monkeypatch):
    (root / "local-contrast/weights.safetensors").write_bytes(b"")
    assert find_checkpoint(root / "local-contrast") is None
    working = tmp_path / "working"
    (working / "local-contrast").mkdir(parents=True)
    (working / "local-contrast/weights.safetensors").write_bytes(b"")
    (working / "weights.safetensors").write_bytes(b"")
    monkeypatch.chdir(working)
    assert [find_checkpoint(name) for name in ("", *ROLES, "local-contrast")] == [None] * 4
    assert find_checkpoint("./local-contrast") is not None
