"""Files that are built on a device, such as TensorRT plans: kept, found again, known to be out of date.

A plan lies beside a record in YAML of all it was built from. Its name ends in a fingerprint of the same
facts, so what was built for another runtime or device is never read. One process builds at a time, others
wait and take what it built; the lock is the kernel's, so a builder that is killed frees it.
"""

import contextlib
import fcntl
import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from dsad_core.engines import progress
from dsad_core.engines.cache_root import cache_root, explained, private_folder
from dsad_core.engines.manifest import Hash, Precision
from dsad_core.engines.platform import Platform
from dsad_core.errors import EngineError, one_line
from dsad_core.files import sha256_file, write_atomic
from dsad_core.machine import accelerator_name

#: Plans kept of one engine, precision and size: of the runtimes, devices and models seen last.
KEPT = 4
RECORD_SUFFIX = ".yaml"
#: How soon a process that waits for another's build looks again.
LOCK_POLL_SECONDS = 0.1
#: How a part that differs is told: what the plan was built from, and what is here.
_DIFFERENCES = {
    "runtime": "built by {0}, this is {1}",
    "device": "built for {0}, this is {1}",
    "driver": "built under driver {0}, this is {1}",
    "model": "built from model {0:.12}..., this is {1:.12}...",
}
_log = logging.getLogger(__name__)


def cache_folder(sha256: str, options: Platform) -> Path:
    """Where onnxruntime's providers keep what they build; created.

    A folder of its own for each model, runtime version, device and provider options. A change of any of
    them gives another folder, so nothing stale is ever read. The runtime keys the files inside by shape.
    """
    import onnxruntime  # only its own providers ask for this folder

    facts = [sha256, onnxruntime.__version__, accelerator_name(), options.onnxruntime.model_dump()]
    folder = cache_root() / "onnxruntime" / f"{options.platform}-{_digest(facts)}"
    private_folder(folder)
    return folder


def shared_file(kind: str, *facts: str) -> Path:
    """A file that all plans of one runtime and device share, such as TensorRT's timing cache."""
    return cache_root() / kind / f"{_digest(facts)}.cache"


def keep_shared(path: Path, content: bytes) -> None:
    """Replace a shared file. It only saves time: where it cannot be written, that is logged."""
    try:
        private_folder(path.parent)
        write_atomic(path, content)
    except (OSError, EngineError) as error:
        _log.warning("%s: cannot be kept (%s)", path, one_line(error))


@dataclass(frozen=True)
class PlanKey:
    """Everything that a plan depends on.

    Attributes:
        engine: the engine's name.
        backend: tensorrt or acl.
        model: SHA-256 of the ONNX file.
        runtime: name and version, e.g. "TensorRT 10.3.0".
        device: name, and what else decides whether a plan runs on it, e.g. the compute capability.
        driver: version of its driver; '' where it is not known.
        precision: what the plan computes in.
        size: (height, width).
        options: the builder's own.
        suffix: of the plan's file.
    """

    engine: str
    backend: str
    model: str
    runtime: str
    device: str
    driver: str
    precision: Precision
    size: tuple[int, int]
    options: Mapping[str, str] = field(default_factory=dict)
    suffix: str = ".plan"

    def parts(self) -> dict[str, str]:
        """All of it by name, as the record holds it."""
        named = ("backend", "model", "runtime", "device", "driver", "precision")
        height, width = self.size
        options = {f"option {key}": value for key, value in sorted(self.options.items())}
        return {**{name: getattr(self, name) for name in named}, "size": f"{width}x{height}", **options}

    @property
    def label(self) -> str:
        """For people: "dnanet-num4 640x512 fp16"."""
        return f"{self.engine} {self.size[1]}x{self.size[0]} {self.precision}"

    @property
    def family(self) -> Path:
        """What the paths of all plans of this engine, backend, precision and size begin with."""
        height, width = self.size
        return cache_root() / "plans" / self.engine / f"{self.backend}-{self.precision}-{width}x{height}"

    @property
    def path(self) -> Path:
        """Where the plan lies, built or not."""
        return self.family.with_name(f"{self.family.name}-{_digest(self.parts())}{self.suffix}")


class Record(BaseModel):
    """What lies beside a plan.

    Attributes:
        self_test: what `self_test` found when the plan was last compared with the reference.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    parts: dict[str, str]
    sha256: Hash
    built: str
    seconds: float
    self_test: dict[str, str | int | float | bool] | None = None


def stale(key: PlanKey) -> str | None:
    """Why the plan would have to be built, naming what differs from what is there; None if it is good."""
    path = key.path
    try:
        record = _read_record(path.with_suffix(RECORD_SUFFIX))
        if record is None:
            return _nearest_difference(key)
        if record.parts != key.parts():
            return f"{path}: its record was changed, {_difference(record.parts, key.parts())}"
        found = sha256_file(path)
    except FileNotFoundError:
        return f"{path}: the plan is missing beside its record"
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        return f"{path.with_suffix(RECORD_SUFFIX)}: cannot be read ({type(error).__name__})"
    if found != record.sha256:
        return (
            f"{path}: SHA-256 is {found[:12]}... but its record says {record.sha256[:12]}...: "
            "the plan was changed or damaged"
        )
    return None


def kept_self_test(plan: Path) -> dict | None:
    """The self-test in a plan's record; None where there is none."""
    with contextlib.suppress(OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError):
        record = _read_record(plan.with_suffix(RECORD_SUFFIX))
        if record is not None:
            return record.self_test
    return None


def keep_self_test(plan: Path, result: Mapping[str, str | int | float | bool]) -> None:
    """Put the self-test into a plan's record; where that cannot be written, it is run again next time."""
    path = plan.with_suffix(RECORD_SUFFIX)
    try:
        record = _read_record(path)
        if record is not None:
            _write_record(path, record.model_copy(update={"self_test": dict(result)}))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        _log.warning("%s: the self-test cannot be kept (%s)", path, type(error).__name__)


def obtain(key: PlanKey, build: Callable[[], bytes], renew: bool = False) -> Path:
    """The plan's path; where it is stale, ``build`` is called for its bytes first.

    Args:
        renew: build even where nothing is stale, for a plan that the runtime refused.

    Raises:
        EngineError: the cache cannot be written.
    """
    path = key.path
    if not renew and stale(key) is None:
        return path
    with _builder_lock(key):
        # Another process may have built it while this one waited.
        reason = "the runtime refused the plan" if renew else stale(key)
        if reason is not None:
            _remove_leftovers(key)
            _log.warning("building %s by %s: %s", key.label, key.runtime, reason)
            progress.report(f"building {key.label} by {key.runtime}: {reason}")
            _build(key, build)
            _remove_old(key)
    return path


def _build(key: PlanKey, build: Callable[[], bytes]) -> None:
    start = time.monotonic()
    plan = build()
    record = Record(
        parts=key.parts(),
        sha256=hashlib.sha256(plan).hexdigest(),
        built=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - start, 1),
    )
    with explained(key.path):
        # The record last: a plan without one, or with an older one, counts as not built.
        write_atomic(key.path, plan)
        _write_record(key.path.with_suffix(RECORD_SUFFIX), record)


def _write_record(path: Path, record: Record) -> None:
    write_atomic(path, yaml.safe_dump(record.model_dump(exclude_none=True), sort_keys=False, width=110))


@contextlib.contextmanager
def _builder_lock(key: PlanKey) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        with explained(key.path):
            private_folder(key.path.parent)
            # The lock file stays: removing it would let two processes lock two files of one name.
            lock = stack.enter_context(open(f"{key.family}.lock", "a", encoding="utf-8"))
            if not _locked(lock):
                _log.warning("%s is being built by another process, waiting for it", key.label)
                progress.report(f"{key.label} is being built by another process, waiting for it")
                while not _locked(lock):
                    progress.current().cancelled.wait(LOCK_POLL_SECONDS)
                    progress.check()
        yield


def _locked(lock) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_record(path: Path) -> Record | None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return Record.model_validate(yaml.safe_load(text))


def _nearest_difference(key: PlanKey) -> str:
    """What differs from the newest plan of this engine, precision and size."""
    for path in _records(key):
        with contextlib.suppress(OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError):
            if (record := _read_record(path)) is not None:
                return _difference(record.parts, key.parts())
    return "not built yet"


def _difference(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    told = []
    for part in (*new, *(part for part in old if part not in new)):
        before, now = old.get(part) or "none", new.get(part) or "none"
        if before != now:
            told.append(_DIFFERENCES.get(part, f"built with {part} {{0}}, this is {{1}}").format(before, now))
    return "; ".join(told)


def _records(key: PlanKey) -> list[Path]:
    """Records of the family, newest first."""
    found = []
    for path in key.family.parent.glob(f"{key.family.name}-*{RECORD_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):
            found.append((path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(found, reverse=True)]


def _remove_old(key: PlanKey) -> None:
    for record in _records(key)[KEPT:]:
        record.unlink(missing_ok=True)
        record.with_suffix(key.suffix).unlink(missing_ok=True)


def _remove_leftovers(key: PlanKey) -> None:
    """What a builder that was killed left half-written; nobody else writes while the lock is held."""
    for path in key.family.parent.glob(f".{key.family.name}-*"):
        path.unlink(missing_ok=True)


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
