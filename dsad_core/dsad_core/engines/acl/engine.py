"""An engine run through ACL on an Ascend NPU. *Not run on hardware.*"""

import contextlib
from pathlib import Path

from dsad_core.engines.acl import build
from dsad_core.engines.acl.atc import plan_key
from dsad_core.engines.acl.runtime import DEVICE, OmSession, initialise
from dsad_core.engines.manifest import Manifest
from dsad_core.engines.planned import PlannedEngine
from dsad_core.engines.platform import Platform
from dsad_core.errors import EngineError, PlatformError


class AclEngine(PlannedEngine):
    """An engine folder as .om; see ``planned.PlannedEngine``.

    A model of fixed size is built, where need be, when it is opened; else the first frame of a size waits.

    Args:
        folder: holds the verified ``model.onnx``.
        options: the platform's precision is what a float32 model is computed in.
        soc: see ``atc.soc_version``.

    Raises:
        PlatformError: pyACL is missing.
        UnsupportedModelError: a precision that ATC does not take.
        EngineError: ACL refuses the device.
    """

    def __init__(self, folder: Path, manifest: Manifest, options: Platform, soc: str):
        super().__init__(manifest, options.platform)
        self._folder, self._options = folder, options
        smallest = manifest.size or (manifest.size_multiple, manifest.size_multiple)
        key = plan_key(manifest, options, smallest, soc)
        try:
            import acl
        except ImportError as error:
            raise PlatformError(f"no pyACL ({error}); it comes with the CANN toolkit") from error
        self._acl = initialise(acl)
        self._resources = contextlib.ExitStack()
        self.description = f"ACL of {key.runtime} {key.precision} on {soc}"
        try:
            self._context = self._acl("rt.create_context", DEVICE)
            self._resources.callback(self._acl, "rt.destroy_context", self._context)
            if manifest.size is not None:
                self._sessions.get(manifest.size)
        except BaseException:
            with contextlib.suppress(EngineError):
                self._resources.close()
            raise

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._resources.close()

    def _enter_thread(self) -> None:
        self._acl("rt.set_context", self._context)

    def _build(self, size: tuple[int, int], renew: bool) -> Path:
        return build(self._folder, self.manifest, self._options, size, renew=renew)

    def _open(self, plan: Path, size: tuple[int, int]) -> OmSession:
        return OmSession(self._acl, plan, (1, self.manifest.input_channels, *size))
