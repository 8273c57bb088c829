"""Security: files that somebody changed are refused, names leave no folder, passwords get into no message."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np

from dsad_core.engines import cache
from dsad_core.engines.cache import PlanKey
from dsad_core.engines.load import load_engine
from dsad_core.engines.locate import find_engine
from dsad_core.engines.manifest import MANIFEST_FILE, MODEL_FILE, load_manifest
from dsad_core.errors import DsadError, unexpected
from dsad_core.files import sha256_file
from dsad_tools.bags.write import BagWriter
from dsad_tools.data.open import open_source
from dsad_tools.prove.proof import Check, Setting
from dsad_tools.scenes.generator import SceneGenerator

SECRET = "hunter2"
ADDRESS = f"rtsp://operator:{SECRET}@192.0.2.7:554/stream"


def prove(setting: Setting) -> Iterator[Check]:
    """Each attack once; what is counted is the attacks of its kind that were refused."""
    yield _all("an engine changed by somebody else", _engine_attacks(setting.folder))
    yield _all("a build cache changed by somebody else", _cache_attacks(setting.folder))
    yield _all("names that lead out of their folder", _path_attacks(setting.folder))
    yield _all("code in files", _code_attacks(setting.folder))
    yield _all("passwords in messages", _secret_attacks(setting.folder))


def _all(name: str, attacks: dict[str, Callable[[], str]]) -> Check:
    """``attacks`` give what refused them; they raise DsadError, or AssertionError where one got through."""
    through, said = [], ""
    for what, attack in attacks.items():
        try:
            said = attack() or said
        except DsadError as error:
            said = str(error)
        except Exception as error:
            through.append(f"{what}: {unexpected(error)}")
    return Check(
        name, len(attacks), "attacks", not through, "; ".join(through) or f"all refused; the last: {said}"
    )


def _refused(action: Callable[[], object], *words: str) -> str:
    """What refuses the action; one of ``words`` is of its reason.

    Raises:
        AssertionError: nothing does, or something for another reason.
    """
    try:
        action()
    except DsadError as error:
        if any(word in str(error) for word in words):
            return str(error)
        raise AssertionError(f"refused, but for another reason: {error}") from error
    raise AssertionError("it was accepted")


def _engine(folder: Path, name: str, change: Callable[[Path], None], *words: str) -> Callable[[], str]:
    def attack() -> str:
        engine = Path(shutil.copytree(find_engine("local-contrast"), folder / name))
        change(engine)
        return _refused(lambda: load_engine(engine, threads=1), *words)

    return attack


def _engine_attacks(folder: Path) -> dict[str, Callable[[], str]]:
    def model(engine: Path) -> None:
        content = bytearray((engine / MODEL_FILE).read_bytes())
        content[len(content) // 2] ^= 1
        (engine / MODEL_FILE).write_bytes(content)

    def hash_of(engine: Path) -> None:
        _rewrite(engine, "sha256: ", "sha256: 0")

    def field(engine: Path) -> None:
        with open(engine / MANIFEST_FILE, "a") as stream:
            stream.write("run_before: rm -rf /\n")

    def threshold(engine: Path) -> None:
        text = (engine / MANIFEST_FILE).read_text().splitlines()
        lines = ["threshold: 7" if line.startswith("threshold:") else line for line in text]
        (engine / MANIFEST_FILE).write_text("\n".join(lines) + "\n")

    def outside(engine: Path) -> None:
        """Weights in a file beside the model, which no hash covers."""
        import onnx

        graph = onnx.load(engine / MODEL_FILE)
        array = onnx.numpy_helper.from_array(np.zeros(4096, np.float32), "outside")
        graph.graph.initializer.append(array)
        old = sha256_file(engine / MODEL_FILE)
        onnx.save(
            graph, engine / MODEL_FILE, save_as_external_data=True, location="weights.bin", size_threshold=0
        )
        _rewrite(engine, old, sha256_file(engine / MODEL_FILE))

    words = {
        model: "SHA-256",
        hash_of: "sha256",
        field: "run_before",
        threshold: "threshold",
        outside: "weights.bin",
    }
    return {
        each.__name__: _engine(folder, f"engine-{each.__name__}", each, word) for each, word in words.items()
    }


def _cache_attacks(folder: Path) -> dict[str, Callable[[], str]]:
    root = folder / "cache"
    key = PlanKey("local-contrast", "tensorrt", "0" * 64, "none 1.0", "no device", "", "fp32", (64, 64))

    def within(attack: Callable[[], str]) -> Callable[[], str]:
        def run() -> str:
            shutil.rmtree(root, ignore_errors=True)
            with patch.dict(os.environ, DSAD_CACHE=str(root)):
                cache.obtain(key, lambda: b"a plan")
                if cache.stale(key) is not None:
                    raise AssertionError("a good plan counts as stale")
                return attack()

        return run

    def told() -> str:
        reason = cache.stale(key)
        if reason is None:
            raise AssertionError("the changed plan would be loaded")
        return reason

    def plan() -> str:
        key.path.write_bytes(b"another plan")
        return told()

    def record() -> str:
        path = key.path.with_suffix(cache.RECORD_SUFFIX)
        path.write_text(path.read_text().replace("no device", "a device"))
        return told()

    def permissions() -> str:
        key.path.parent.chmod(0o777)
        return _refused(lambda: cache.obtain(key, lambda: b"a plan", renew=True), "others may write")

    return {attack.__name__: within(attack) for attack in (plan, record, permissions)}


def _path_attacks(folder: Path) -> dict[str, Callable[[], str]]:
    def leave(name: str) -> Callable[[Path], None]:
        return lambda engine: _rewrite(engine, "name: local-contrast", f"name: {name}")

    def bag_part(storage: str) -> Callable[[], str]:
        def attack() -> str:
            bag, metadata = folder / storage, folder / storage / "metadata.yaml"
            with BagWriter(bag, storage) as writer:
                for sample in SceneGenerator(32, 32, 2):
                    writer.write(sample)
            (part,) = (path for path in bag.iterdir() if path != metadata)
            part.rename(folder / part.name)
            metadata.write_text(metadata.read_text().replace(part.name, f"../{part.name}"))
            return _refused(lambda: list(open_source(bag)), part.name)

        return attack

    def split() -> str:
        data = folder / "set"
        for name in ("images", "masks"):
            (data / name).mkdir(parents=True)
            cv2.imwrite(str(data / name / "inside.png"), np.zeros((32, 32), np.uint8))
        cv2.imwrite(str(folder / "outside.png"), np.zeros((32, 32), np.uint8))
        (data / "test.txt").write_text("../../outside\n")
        return _refused(lambda: list(open_source(data)), "../../outside")

    return {
        "engine ../../x": _engine(folder, "name-up", leave("../../x"), "name"),
        "engine /tmp/x": _engine(folder, "name-root", leave("/tmp/x"), "name"),
        "part of an MCAP bag": bag_part("mcap"),
        "part of a sqlite3 bag": bag_part("sqlite3"),
        "frame of a split": split,
    }


def _code_attacks(folder: Path) -> dict[str, Callable[[], str]]:
    trace = folder / "it-ran"

    def yaml(engine: Path) -> None:
        with open(engine / MANIFEST_FILE, "a") as stream:
            stream.write(f"notes: !!python/object/apply:os.mkdir ['{trace}']\n")

    def pickled(engine: Path) -> None:
        old = sha256_file(engine / MODEL_FILE)
        (engine / MODEL_FILE).write_bytes(pickle.dumps(_Payload(str(trace))))
        _rewrite(engine, old, sha256_file(engine / MODEL_FILE))

    def checked(attack: Callable[[], str]) -> Callable[[], str]:
        def run() -> str:
            said = attack()
            if trace.exists():
                raise AssertionError("the code ran")
            return said

        return run

    # Each backend has its own words for a file that is no model.
    words = {
        yaml: ("YAML",),
        pickled: ("not a model", "OpenVINO cannot read it", "onnxruntime cannot load it"),
    }
    return {
        each.__name__: checked(_engine(folder, f"code-{each.__name__}", each, *said))
        for each, said in words.items()
    }


class _Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: str):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def _secret_attacks(folder: Path) -> dict[str, Callable[[], str]]:
    def without(action: Callable[[], object]) -> Callable[[], str]:
        def run() -> str:
            said = _refused(action, "***@192.0.2.7")
            if SECRET in said:
                raise AssertionError("the password is in the message")
            return said

        return run

    return {
        "source": without(lambda: open_source(ADDRESS)),
        "engine": without(lambda: load_engine(ADDRESS)),
        "manifest": without(lambda: load_manifest(Path(ADDRESS))),
    }


def _rewrite(engine: Path, old: str, new: str) -> None:
    path = engine / MANIFEST_FILE
    text = path.read_text()
    if old not in text:
        raise ValueError(f"{path}: holds no {old!r}")
    path.write_text(text.replace(old, new))
