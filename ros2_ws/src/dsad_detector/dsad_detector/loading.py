"""From the node's settings to a detector that has run, for the node and for the engine builder."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from dsad_core.detector import Detector
from dsad_core.engines import progress
from dsad_core.engines.load import load_engine
from dsad_core.engines.self_test import SelfTest, run_self_test
from dsad_detector.settings import Settings

#: (height, width) that an engine which takes any is warmed up with.
USUAL_SIZE = (512, 640)


@dataclass(frozen=True)
class Loaded:
    """A detector that is ready.

    Attributes:
        size: (height, width) of the frames that it was prepared for.
        any_size: it answers frames of other sizes, too.
    """

    detector: Detector
    size: tuple[int, int]
    any_size: bool
    self_test: SelfTest


def load_detector(
    settings: Settings,
    log: Callable[[str], None],
    find_size: Callable[[], tuple[int, int]] = lambda: USUAL_SIZE,
) -> Loaded:
    """Load the engine, which a device may have to build first, test it and warm it up; the caller closes it.

    Args:
        say: gets one line at the end.
        find_size: asked for (height, width) where the settings name none and the engine is built for one.

    Raises:
        DsadError: the engine is refused, cannot run here, or fails its self-test.
        Cancelled: ``progress`` was cancelled.
    """
    started = time.monotonic()
    progress.report(f"loading engine {settings.engine or 'default'}")
    engine = load_engine(settings.engine, settings.target, settings.threads, settings.backend)
    try:
        detector = Detector(
            engine,
            settings.threshold,
            settings.value_range,
            settings.min_area,
            settings.max_targets,
            settings.build_on_demand,
        )
        size = settings.frame_size or engine.manifest.size or (find_size() if engine.builds else USUAL_SIZE)
        height, width = size
        loaded = time.monotonic()
        progress.report(f"preparing engine {engine.manifest.name} for frames of {width}x{height}")
        self_test = run_self_test(engine, size if engine.builds else None)
        detector.warm_up(height, width)
    except BaseException:
        engine.close()
        raise
    any_size = engine.manifest.size is None and (settings.build_on_demand or not engine.builds)
    log(
        f"engine {engine.manifest.name} ({engine.manifest.sha256[:12]}) on {engine.platform}: "
        f"{engine.description}; loaded in {loaded - started:.2f} s, ready at {width}x{height} in "
        f"{time.monotonic() - loaded:.2f} s; self-test: {self_test.text}"
    )
    return Loaded(detector, size, any_size, self_test)
