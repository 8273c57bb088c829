"""From the node's settings to a detector that has run, for the node and for the engine builder."""

from __future__ import annotations

import time
from collections.abc import Callable

from dsad_core.detector import Detector
from dsad_core.engines.load import load_engine

from dsad_detector.settings import Settings


def load_detector(settings: Settings, say: Callable[[str], None]) -> Detector:
    """Load the engine, which a device may have to build first, and warm it up; the caller closes it.

    Raises:
        DsadError: the engine is refused or cannot run here.
    """
    started = time.monotonic()
    engine = load_engine(settings.engine, settings.target, settings.threads, settings.backend)
    try:
        detector = Detector(engine, settings.threshold, settings.value_range, settings.min_area)
        loaded = time.monotonic()
        detector.warm_up(*settings.warm_up_size)
    except BaseException:
        engine.close()
        raise
    height, width = settings.warm_up_size
    say(
        f"engine {engine.manifest.name} ({engine.manifest.sha256[:12]}) on {engine.target}: "
        f"{engine.description}; loaded in {loaded - started:.2f} s, warmed up at {width}x{height} in "
        f"{time.monotonic() - loaded:.2f} s"
    )
    return detector
