"""Write any source with boxes as an annotated sequence: ``images/`` and ``gt.csv``."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import cv2

from dsad_core.errors import DataError
from dsad_core.files import replace_dir
from dsad_tools.data.sample import SampleSource

COLUMNS = ("frame", "source_frame", "labelled", "x", "y", "w", "h", "id")


def write_sequence(folder: str | Path, source: SampleSource) -> int:
    """Write every frame as PNG of its own depth, and the boxes with their ids; returns the number of frames.

    The folder appears whole or not at all; one that is there already is replaced.

    Raises:
        DataError: a frame is float32, which PNG does not hold, or cannot be written.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    index = -1
    with replace_dir(folder) as fresh:
        (fresh / "images").mkdir()
        for index, sample in enumerate(source):
            if sample.image.dtype.kind == "f":
                raise DataError(f"{source.name}, frame {sample.name}: PNG holds no float32; write a bag")
            if not cv2.imwrite(str(fresh / "images" / f"{index:06d}.png"), sample.image):
                raise DataError(f"{folder}: frame {index} cannot be written; is the disk full?")
            for row in _rows(sample):
                table.writerow((index, index, *row))
        (fresh / "gt.csv").write_text(text.getvalue(), encoding="utf-8")
    return index + 1


def _rows(sample):
    if sample.boxes is None:
        yield 0, "", "", "", "", ""
        return
    if len(sample.boxes) == 0:
        yield 1, "", "", "", "", ""
    ids = range(len(sample.boxes)) if sample.ids is None else sample.ids.tolist()
    for number, box in zip(ids, sample.boxes.tolist()):
        yield 1, *(f"{value:.2f}" for value in box), number
