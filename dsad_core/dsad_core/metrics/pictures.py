"""Which frames of a run of unknown length are worth a picture in its report."""

import heapq
from collections.abc import Callable

from dsad_core.metrics.counts import FrameCounts
from dsad_core.metrics.record import FramePicture


class PictureSampler:
    """Keeps the worst frames (most missed targets, then most false pixels) and an even sample of the rest.

    Args:
        count: pictures in the end; half of them, rounded down, are for the worst frames.
    """

    def __init__(self, count: int):
        self._count = count
        self._worst_count = count // 2
        self._worst: list[tuple[tuple[int, int], int, FramePicture]] = []
        self._even: list[tuple[int, FramePicture]] = []
        self._every = 1
        self._frames = 0

    def offer(self, counts: FrameCounts | None, make: Callable[[], FramePicture]) -> None:
        """Offer the next frame of the run; ``make`` is called only where the picture is kept."""
        number = self._frames
        self._frames += 1
        picture = None
        if self._count and number % self._every == 0:
            picture = make()
            self._even.append((number, picture))
            # Between one and two times as many as wanted: the worst may be among them.
            if len(self._even) > 2 * self._count:
                self._even = self._even[::2]
                self._every *= 2
        badness = (counts.missed_targets, counts.false_pixels) if counts else (0, 0)
        # Earlier frames win among equals, hence the negative number.
        if not self._worst_count or badness == (0, 0):
            return
        if len(self._worst) < self._worst_count:
            heapq.heappush(self._worst, (badness, -number, picture or make()))
        elif (badness, -number) > self._worst[0][:2]:
            heapq.heapreplace(self._worst, (badness, -number, picture or make()))

    def result(self) -> list[FramePicture]:
        """The kept frames in the order of the run, none of them twice."""
        chosen = {-number: picture for _, number, picture in self._worst}
        even = [(number, picture) for number, picture in self._even if number not in chosen]
        wanted = min(self._count - len(chosen), len(even))
        for step in range(wanted):
            number, picture = even[step * len(even) // wanted]
            chosen[number] = picture
        return [chosen[number] for number in sorted(chosen)]
