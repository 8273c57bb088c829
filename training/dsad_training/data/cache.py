"""Packed data sets on disk, so that images are decoded once and later trainings map one file."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import safetensors
import safetensors.torch
from rich.console import Console
from torch import Tensor

from dsad_core.engines.cache import cache_root
from dsad_core.files import write_atomic
from dsad_training.data.packed import PackedSet

#: To be raised when the same files are packed to other tensors than before.
FORMAT = 2
TENSORS = tuple(field.name for field in fields(PackedSet) if field.type is Tensor)


def cached(name: str, identity: Any, content: Any, build: Callable[[], PackedSet]) -> PackedSet:
    """The packed set kept for ``identity``, or a fresh one from ``build``, which is then kept.

    A kept file is used only where ``content``, this format and the versions of NumPy and OpenCV are those it
    was built from; otherwise, and where it is damaged, it is replaced. Its tensors are mapped, not read. A
    folder that cannot be written costs the cache alone: that is said on stderr.

    Args:
        name: begins the file's name, for people.
        identity: what the set is, as JSON values: one file each.
        content: what its tensors depend on beside, as JSON values.
    """
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    path = packed_folder() / f"{re.sub('[^A-Za-z0-9._-]', '_', name)}-{key}.safetensors"
    facts = json.dumps([identity, content, FORMAT, cv2.__version__, np.__version__], sort_keys=True)
    fingerprint = hashlib.sha256(facts.encode()).hexdigest()
    if (kept := _read(path, fingerprint)) is not None:
        return kept
    data = build()
    metadata = {
        "fingerprint": fingerprint,
        "names": json.dumps(data.names),
        "notes": json.dumps(data.notes),
    }
    try:
        write_atomic(path, safetensors.torch.save({key: getattr(data, key) for key in TENSORS}, metadata))
    except OSError as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(
            f"{path}: decoded images cannot be kept ({error.strerror}); set DSAD_CACHE to a writable folder"
        )
    return data


def packed_folder() -> Path:
    """``packed/`` under the suite's cache folder."""
    return cache_root() / "packed"


def _read(path: Path, fingerprint: str) -> PackedSet | None:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("fingerprint") != fingerprint:
                return None
            tensors = {key: file.get_tensor(key) for key in TENSORS}
    except (safetensors.SafetensorError, OSError):
        return None
    return PackedSet(
        names=tuple(json.loads(metadata["names"])), notes=tuple(json.loads(metadata["notes"])), **tensors
    )
