"""The folder that holds what is built on this device. What lies there is run, so it is its owner's alone."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from dsad_core.errors import EngineError, one_line


def cache_root() -> Path:
    """``$DSAD_CACHE``, or ``$XDG_CACHE_HOME/dsad``, or ``~/.cache/dsad``; it need not exist.

    What lies there is run: `private_folder` makes it, and refuses one that others may write to.
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("DSAD_CACHE") or Path(home) / "dsad")


def private_folder(folder: Path) -> None:
    """Make a folder of the cache, mode 0700, with those above it up to the cache's root.

    Raises:
        EngineError: one of them belongs to somebody else, others may write to it, or it cannot be made.
    """
    root = cache_root()
    with explained(folder):
        root.parent.mkdir(parents=True, exist_ok=True)
        below = folder.relative_to(root).parts
        for path in (root.joinpath(*below[:depth]) for depth in range(len(below) + 1)):
            try:
                path.mkdir(mode=0o700)
            except FileExistsError:
                _require_private(path)


def _require_private(path: Path) -> None:
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise EngineError(
            f"{path}: belongs to user {found.st_uid}, not to {os.geteuid()} who runs this; what lies there would "
            "be run: set DSAD_CACHE to a folder of your own"
        )
    if found.st_mode & 0o022:
        raise EngineError(
            f"{path}: others may write to it (mode {found.st_mode & 0o777:o}), and what lies there would be run: "
            f"empty it and chmod 700 it, or set DSAD_CACHE to another folder"
        )
    if found.st_mode & 0o077:
        path.chmod(0o700)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` about ``path`` into one line with the way out."""
    try:
        yield
    except OSError as error:
        raise EngineError(
            f"{path}: cannot be kept ({one_line(error)}); set DSAD_CACHE to a writable folder with room"
        ) from error
