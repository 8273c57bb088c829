"""The tensor that every engine takes."""

import numpy as np

from dsad_core.engines.manifest import Manifest
from dsad_core.errors import EngineError


def check_tensor(manifest: Manifest, tensor: np.ndarray) -> None:
    """Refuse what ``protocol.Engine.infer`` does not take.

    Raises:
        EngineError: type, layout, channels or sides do not fit the engine.
    """
    name, channels, multiple = manifest.name, manifest.input_channels, manifest.size_multiple
    if (
        tensor.ndim != 4
        or tensor.shape[:2] != (1, channels)
        or tensor.dtype != np.float32
        or not tensor.flags.c_contiguous
    ):
        raise EngineError(
            f"engine {name} takes C-contiguous float32 (1, {channels}, H, W), "
            f"not {tensor.dtype} {tensor.shape}"
        )
    height, width = tensor.shape[2:]
    if height % multiple or width % multiple or not tensor.size:
        raise EngineError(f"engine {name} takes sides that are multiples of {multiple}, not {width}x{height}")
    if manifest.size is not None and (height, width) != manifest.size:
        fixed = f"{manifest.size[1]}x{manifest.size[0]}"
        raise EngineError(
            f"engine {name} is compiled for frames of {fixed} alone, not {width}x{height}; "
            "compile one for this size, or one without --size"
        )
