"""Executable ``build_engine``: builds what the device needs for the detector's parameters, and ends.

It takes the detector's name and parameters, so that the detector later finds everything in the cache.
"""

from __future__ import annotations

from rclpy.node import Node
from rclpy.task import Future

from dsad_common.parameters import declare
from dsad_common.run import main as run_main
from dsad_core.engines.progress import Progress, listen
from dsad_core.errors import DsadError, unexpected
from dsad_detector.loading import load_detector
from dsad_detector.settings import PARAMETERS, Settings
from dsad_detector.worker import Worker

#: Seconds that a build which was told to end may take for it.
PATIENCE_SECONDS = 1.0


class EngineBuilder(Node):
    """Sets ``done`` once the engine has run at ``frame_size``, to 2 where it is refused.

    Attributes:
        hung: a build could not be ended; see ``run_node``.

    Raises:
        BadParameter, UsageError: a parameter is refused.
    """

    def __init__(self):
        super().__init__("detector")
        self.done = Future()
        self.hung = False
        declare(self, PARAMETERS, lambda _: None)
        values = {parameter.name: self.get_parameter(parameter.name).value for parameter in PARAMETERS}
        settings = Settings.from_parameters(values)
        self._progress = Progress(self.get_logger().info)
        self._worker = Worker(lambda: None)
        self._worker.run(lambda: self._build(settings))

    def close(self) -> None:
        """End the build."""
        self._progress.cancelled.set()
        self.hung = not self._worker.join(PATIENCE_SECONDS)

    def _build(self, settings: Settings) -> None:
        status = 2
        try:
            with listen(self._progress):
                load_detector(settings, self.get_logger().info).detector.engine.close()
            status = 0
        except DsadError as error:
            self.get_logger().fatal(str(error))
        except Exception as error:
            self.get_logger().fatal(unexpected(error))
        finally:
            self.done.set_result(status)


def main() -> None:
    """Console script."""
    run_main(EngineBuilder)
