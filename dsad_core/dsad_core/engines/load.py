"""From an engine's name to an engine that runs."""

from pathlib import Path

from dsad_core.engines.locate import find_engine
from dsad_core.engines.onnx_runtime import OnnxRuntimeEngine
from dsad_core.engines.protocol import Engine
from dsad_core.engines.target_file import load_target
from dsad_core.errors import UsageError
from dsad_core.hardware import require_target


def load_engine(name_or_path: str | Path, target: str = "cpu", threads: int | None = None) -> Engine:
    """Find an engine, verify it and get it ready to run.

    Args:
        name_or_path: see ``locate.find_engine``.
        target: cpu, cuda, agx or ascend.
        threads: CPU threads; None for what the target file says.

    Raises:
        TargetError: this machine cannot run the target; one line says all that is missing.
        EngineError: there is no such engine, or it does not agree with its manifest.
        UsageError: threads below 1.
    """
    if threads is not None and threads < 1:
        raise UsageError(f"threads {threads} must be at least 1")
    options = load_target(target)
    folder = find_engine(name_or_path)
    require_target(target)
    return OnnxRuntimeEngine(folder, options, threads)
