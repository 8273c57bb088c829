"""``dsad up``: the graph as plain processes, with a live line, until the source ends or Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from rclpy.logging import get_logging_directory
from rich.console import Console

from dsad_core.errors import DsadError
from dsad_replay import processes
from dsad_replay.display import Display
from dsad_replay.graph import ReplayGraph
from dsad_replay.processes import Process
from dsad_replay.progress import live_line
from dsad_replay.ros import ros
from dsad_replay.watch import Watch

#: Seconds between two looks at the processes and what they say.
TICK_SECONDS = 0.05
INTERRUPTED = 130


class RunError(DsadError):
    """A run that did not come to its end."""


class Runner:
    """Runs one graph to its end, once.

    Args:
        graph: what to run.
        console: where the live line and the nodes' output go.
    """

    def __init__(self, graph: ReplayGraph, console: Console):
        self._graph = graph
        self._display = Display(console)
        self._logs = graph.output / "logs" if graph.output else _log_folder()
        self._interrupts = 0
        self._quiet = False
        self._processes: list[Process] = []

    def run(self) -> int:
        """Start, watch and stop everything.

        Returns:
            0 when the source came to its end, or when a run without an end was stopped; 130 when a
            run with an end was cut short.

        Raises:
            RunError: a node died or refused to start, or no report was written.
            UsageError: a package is not built.
        """
        begin = time.time()
        with self._display, self._counting_interrupts():
            self._processes = processes.start(self._graph, self._logs)
            with self._watching():
                try:
                    self._follow()
                finally:
                    processes.stop(self._processes, self._tick, lambda: self._interrupts > 1)
        if not self._interrupts:
            for process in self._processes:
                if process.status != 0:
                    raise RunError(_exit_reason(process))
        if self._watch.progress.metrics:
            self._display.print_line(live_line(self._watch.progress.metrics))
        if self._graph.output:
            self._display.print_line(f"report: {self._report(begin)}")
        return INTERRUPTED if self._interrupts and self._graph.source_ends else 0

    def _follow(self) -> None:
        """Watch until the run is over."""
        source_over = False
        while not self._interrupts:
            self._tick()
            for process in self._processes:
                is_source = process.spec is self._graph.source
                if process.spec is self._graph.builder and process.status == 0:
                    return
                if process.status is None or (is_source and source_over):
                    continue
                if not (is_source and process.status == 0 and self._graph.source_ends):
                    self._give_up(_exit_reason(process))
                source_over = True
                self._watch.progress.restart(time.monotonic())
            if source_over and self._watch.progress.settled(time.monotonic()):
                return

    def _give_up(self, reason: str) -> None:
        """Fail, and let no more lines of the other nodes push the reason off the screen."""
        self._echo()
        self._quiet = True
        raise RunError(reason)

    def _tick(self) -> None:
        """Take what the nodes publish and write, and show it."""
        self._executor.spin_once(timeout_sec=TICK_SECONDS)
        self._echo()
        metrics = self._watch.progress.metrics
        self._display.figures(live_line(metrics) if metrics else "waiting for the nodes")

    def _echo(self) -> None:
        for process in self._processes:
            for line in process.new_lines():
                if not self._quiet:
                    self._display.log(process.spec.name, line)

    def _report(self, begin: float) -> Path:
        for name in ("metrics.json", "report.html"):
            path = self._graph.output / name
            if not path.is_file() or path.stat().st_mtime < begin:
                raise RunError(f"the run left no {path}; the logs are in {self._logs}")
        return path

    @contextlib.contextmanager
    def _watching(self) -> Iterator[None]:
        with ros() as self._executor:
            self._watch = Watch("dsad_up", self._graph.namespace)
            self._executor.add_node(self._watch)
            yield
            self._watch.destroy_node()

    @contextlib.contextmanager
    def _counting_interrupts(self) -> Iterator[None]:
        def count(*_):
            self._interrupts += 1

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, count) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _exit_reason(process: Process) -> str:
    status = process.status
    how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    return f"{process.spec.name} {how}; its log is {process.log}"


def _log_folder() -> Path:
    return Path(get_logging_directory()) / f"dsad_up_{time.strftime('%Y-%m-%d-%H-%M-%S')}_{os.getpid()}"
