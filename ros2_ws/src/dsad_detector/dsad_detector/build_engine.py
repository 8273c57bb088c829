"""Executable ``build_engine``: builds what the device needs for the detector's parameters, and ends.

It takes the detector's name and parameters, so that the detector later finds everything in the cache.
"""

from __future__ import annotations

from dsad_common.parameters import declare
from dsad_common.run import main as run_main
from rclpy.node import Node
from rclpy.task import Future

from dsad_detector.loading import load_detector
from dsad_detector.settings import PARAMETERS, Settings


class EngineBuilder(Node):
    """Sets ``done`` once the engine has run at ``warm_up_size``.

    Raises:
        BadParameter, DsadError: a parameter or the engine is refused.
    """

    def __init__(self):
        super().__init__("detector")
        self.done = Future()
        declare(self, PARAMETERS, lambda _: None)
        values = {parameter.name: self.get_parameter(parameter.name).value for parameter in PARAMETERS}
        load_detector(Settings.from_parameters(values), self.get_logger().info).engine.close()
        self.done.set_result(0)


def main() -> None:
    """Console script."""
    run_main(EngineBuilder)
