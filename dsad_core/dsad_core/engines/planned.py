"""What engines share that run a plan of one frame size: it is opened, or built, for the size that comes."""

from pathlib import Path
from typing import Protocol

import numpy as np

from dsad_core.engines.manifest import Manifest
from dsad_core.engines.tensor import check_tensor
from dsad_core.errors import DsadError, EngineError, UnsupportedModelError, UsageError


class PlanError(EngineError):
    """A plan that the runtime refuses, or that is not for the frames it was built for."""


class Session(Protocol):
    """A plan ready to run."""

    def run(self, tensor: np.ndarray) -> np.ndarray:
        """Logits (H, W), valid until the next call, of a tensor (1, C, H, W) of the plan's size."""

    def close(self) -> None:
        """Free what the plan holds on the device. Logits that were returned stay readable."""


class PlannedEngine:
    """See ``protocol.Engine``. The session is made anew when the frame size changes.

    A plan that the runtime refuses is built once more, then it is refused.
    """

    manifest: Manifest
    target: str
    description: str

    def __init__(self, manifest: Manifest, target: str):
        self.manifest = manifest
        self.target = target
        self._session: Session | None = None
        self._size = (0, 0)
        self._refusal = ""

    def infer(self, tensor: np.ndarray) -> np.ndarray:
        check_tensor(self.manifest, tensor)
        size = tensor.shape[2:]
        self._enter_thread()
        if size != self._size:
            self._prepare(size)
        if self._session is None:
            raise EngineError(self._refusal)
        try:
            return self._session.run(tensor)
        except EngineError as error:
            raise EngineError(f"engine {self.manifest.name} failed on {_text(size)}: {error}") from error

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            self._enter_thread()
            session.close()

    def _enter_thread(self) -> None:
        """Make the device current in the calling thread."""
        raise NotImplementedError

    def _build(self, size: tuple[int, int], renew: bool) -> Path:
        """The plan for a size (height, width); see ``cache.obtain``."""
        raise NotImplementedError

    def _open(self, plan: Path, size: tuple[int, int]) -> Session:
        """Raises ``PlanError`` or ``OSError`` where another build may help."""
        raise NotImplementedError

    def _prepare(self, size: tuple[int, int]) -> None:
        # First what the last size took is freed: there may not be room for both.
        session, self._session = self._session, None
        if session is not None:
            session.close()
        try:
            self._session = self._open_or_renew(size)
        except DsadError as error:
            # Told again for each frame of this size, without minutes of building each time.
            self._refusal = f"engine {self.manifest.name} cannot run on {_text(size)}: {error}"
            self._size = size
            # That one sends the loader to the target's next backend.
            kind = UnsupportedModelError if isinstance(error, UnsupportedModelError) else EngineError
            raise kind(self._refusal) from error
        self._size = size

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
