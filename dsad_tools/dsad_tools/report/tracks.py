"""``tracks.html``: a page with the figures of tracks, a time line of each sequence, and where the tracks went."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import jinja2
import numpy as np

from dsad_core import __version__
from dsad_core.files import write_atomic
from dsad_core.frame.normalise import to_unit
from dsad_tools.evaluate_tracks import SequenceTracks, TrackLine, TrackRun

TRACKS_FILE = "tracks.html"
#: Sequences drawn, those with the most false tracks and the least coverage first.
SEQUENCES = 24
_WIDTH, _ROW = 640, 12


def build_track_report(out_dir: str | Path, run: TrackRun) -> Path:
    """Write ``tracks.html`` into a folder, which is made if it is missing; the page needs no network."""
    path = Path(out_dir) / TRACKS_FILE
    write_atomic(path, render_tracks(run))
    return path


def render_tracks(run: TrackRun) -> str:
    """The page as HTML text."""
    from dsad_tools.cli.evaluate_tracks import rows

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
    truth = [_bar(line, sequence, "truth", index) for index, line in enumerate(sequence.truth)]
    below = len(sequence.truth)
    tracks = [
        _bar(line, sequence, _kind(line), below + index + 0.6) for index, line in enumerate(sequence.tracks)
    ]
    height, width = sequence.size
    return {
        "name": sequence.name,
        "facts": f"{sequence.frames} frames, {sequence.frames / sequence.fps:.1f} s, {width}x{height}",
        "figures": [
            ("coverage", "-" if result.coverage is None else f"{result.coverage:.3f}"),
            ("false tracks", f"{result.false_tracks} ({result.false_moving_tracks} moving)"),
            ("id switches", str(result.switches)),
        ],
        "width": _WIDTH,
        "height": (below + len(sequence.tracks) + 1) * _ROW,
        "bars": truth + tracks,
        "frame": (width, height),
        "image": _png(sequence.picture),
        "paths": [_path(line, _kind(line)) for line in sequence.tracks]
        + [_path(line, "truth") for line in sequence.truth],
    }


def _kind(line: TrackLine) -> str:
    if line.on_target is None:
        return "unlabelled"
    false = "false" if line.on_target < 0.5 else "true"
    return f"{false} moving" if line.moving else false


def _bar(line: TrackLine, sequence: SequenceTracks, kind: str, row: float) -> dict:
    """Runs of consecutive frames as rectangles of the time line."""
    scale = _WIDTH / max(sequence.frames, 1)
    breaks = np.flatnonzero(np.diff(line.frames) > 1)
    starts = [line.frames[0], *(line.frames[i + 1] for i in breaks)]
    ends = [*(line.frames[i] for i in breaks), line.frames[-1]]
    pieces = [(round(a * scale, 1), round(max((b - a + 1) * scale, 1.0), 1)) for a, b in zip(starts, ends)]
    share = "" if line.on_target is None else f", on a target in {100 * line.on_target:.0f} % of its frames"
    word = "target" if kind == "truth" else "track"
    return {"y": row * _ROW, "kind": kind, "pieces": pieces, "title": f"{word} {line.id}{share}"}


def _path(line: TrackLine, kind: str) -> dict:
    """Polylines of consecutive frames, thinned to some 100 points, and where the last one ends."""
    breaks = np.flatnonzero(np.diff(line.frames) > 1) + 1
    step = max(1, len(line.points) // 100)
    pieces = [
        " ".join(f"{x:.1f},{y:.1f}" for x, y in np.vstack([piece[:-1:step], piece[-1:]]))
        for piece in np.split(line.points, breaks)
    ]
    return {"kind": kind, "pieces": pieces, "end": line.points[-1].tolist(), "id": line.id}


def _png(picture: np.ndarray) -> str:
    grey = (to_unit(picture) * 255).astype(np.uint8) if picture.dtype != np.uint8 else picture
    return base64.b64encode(cv2.imencode(".png", grey)[1].tobytes()).decode()
