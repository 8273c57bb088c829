"""A reader never sees half a file."""

import pytest

from dsad_core.files import replace_dir, sha256_file, write_atomic


def test_write_atomic_replaces_and_leaves_nothing_beside(tmp_path):
    path = tmp_path / "deep" / "report.html"
    write_atomic(path, "one")
    write_atomic(path, b"two")
    assert path.read_text() == "two"
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def test_replace_dir_swaps_whole_folders(tmp_path):
    target = tmp_path / "bag"
    for content in ("first", "second"):
        with replace_dir(target) as fresh:
            (fresh / "data").write_text(content)
    assert (target / "data").read_text() == "second"
    assert [entry.name for entry in tmp_path.iterdir()] == ["bag"]


def test_replace_dir_keeps_the_old_when_writing_fails(tmp_path):
    target = tmp_path / "bag"
    with replace_dir(target) as fresh:
        (fresh / "data").write_text("kept")
    with pytest.raises(KeyboardInterrupt), replace_dir(target) as fresh:
        (fresh / "data").write_text("lost")
        raise KeyboardInterrupt
    assert (target / "data").read_text() == "kept"
    assert [entry.name for entry in tmp_path.iterdir()] == ["bag"]


def test_sha256_of_known_bytes(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert sha256_file(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
