"""Executable ``await_answers``: ends once the last frames of a run are answered and scored.

The launch file starts it when the source has come to its end, and shuts down when it ends.
"""

from __future__ import annotations

import time

from rclpy.task import Future

from dsad_common.run import main as run_main
from dsad_replay.watch import Watch

CHECK_SECONDS = 0.1


class AwaitAnswers(Watch):
    """Sets ``done`` when the run has settled."""

    def __init__(self):
        super().__init__("await_answers")
        self.done = Future()
        self.progress.restart(time.monotonic())
        self.create_timer(CHECK_SECONDS, self._check)

    def _check(self) -> None:
        if not self.done.done() and self.progress.settled(time.monotonic()):
            self.done.set_result(0)


def main() -> None:
    """Console script."""
    run_main(AwaitAnswers)
