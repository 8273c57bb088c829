"""What engines share that run one plan for each frame size: opened, or built, when a size comes."""

from pathlib import Path
from typing import Protocol

import numpy as np

from dsad_core.engines import progress
from dsad_core.engines.manifest import Manifest
from dsad_core.engines.sessions import Sessions
from dsad_core.engines.tensor import check_tensor
from dsad_core.errors import DsadError, EngineError, UnsupportedModelError, UsageError


class PlanError(EngineError):
    """A plan that the runtime refuses, or that is not for the frames it was built for."""


class DeviceMemoryError(EngineError):
    """There is no room on the device for a plan; closing another session may make some."""


class Session(Protocol):
    """A plan ready to run."""

    def run(self, tensor: np.ndarray) -> np.ndarray:
        """Logits (H, W), valid until the next call, of a tensor (1, C, H, W) of the plan's size."""

    def close(self) -> None:
        """Free what the plan holds on the device. Logits that were returned stay readable."""


class PlannedEngine:
    """See ``protocol.Engine``. The sessions of the sizes used last stay open.

    A plan that the runtime refuses is built once more, then it is refused.
    """

    manifest: Manifest
    platform: str
    description: str
    builds = True
    backend: str  # the loader sets these four, see protocol.Engine
    precision: str
    passed_over: tuple[str, ...]
    folder: Path

    def __init__(self, manifest: Manifest, platform: str):
        self.manifest = manifest
        self.platform = platform
        self._sessions: Sessions[Session] = Sessions(self._open_or_refuse, lambda session: session.close())
        self._refusals: dict[tuple[int, int], str] = {}

    def infer(self, tensor: np.ndarray) -> np.ndarray:
        check_tensor(self.manifest, tensor)
        size = tensor.shape[2:]
        self._enter_thread()
        session = self._sessions.get(size)
        try:
            return session.run(tensor)
        except EngineError as error:
            raise EngineError(f"engine {self.manifest.name} failed on {_text(size)}: {error}") from error

    def plan(self, size: tuple[int, int]) -> Path:
        """The file that frames of ``size`` (height, width) run on, built where it is not there."""
        return self._build(size, renew=False)

    def close(self) -> None:
        if len(self._sessions):
            self._enter_thread()
            self._sessions.close()

    def _enter_thread(self) -> None:
        """Make the device current in the calling thread."""
        raise NotImplementedError

    def _build(self, size: tuple[int, int], renew: bool) -> Path:
        """The plan for a size (height, width); see ``cache.obtain``."""
        raise NotImplementedError

    def _open(self, plan: Path, size: tuple[int, int]) -> Session:
        """Raises ``PlanError`` or ``OSError`` where another build may help."""
        raise NotImplementedError

    def _open_or_refuse(self, size: tuple[int, int]) -> Session:
        if size in self._refusals:
            # Told again for each frame of this size, without minutes of building each time.
            raise EngineError(self._refusals[size])
        try:
            try:
                return self._open_or_renew(size)
            except DeviceMemoryError:
                if not len(self._sessions):
                    raise
                self._sessions.close()
                return self._open_or_renew(size)
        except progress.Cancelled:
            raise
        except DsadError as error:
            refusal = self._refusals[size] = (
                f"engine {self.manifest.name} cannot run on {_text(size)}: {error}"
            )
            # That one sends the loader to the platform's next backend.
            kind = UnsupportedModelError if isinstance(error, UnsupportedModelError) else EngineError
            raise kind(refusal) from error

    def _open_or_renew(self, size: tuple[int, int]) -> Session:
        plan = self._build(size, renew=False)
        try:
            return self._open(plan, size)
        except (PlanError, OSError):
            plan = self._build(size, renew=True)
        try:
            return self._open(plan, size)
        except (PlanError, OSError) as error:
            raise EngineError(f"{plan}: built here and refused all the same: {error}") from error


def check_size(manifest: Manifest, size: tuple[int, int]) -> None:
    """Refuse a size (height, width) that frames of the engine cannot have.

    Raises:
        UsageError: not the one size it is compiled for, or not multiples of what it takes.
    """
    name, multiple = manifest.name, manifest.size_multiple
    if manifest.size is not None and size != manifest.size:
        raise UsageError(
            f"engine {name} is compiled for frames of {_text(manifest.size)} alone, not {_text(size)}"
        )
    if min(size) < 1 or size[0] % multiple or size[1] % multiple:
        raise UsageError(f"engine {name} takes sides that are multiples of {multiple}, not {_text(size)}")


def _text(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"
