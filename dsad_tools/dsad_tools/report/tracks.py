"""``tracks.html``: figures of tracks, a time line of each sequence, where tracks went, and how they looked."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import jinja2
import numpy as np

from dsad_core import __version__
from dsad_core.files import write_atomic
from dsad_core.metrics.tracks import TRUE_SHARE
from dsad_tools.metrics.crops import Crop, stretched
from dsad_tools.metrics.track_run import TrackRun, rows
from dsad_tools.metrics.track_score import SequenceTracks, TrackLine

TRACKS_FILE = "tracks.html"
#: Sequences drawn, those with the most false tracks and the least coverage first.
SEQUENCES = 24
#: Targets and tracks drawn of each, and pieces of the frames shown; false tracks and missed targets first.
LINES, CROPS = 40, 24
#: A target that tracks cover less than this share of its frames is missed.
MISSED_SHARE = 0.5
#: Pixels of the time line: whole width, width of the names, height of a row, of the axis.
_WIDTH, _NAMES, _ROW, _AXIS = 720, 84, 15, 22


def build_track_report(out_dir: str | Path, run: TrackRun) -> Path:
    """Write ``tracks.html`` into a folder, which is made if it is missing; the page needs no network."""
    path = Path(out_dir) / TRACKS_FILE
    write_atomic(path, render_tracks(run))
    return path


def render_tracks(run: TrackRun) -> str:
    """The page as HTML text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dsad_tools", "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    worst = sorted(run.sequences, key=lambda each: (-each.result.false_tracks, each.result.coverage or 0.0))
    return environment.get_template("tracks.html.j2").render(
        run=run,
        rows=rows(run),
        sequences=[_view(each) for each in worst[:SEQUENCES]],
        left_out=max(len(worst) - SEQUENCES, 0),
        version=__version__,
    )


def _view(sequence: SequenceTracks) -> dict:
    result = sequence.result
    lines = [*sequence.truth, *sequence.tracks]
    worst = sorted(range(len(lines)), key=lambda index: _rank(lines[index]))
    drawn = [lines[index] for index in sorted(worst[:LINES])]
    targets = sum(line.is_target for line in drawn)
    bars = [_bar(line, sequence, index + 0.6 * (index >= targets)) for index, line in enumerate(drawn)]
    height, width = sequence.size
    crops = [lines[index] for index in worst if lines[index].crop is not None][:CROPS]
    bottom = (len(drawn) + 0.6) * _ROW
    return {
        "name": sequence.name,
        "facts": f"{sequence.frames} frames, {sequence.frames / sequence.fps:.1f} s, {width}x{height}",
        "figures": [
            ("coverage", "-" if result.coverage is None else f"{result.coverage:.3f}"),
            ("false tracks", f"{result.false_tracks} ({result.false_moving_tracks} moving)"),
            ("id switches", str(result.switches)),
        ],
        "width": _WIDTH,
        "height": round(bottom + _AXIS, 1),
        "bottom": round(bottom, 1),
        "names": _NAMES - 8,
        "ticks": _ticks(sequence),
        "bars": bars,
        "not_drawn": len(lines) - len(drawn),
        "frame": (width, height),
        "image": None if sequence.picture is None else _png(stretched(sequence.picture)),
        "paths": [_path(line) for line in reversed(lines)],
        "crops": [_crop(line, line.crop, sequence.fps) for line in crops if line.crop],
    }


def _rank(line: TrackLine) -> tuple:
    """False tracks and missed targets first, then other targets, then tracks; the longest first."""
    kind = _kind(line)
    order = (
        "false moving",
        "missed",
        "false",
        "truth",
        "true moving",
        "true",
        "unlabelled moving",
        "unlabelled",
    )
    return order.index(kind), -len(line.frames)


def _kind(line: TrackLine) -> str:
    if line.is_target:
        return "truth" if (line.covered or 0.0) >= MISSED_SHARE else "missed"
    if line.on_target is None:
        kind = "unlabelled"
    else:
        kind = "false" if line.on_target < TRUE_SHARE else "true"
    return f"{kind} moving" if line.moving else kind


def _title(line: TrackLine) -> str:
    return f"{'target' if line.is_target else 'track'} {line.id}"


def _share(line: TrackLine) -> str:
    if line.is_target:
        return f"covered {100 * (line.covered or 0.0):.0f} %"
    where = "nothing labelled" if line.on_target is None else f"on a target {100 * line.on_target:.0f} %"
    return f"{where}, {'moving' if line.moving else 'not moving'}"


def _runs(line: TrackLine) -> list[tuple[int, int]]:
    """(first, last) frame of each run of consecutive frames."""
    breaks = np.flatnonzero(np.diff(line.frames) > 1)
    starts = [line.frames[0], *(line.frames[i + 1] for i in breaks)]
    return list(zip(starts, [*(line.frames[i] for i in breaks), line.frames[-1]]))


def _bar(line: TrackLine, sequence: SequenceTracks, row: float) -> dict:
    """A row of the time line: a rectangle for each run of consecutive frames."""
    scale = (_WIDTH - _NAMES) / max(sequence.frames, 1)
    pieces = [
        (round(_NAMES + first * scale, 1), round(max((last - first + 1) * scale, 1.5), 1))
        for first, last in _runs(line)
    ]
    y = round(row * _ROW, 1)
    return {"y": y, "kind": _kind(line), "pieces": pieces, "name": _title(line), "title": _share(line)}


def _ticks(sequence: SequenceTracks) -> list[tuple[float, str]]:
    """Place and text of some round seconds."""
    seconds = sequence.frames / sequence.fps
    step = next(
        (s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600) if seconds / s <= 9), seconds / 8
    )
    scale = (_WIDTH - _NAMES) / seconds
    # The last one leaves room for its text.
    times = np.arange(0, seconds - 24 / scale, step)
    return [(round(_NAMES + time * scale, 1), f"{time:g} s") for time in times.round(3).tolist()]


def _path(line: TrackLine) -> dict:
    """Polylines of consecutive frames, thinned to some 100 points, and where the last one ends."""
    breaks = np.flatnonzero(np.diff(line.frames) > 1) + 1
    step = max(1, len(line.points) // 100)
    pieces = [
        " ".join(f"{x:.1f},{y:.1f}" for x, y in np.vstack([piece[:-1:step], piece[-1:]]))
        for piece in np.split(line.points, breaks)
    ]
    return {"kind": _kind(line), "pieces": pieces, "end": line.points[-1].tolist(), "name": _title(line)}


def _crop(line: TrackLine, crop: Crop, fps: float) -> dict:
    share = line.covered if line.is_target else line.on_target
    word = "covered" if line.is_target else "on target"
    return {
        "kind": _kind(line),
        "name": _title(line),
        "words": [
            f"{crop.frame / fps:.2f} s{', moving' if line.moving else ''}",
            "nothing labelled" if share is None else f"{100 * share:.0f} % {word}",
        ],
        "image": _png(crop.image),
    }


def _png(grey: np.ndarray) -> str:
    return base64.b64encode(cv2.imencode(".png", grey)[1].tobytes()).decode()
