"""What a running training shows and leaves: a live line or plain lines, ``log.jsonl``, TensorBoard."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch.utils.tensorboard import SummaryWriter

from dsad_core.metrics.accumulator import DetectionResult

LOG_FILE = "log.jsonl"


class NoDisplay:
    """What the other ranks of a training show and leave: nothing."""

    def __enter__(self) -> "NoDisplay":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def _nothing(self, *what: object) -> None:
        pass

    advance = losses = validation = say = _nothing


class Display:
    """Reports a run to people (a progress bar on a terminal, lines elsewhere) and to files in ``folder``."""

    def __init__(self, folder: Path, step: int, steps: int):
        self.folder, self.console = folder, Console(soft_wrap=True, highlight=False)
        self.progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[last]}  {task.fields[validated]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.progress.add_task("training", total=steps, completed=step, last="", validated="")
        self.steps = steps
        self.board = SummaryWriter(folder / "tensorboard", purge_step=step)

    def __enter__(self) -> "Display":
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()
        self.board.close()

    def advance(self, step: int) -> None:
        self.progress.update(self.task, completed=step)

    def losses(self, step: int, seconds: float, phase: int, losses: dict[str, float], rate: float) -> None:
        """Means over the last steps of each part of the loss."""
        text = " ".join(f"{name} {value:.4f}" for name, value in losses.items())
        self._write(step, seconds, {"phase": phase, **losses, "lr": rate})
        for name, value in {**losses, "lr": rate}.items():
            self.board.add_scalar(f"train/{name}", value, step)
        self.progress.update(self.task, last=text)
        if not self.console.is_terminal:
            self.say(f"step {step}/{self.steps}  {seconds / 60:.1f} min  {text}")

    def validation(self, step: int, seconds: float, result: DetectionResult) -> None:
        self._write(step, seconds, {"validation": result.to_dict()})
        shown = {"IoU": result.iou, "Pd": result.pd, "Fa": result.fa}
        for name, value in shown.items():
            if value is not None:
                self.board.add_scalar(f"validation/{name}", value, step)
        text = "  ".join(f"{k} {'-' if v is None else format(v, '.4g')}" for k, v in shown.items())
        self.progress.update(self.task, validated=text)
        self.say(f"step {step}/{self.steps}  validation on {result.frames} images  {text}")

    def say(self, text: str) -> None:
        self.console.print(text)

    def _write(self, step: int, seconds: float, record: dict[str, Any]) -> None:
        with (self.folder / LOG_FILE).open("a") as stream:
            stream.write(json.dumps({"step": step, "seconds": round(seconds, 1), **record}) + "\n")
