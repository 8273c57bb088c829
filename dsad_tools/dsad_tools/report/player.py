"""The report's player: small frames of the run with truth and answers, one after the other."""

import base64
import json
from collections.abc import Sequence

from dsad_tools.metrics.frame_picture import FilmFrame

#: How a mark's kind is stored, to keep the page small.
KINDS = ("truth", "missed", "hit", "false", "unlabelled")
#: Crops of misses and false alarms below the player; of more, as many are spread over the run.
GALLERY_MOST = 60


def film_json(film: Sequence[FilmFrame]) -> str:
    """The frames as JSON that may stand inside a ``script`` element.

    Each frame: ``n`` number in the run, ``t`` title, ``w`` and ``h`` in px, ``j`` JPEG in base64, ``m`` marks as
    [kind, x, y, width, height].
    """
    frames = [
        {
            "n": frame.number,
            "t": frame.title,
            "w": frame.width,
            "h": frame.height,
            "j": base64.b64encode(frame.jpeg).decode(),
            "m": [
                [
                    KINDS.index(mark.kind),
                    *(round(value, 1) for value in (mark.x, mark.y, mark.width, mark.height)),
                ]
                for mark in frame.marks
            ],
        }
        for frame in film
    ]
    # "</script" inside a title would end the element.
    return json.dumps(frames, separators=(",", ":")).replace("<", "\\u003c")
