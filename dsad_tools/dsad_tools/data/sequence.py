"""Frame sequences: image folders, videos, and either of them with boxes drawn by a person."""

import csv
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from dsad_core.errors import DataError
from dsad_tools.data.images import EXTENSIONS, list_images, read_grey
from dsad_tools.data.sample import Sample

VIDEO_EXTENSIONS = (".mp4", ".avi", ".mkv", ".mov", ".m4v", ".webm", ".ts", ".mpg", ".mpeg")
DEFAULT_FPS = 25.0


class ImageFolder:
    """The images of a folder in natural order (``frame_9`` before ``frame_10``), unlabelled.

    Raises:
        DataError: no such folder or no image in it; while iterating, a damaged file.
    """

    kind = "images"
    split_hash = ""

    def __init__(self, folder: str | Path, fps: float = DEFAULT_FPS):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise DataError(f"{folder}: no such folder of images")
        self.fps: float | None = fps
        self.name = self.folder.resolve().name
        self.notes: list[str] = []
        self._paths = list_images(self.folder)
        if not self._paths:
            raise DataError(f"{folder}: holds no image ({', '.join(EXTENSIONS)})")

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Sample:
        path = self._paths[index]
        return Sample(path.stem, read_grey(path))

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))


class VideoFile:
    """The frames of a video file as 8-bit grey, unlabelled, named by their number.

    ``fps`` is the file's own rate, or 25 where it states none. ``len`` is the frame count that the
    container announces; a file that ends earlier is said in ``notes``.

    Raises:
        DataError: no such file, not a video, or a video without a frame.
    """

    kind = "video"
    split_hash = ""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.name = self.path.resolve().name
        self.notes: list[str] = []
        capture = self._open()
        try:
            count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
            fps = capture.get(cv2.CAP_PROP_FPS)
            if not capture.grab():
                raise DataError(f"{path}: a video without a frame that can be decoded; is it damaged?")
        finally:
            capture.release()
        self._length = max(int(count), 1)
        self.fps: float | None = fps if math.isfinite(fps) and 0.1 <= fps <= 10_000 else DEFAULT_FPS

    def _open(self) -> cv2.VideoCapture:
        if not self.path.is_file():
            raise DataError(f"{self.path}: no such video file")
        capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        if not capture.isOpened():
            raise DataError(f"{self.path}: not a video that OpenCV's FFmpeg can open; convert it to mp4")
        return capture

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Sample]:
        capture = self._open()
        count = 0
        try:
            while True:
                ok, frame = capture.read()
                if not ok:
                    break
                grey = frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
                yield Sample(f"{count:06d}", grey)
                count += 1
        finally:
            capture.release()
        note = f"{self.path}: {count} frames decoded, {self._length} announced"
        if count != self._length and note not in self.notes:
            self.notes.append(note)


class AnnotatedSequence:
    """A sequence with boxes: ``gt.csv`` beside ``images/`` or one video file.

    ``gt.csv`` has the columns ``frame,source_frame,labelled,x,y,w,h``: frame counts from 0; x, y is the top
    left corner in pixels; several rows of one frame are several targets. ``labelled`` 0, or a frame
    without a row, means that nothing is known: boxes None. ``labelled`` 1 with empty x, y, w, h means no
    target: N = 0. A column ``id`` says which target a box belongs to, from frame to frame; further columns
    are left alone.

    Raises:
        DataError: a part is missing or gt.csv is malformed (the line is named).
    """

    kind = "sequence"
    split_hash = ""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.name = self.folder.resolve().name
        self._boxes = _read_boxes(self.folder / "gt.csv")
        self._frames = _open_frames(self.folder)
        self.fps = self._frames.fps
        last = max(self._boxes, default=0)
        if last >= len(self._frames):
            raise DataError(
                f"{self.folder / 'gt.csv'}: labels frame {last}, but there are only "
                f"{len(self._frames)} frames; is it the file of another sequence?"
            )

    @property
    def notes(self) -> list[str]:
        return self._frames.notes

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[Sample]:
        for index, frame in enumerate(self._frames):
            boxes, ids = self._boxes.get(index, (None, None))
            yield Sample(frame.name, frame.image, boxes=boxes, ids=ids)


def _open_frames(folder: Path) -> ImageFolder | VideoFile:
    if (folder / "images").is_dir():
        return ImageFolder(folder / "images")
    videos = sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_EXTENSIONS)
    if len(videos) != 1:
        found = ", ".join(path.name for path in videos) or "none"
        raise DataError(f"{folder}: an annotated sequence needs images/ or exactly one video (found {found})")
    return VideoFile(videos[0])


def _read_boxes(path: Path) -> dict[int, tuple[np.ndarray, np.ndarray | None]]:
    """(N, 4) float32 boxes and (N,) int64 ids by frame number, for the frames that are labelled."""
    rows: dict[int, list[tuple[float, ...]]] = {}
    ids: dict[int, list[int]] = {}
    unknown: set[int] = set()
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            table = csv.DictReader(stream)
            absent = {"frame", "labelled", "x", "y", "w", "h"} - set(table.fieldnames or ())
            if absent:
                raise DataError(
                    f"{path}: lacks the columns {', '.join(sorted(absent))}; the header line is "
                    "frame,source_frame,labelled,x,y,w,h"
                )
            has_ids = "id" in (table.fieldnames or ())
            for row in table:
                try:
                    frame = int(row["frame"])
                    if not int(row["labelled"]):
                        unknown.add(frame)
                        continue
                    cells = [row[key] for key in "xywh"]
                    boxes = rows.setdefault(frame, [])
                    if any(cells):
                        boxes.append(_box(cells))
                        if has_ids:
                            _add_id(ids.setdefault(frame, []), row["id"])
                    if frame < 0:
                        raise ValueError(f"frame {frame} is negative")
                except (TypeError, ValueError) as error:
                    raise DataError(f"{path}: line {table.line_num}: {error}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a readable table of boxes ({error})") from None
    return {
        frame: (
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array(ids.get(frame, []), np.int64) if has_ids else None,
        )
        for frame, boxes in rows.items()
        if frame not in unknown
    }


def _add_id(ids: list[int], text: str) -> None:
    number = int(text)
    if number < 0 or number in ids:
        raise ValueError(f"id {number} must be 0 or above, and once in a frame")
    ids.append(number)


def _box(cells: list[str]) -> tuple[float, ...]:
    box = tuple(float(cell) for cell in cells)
    if not all(math.isfinite(value) for value in box) or box[2] <= 0 or box[3] <= 0:
        raise ValueError(f"box {','.join(cells)} is not x,y,w,h with a positive size")
    return box
