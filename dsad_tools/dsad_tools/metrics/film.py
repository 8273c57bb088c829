"""Frames of a run for the report's player: small enough to keep, spread evenly over a run of any length."""

from collections.abc import Callable

from dsad_tools.metrics.frame_picture import FilmFrame, FramePicture
from dsad_tools.metrics.marks import jpeg, marks_of

#: Frames in the player; so many of 640x512 make a page of some 4 MB.
FRAMES = 120
#: Rectangles of a frame.
MOST_MARKS = 60


def film_frame(number: int, picture: FramePicture) -> FilmFrame:
    """Compress a frame. Missed targets and false alarms come first among its marks, which are cut off."""
    height, width = picture.predicted.shape
    truth, answers = marks_of(picture)
    marks = sorted((*truth, *answers), key=lambda mark: mark.kind not in ("missed", "false"))
    return FilmFrame(number, picture.title, jpeg(picture.image), width, height, tuple(marks[:MOST_MARKS]))


class Film:
    """Keeps every frame of a short run, and of a long one every second, fourth and so on.

    Args:
        most: frames in the end, at least half of them in a run that has so many; 0 keeps none.
    """

    def __init__(self, most: int = FRAMES):
        self._most = most
        self._every = 1
        self._frames: list[FilmFrame] = []

    def offer(self, number: int, make: Callable[[], FramePicture]) -> None:
        """Offer frame ``number`` of the run; ``make`` is called only where it is kept."""
        if not self._most or number % self._every:
            return
        self._frames.append(film_frame(number, make()))
        if len(self._frames) > self._most:
            self._every *= 2
            self._frames = [frame for frame in self._frames if frame.number % self._every == 0]

    def result(self) -> list[FilmFrame]:
        """The kept frames, in the order of the run."""
        return list(self._frames)
