"""Where files that are built on a device, such as TensorRT plans, are kept."""

import hashlib
import json
import os
from pathlib import Path

import onnxruntime

from dsad_core.engines.target_file import TargetFile
from dsad_core.machine import accelerator_name


def cache_folder(sha256: str, options: TargetFile) -> Path:
    """A folder of its own for each model, runtime version, device and provider options; created.

    Under ``$DSAD_CACHE``, or ``$XDG_CACHE_HOME/dsad``, or ``~/.cache/dsad``. A change of any of them
    gives another folder, so nothing stale is ever read. The runtime keys the files inside by shape.
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    root = Path(os.environ.get("DSAD_CACHE") or Path(home) / "dsad")
    key = [sha256, onnxruntime.__version__, accelerator_name(), options.model_dump()]
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    folder = root / f"{options.target}-{digest[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
