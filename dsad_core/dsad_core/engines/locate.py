"""Where engines and the platforms' files are found."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from dsad_core.engines.manifest import MANIFEST_FILE
from dsad_core.errors import EngineError

#: What engines are for, and the files that name them: data sets; frames of a camera, or like them.
ROLES = {"default": "DEFAULT", "camera": "CAMERA"}
#: Trained weights that are no engine yet; who trained them can load them.
CHECKPOINT_SUFFIX = ".safetensors"
_log = logging.getLogger(__name__)


def engine_roots() -> list[Path]:
    """The folders that exist of: ``$DSAD_ENGINES``, those installed by ROS packages, the checkout's."""
    installed = (prefix / "share/dsad_bringup/edge_engines" for prefix in _folders_of("AMENT_PREFIX_PATH"))
    checkout = Path(__file__).resolve().parents[3] / "edge_engines"
    candidates = [*_folders_of("DSAD_ENGINES"), *installed, checkout]
    return list(dict.fromkeys(path.resolve() for path in candidates if path.is_dir()))


def list_engines() -> list[Path]:
    """Every engine folder found; of two with one name the first wins."""
    found: dict[str, Path] = {}
    for root in engine_roots():
        for manifest in sorted(root.glob(f"*/{MANIFEST_FILE}")):
            found.setdefault(manifest.parent.name, manifest.parent)
    return list(found.values())


def find_engine(name_or_path: str | Path) -> Path:
    """The folder of an engine.

    Args:
        name_or_path: the name of an engine in ``engine_roots()``, a path to an engine folder, or one of
            ``ROLES``; nothing is ``default``. A name that is both is the installed engine's, and that is logged.

    Raises:
        EngineError: there is none; the message lists what there is.
    """
    text = str(name_or_path)
    if text in ("", *ROLES):
        return engine_for(text or "default")
    path = Path(text).expanduser()
    engines = {engine.name: engine for engine in list_engines()}
    # A name is an installed engine's first: what lies in the working directory must not decide what flies.
    if text in engines:
        if _is_engine(path) and path.resolve() != engines[text].resolve():
            _log.warning(
                "engine %s: %s is taken, not ./%s; write ./%s for that", text, engines[text], text, text
            )
        return engines[text]
    if _is_engine(path):
        return path
    if path.is_dir():
        raise EngineError(f"{path}: not an engine folder, it has no {MANIFEST_FILE}")
    known = ", ".join(engines) or "none"
    raise EngineError(f"no engine {text!r}: neither a folder nor one of the installed engines ({known})")


def find_checkpoint(name_or_path: str | Path) -> Path | None:
    """The path itself where it is a weights file or a folder that holds one; None where it names an engine.

    An engine folder, or the name of an installed engine, is an engine even if weights lie in it.
    """
    text = str(name_or_path)
    path = Path(text).expanduser()
    if path.suffix == CHECKPOINT_SUFFIX and not path.is_dir():
        return path
    if text in ("", *ROLES) or _is_engine(path) or not path.is_dir():
        return None
    holds_weights = any(path.glob(f"*{CHECKPOINT_SUFFIX}"))
    return path if holds_weights and text not in (engine.name for engine in list_engines()) else None


def engine_for(role: str) -> Path:
    """The engine that the first file of this role among the roots names, in one line."""
    for root in engine_roots():
        path = root / ROLES[role]
        if path.is_file():
            name = path.read_text(encoding="utf-8").strip()
            if name in ("", *ROLES):
                raise EngineError(f"{path}: names no engine")
            return find_engine(name)
    raise EngineError(f"no {role} engine: no {ROLES[role]} file in {_roots_text()}; name an engine")


def platform_file(platform: str) -> Path:
    """Path of ``targets/<platform>.yaml`` in the first root that has it."""
    for root in engine_roots():
        path = root / "targets" / f"{platform}.yaml"
        if path.is_file():
            return path
    raise EngineError(
        f"no targets/{platform}.yaml in {_roots_text()}; set DSAD_ENGINES to the edge_engines folder"
    )


def _is_engine(path: Path) -> bool:
    return (path / MANIFEST_FILE).is_file()


def _folders_of(variable: str) -> Iterator[Path]:
    return (Path(entry) for entry in os.environ.get(variable, "").split(os.pathsep) if entry)


def _roots_text() -> str:
    return ", ".join(str(root) for root in engine_roots()) or "any engine folder (none exists)"
