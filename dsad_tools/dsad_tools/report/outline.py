"""SVG outlines of mask components, along the edges of their pixels."""

import numpy as np


def outline_path(mask: np.ndarray) -> str:
    """Path data around the non-zero pixels of a mask (H, W), in pixels, corner of the frame = (0, 0).

    Straight runs of edges are one stroke each, so that a small target costs a handful of characters.
    """
    padded = np.pad(mask != 0, 1)
    strokes = []
    horizontal = padded[1:, 1:-1] != padded[:-1, 1:-1]
    for y, (start, length) in _runs(horizontal):
        strokes.append(f"M{start} {y}h{length}")
    vertical = padded[1:-1, 1:] != padded[1:-1, :-1]
    for x, (start, length) in _runs(vertical.T):
        strokes.append(f"M{x} {start}v{length}")
    return "".join(strokes)


def _runs(edges: np.ndarray):
    """(row, (start, length)) of each run of True in the rows of a boolean array."""
    change = np.diff(np.pad(edges, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(change == 1)
    _, ends = np.nonzero(change == -1)
    for row, start, end in zip(rows.tolist(), starts.tolist(), ends.tolist()):
        yield row, (start, end - start)
