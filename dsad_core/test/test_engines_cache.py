import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dsad_core.engines import cache
from dsad_core.engines.cache import KEPT, PlanKey, cache_folder, cache_root, obtain, stale
from dsad_core.engines.platform import load_platform
from dsad_core.errors import EngineError

KEY = PlanKey(
    engine="net",
    backend="tensorrt",
    model="a" * 64,
    runtime="TensorRT 10.3.0",
    device="Orin, compute capability 8.7",
    driver="12.6",
    precision="fp16",
    size=(512, 640),
    options={"format": "1"},
)
CHANGES = {
    "model": "b" * 64,
    "runtime": "TensorRT 10.7.0",
    "device": "Thor, compute capability 11.0",
    "driver": "13.0",
    "precision": "fp32",
    "size": (256, 256),
    "options": {"format": "2"},
    "backend": "acl",
    "engine": "other",
}


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("DSAD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def never():
    raise AssertionError("built again")


def test_the_root_follows_the_environment(monkeypatch, tmp_path):
    assert cache_root() == tmp_path / "cache"
    monkeypatch.delenv("DSAD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg/dsad"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_root() == tmp_path / ".cache/dsad"


def test_the_folders_are_for_their_owner_alone(root):
    path = obtain(KEY, lambda: b"plan")
    for folder in (path.parent, path.parent.parent, root):
        assert folder.stat().st_mode & 0o777 == 0o700
    root.chmod(0o755)
    obtain(KEY, never)
    obtain(KEY, lambda: b"again", renew=True)
    assert root.stat().st_mode & 0o777 == 0o700, "a folder of an older version is closed"


def test_a_folder_that_others_may_write_to_is_refused(root):
    root.mkdir()
    root.chmod(0o777)
    with pytest.raises(EngineError, match="others may write to it .mode 777.*set DSAD_CACHE"):
        obtain(KEY, lambda: b"plan")


def test_a_folder_of_somebody_else_is_refused(root, monkeypatch):
    root.mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: root.stat().st_uid + 1)
    with pytest.raises(EngineError, match="belongs to user"):
        obtain(KEY, lambda: b"plan")


def test_a_plan_is_built_once_and_recorded(root):
    assert stale(KEY) == "not built yet"
    path = obtain(KEY, lambda: b"plan")
    assert path.read_bytes() == b"plan" and root in path.parents
    assert stale(KEY) is None
    assert obtain(KEY, never) == path
    record = yaml.safe_load(path.with_suffix(".yaml").read_text())
    assert record["parts"]["runtime"] == "TensorRT 10.3.0" and record["parts"]["size"] == "640x512"
    assert obtain(KEY, lambda: b"renewed", renew=True).read_bytes() == b"renewed"
    assert stale(KEY) is None


@pytest.mark.parametrize("part", CHANGES)
def test_a_change_of_any_part_is_another_plan(part):
    path = obtain(KEY, lambda: b"plan")
    changed = replace(KEY, **{part: CHANGES[part]})
    assert changed.path != path and stale(changed)
    assert obtain(changed, lambda: b"other").read_bytes() == b"other"
    assert stale(KEY) is None


@pytest.mark.parametrize(
    "part, told",
    [
        ("runtime", "built by TensorRT 10.3.0, this is TensorRT 10.7.0"),
        ("device", "built for Orin, compute capability 8.7, this is Thor, compute capability 11.0"),
        ("driver", "built under driver 12.6, this is 13.0"),
        ("model", "built from model aaaaaaaaaaaa..., this is bbbbbbbbbbbb..."),
        ("options", "built with option format 1, this is 2"),
    ],
)
def test_the_reason_names_the_part_that_differs(part, told):
    obtain(KEY, lambda: b"plan")
    assert stale(replace(KEY, **{part: CHANGES[part]})) == told


texts = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), max_size=12)
keys = st.builds(
    PlanKey,
    engine=st.just("net"),
    backend=st.sampled_from(["tensorrt", "acl"]),
    model=texts,
    runtime=texts,
    device=texts,
    driver=texts,
    precision=st.sampled_from(["fp32", "fp16"]),
    size=st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
    options=st.dictionaries(st.sampled_from(["format", "typing"]), texts),
    suffix=st.just(".plan"),
)


@given(keys, keys)
def test_paths_are_the_same_exactly_where_all_parts_are(first, second):
    assert (first.path == second.path) == (first.parts() == second.parts())
    assert first.path == replace(first).path


@given(keys, st.sampled_from(["runtime", "device", "driver", "model"]), texts)
def test_no_two_parts_are_mixed_up(key, part, value):
    changed = replace(key, **{part: value})
    assert (changed.path == key.path) == (getattr(key, part) == value)


def test_a_plan_that_was_changed_is_told_and_rebuilt():
    path = obtain(KEY, lambda: b"plan")
    path.write_bytes(b"plam")
    assert "changed or damaged" in stale(KEY)
    assert obtain(KEY, lambda: b"plan").read_bytes() == b"plan"
    assert stale(KEY) is None


@pytest.mark.parametrize("text", ["", "parts: [", "parts: {}", "\x00", "- 1"])
def test_a_damaged_record_is_told_and_rebuilt(text):
    record = obtain(KEY, lambda: b"plan").with_suffix(".yaml")
    record.write_text(text)
    assert "cannot be read" in stale(KEY)
    obtain(KEY, lambda: b"again")
    assert stale(KEY) is None


def test_a_record_that_was_edited_is_told():
    record = obtain(KEY, lambda: b"plan").with_suffix(".yaml")
    record.write_text(record.read_text().replace("10.3.0", "10.2.0"))
    assert "record was changed, built by TensorRT 10.2.0, this is TensorRT 10.3.0" in stale(KEY)


def test_a_plan_without_its_record_and_the_reverse_are_rebuilt():
    path = obtain(KEY, lambda: b"plan")
    path.with_suffix(".yaml").unlink()
    assert stale(KEY) == "not built yet"
    obtain(KEY, lambda: b"plan")
    path.unlink()
    assert "missing" in stale(KEY)
    assert obtain(KEY, lambda: b"plan").read_bytes() == b"plan"


def test_a_build_that_fails_leaves_the_plan_that_was_there(root):
    def fail():
        raise EngineError("no such operator")

    with pytest.raises(EngineError, match="no such operator"):
        obtain(KEY, fail)
    assert stale(KEY) == "not built yet"
    path = obtain(KEY, lambda: b"plan")
    with pytest.raises(EngineError, match="no such operator"):
        obtain(KEY, fail, renew=True)
    assert path.read_bytes() == b"plan" and stale(KEY) is None
    assert sorted(file.suffix for file in path.parent.iterdir()) == [".lock", ".plan", ".yaml"]


def test_only_the_last_plans_are_kept():
    runtimes = [replace(KEY, runtime=f"TensorRT 10.{minor}") for minor in range(KEPT + 2)]
    for age, key in enumerate(runtimes):
        record = obtain(key, lambda: b"plan").with_suffix(".yaml")
        os.utime(record, (1000 + age, 1000 + age))
    obtain(replace(KEY, size=(256, 256)), lambda: b"plan")
    obtain(runtimes[-1], lambda: b"plan", renew=True)
    assert [key for key in runtimes if stale(key) is None] == runtimes[-KEPT:]
    assert len(list(KEY.path.parent.glob("*640x512*.plan"))) == KEPT


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DSAD_CACHE", str(tmp_path / "file"))
    with pytest.raises(EngineError, match=r"file/plans.*set DSAD_CACHE"):
        obtain(KEY, lambda: b"plan")
    with pytest.raises(EngineError, match="set DSAD_CACHE"):
        cache_folder("a" * 64, load_platform("cpu"))


def test_providers_get_a_folder_for_each_model_and_option():
    options = load_platform("cuda")
    other = options.model_copy(
        update={
            "onnxruntime": options.onnxruntime.model_copy(update={"provider_options": {"device_id": "1"}})
        }
    )
    folders = [cache_folder(*key) for key in (("a" * 64, options), ("b" * 64, options), ("a" * 64, other))]
    assert len(set(folders)) == 3 and all(folder.is_dir() for folder in folders)
    assert cache_folder("a" * 64, options) == folders[0]


#: A builder in a process of its own: says that it builds, and goes on when it is let.
BUILDER = """
import os, sys, time
from pathlib import Path
from dsad_core.engines import cache
from test_engines_cache import KEY

folder, name, stop_at = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

def wait(*_):
    (folder / f"{name}.builds").touch()
    while not (folder / f"{name}.go").exists():
        time.sleep(0.01)

def build():
    if stop_at == "build":
        wait()
    return name.encode() * 1000

if stop_at == "write":
    os.fsync = wait
print(cache.obtain(KEY, build))
"""


class Builder:
    def __init__(self, folder, name, stop_at="build"):
        self.folder, self.name = folder, name
        self.log = folder / f"{name}.log"
        paths = os.pathsep.join([os.path.dirname(__file__), *filter(None, sys.path)])
        with open(self.log, "w") as log:
            command = [sys.executable, "-c", BUILDER, folder, name, stop_at]
            environment = {**os.environ, "PYTHONPATH": paths}
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    @property
    def builds(self):
        return (self.folder / f"{self.name}.builds").exists()

    @property
    def waits(self):
        return "waiting for it" in self.log.read_text()

    def go(self):
        (self.folder / f"{self.name}.go").touch()

    def until(self, what):
        deadline = time.monotonic() + 30
        while not getattr(self, what):
            assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.01)


@pytest.fixture
def start(tmp_path):
    builders = []

    def start(*arguments):
        builders.append(Builder(tmp_path, *arguments))
        return builders[-1]

    yield start
    for builder in builders:
        if builder.process.poll() is None:
            builder.process.kill()
        builder.process.wait()


def test_of_two_processes_one_builds_and_the_other_takes_its_plan(start):
    first = start("first")
    first.until("builds")
    second = start("second")
    second.until("waits")
    assert not second.builds
    first.go()
    assert first.process.wait(30) == 0 and second.process.wait(30) == 0
    assert not second.builds
    assert obtain(KEY, never).read_bytes() == b"first" * 1000


@pytest.mark.parametrize("stop_at", ["build", "write"])
def test_a_builder_that_is_killed_frees_the_next(start, stop_at):
    first = start("first", stop_at)
    first.until("builds")
    second = start("second")
    second.until("waits")
    leftovers = list(KEY.path.parent.glob(".*"))
    assert bool(leftovers) == (stop_at == "write")
    first.process.send_signal(signal.SIGKILL)
    second.until("builds")
    second.go()
    assert second.process.wait(30) == 0, second.log.read_text()
    assert obtain(KEY, never).read_bytes() == b"second" * 1000
    assert not list(KEY.path.parent.glob(".*"))


def test_shared_files_differ_by_their_facts_and_survive_an_unwritable_folder(root, monkeypatch, tmp_path):
    path = cache.shared_file("timing", "TensorRT 10.3.0", "Orin")
    assert path != cache.shared_file("timing", "TensorRT 10.7.0", "Orin")
    cache.keep_shared(path, b"timings")
    assert path.read_bytes() == b"timings" and root in path.parents
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DSAD_CACHE", str(tmp_path / "file"))
    cache.keep_shared(cache.shared_file("timing", "TensorRT 10.3.0", "Orin"), b"timings")
