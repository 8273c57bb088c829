"""Which frames of a run of unknown length are worth a picture in its report."""

import heapq
from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from dsad_core.metrics.counts import FrameCounts
from dsad_tools.metrics.film import FRAMES, Film
from dsad_tools.metrics.frame_picture import FilmFrame, FramePicture
from dsad_tools.metrics.joiner import JoinedFrame

IMAGE_BYTES = 64 << 20
"""Images kept in wait for the answers to them."""

LATE_ANSWERS = 32
"""Answers kept in wait for their images: transport may bring the image last."""


class PictureSampler:
    """Keeps the worst frames (most missed targets, then most false pixels) and an even sample of the rest.

    Args:
        count: pictures in the end; half of them, rounded down, are for the worst frames. With 0 nothing is kept.

    Attributes:
        film: small frames of the whole run.
    """

    def __init__(self, count: int):
        self._count = count
        self.film = Film(FRAMES if count else 0)
        self._worst_count = count // 2
        self._worst: list[tuple[tuple[int, int], int, FramePicture]] = []
        self._even: list[tuple[int, FramePicture]] = []
        self._every = 1
        self._frames = 0

    def offer(self, counts: FrameCounts | None, make: Callable[[], FramePicture]) -> None:
        """Offer the next frame of the run; ``make`` is called only where the picture is kept."""
        number = self._frames
        self._frames += 1
        self.film.offer(number, make)
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


class PictureCollector:
    """Brings images and answers together by stamp and samples among the pairs.

    Args:
        count: pictures in the end; with 0 nothing is kept.
    """

    def __init__(self, count: int):
        self._count = count
        self._sampler = PictureSampler(count)
        self._images: OrderedDict[int, np.ndarray] = OrderedDict()
        self._image_bytes = 0
        self._answers: OrderedDict[int, tuple[str, JoinedFrame, FrameCounts | None]] = OrderedDict()

    @property
    def images_held(self) -> int:
        return len(self._images)

    def put_image(self, stamp_ns: int, image: np.ndarray) -> None:
        """Take an image (H, W). Images without a stamp belong to no answer."""
        if not self._count or stamp_ns == 0:
            return
        if answer := self._answers.pop(stamp_ns, None):
            self._offer(image, *answer)
            return
        self._drop_image(stamp_ns)
        self._images[stamp_ns] = image
        self._image_bytes += image.nbytes
        while self._image_bytes > IMAGE_BYTES:
            self._drop_image(next(iter(self._images)))

    def image(self, stamp_ns: int) -> np.ndarray | None:
        """The image (H, W) of a stamp, if it waits for its answer."""
        return self._images.get(stamp_ns)

    def put_answer(self, title: str, frame: JoinedFrame, counts: FrameCounts | None) -> None:
        """Take a joined frame, if it has a mask, and what it counted."""
        image = self._drop_image(frame.stamp_ns)
        if not self._count or not frame.answered:
            return
        if image is not None:
            self._offer(image, title, frame, counts)
            return
        self._answers[frame.stamp_ns] = (title, frame, counts)
        if len(self._answers) > LATE_ANSWERS:
            self._answers.popitem(last=False)

    def result(self) -> list[FramePicture]:
        """See `PictureSampler.result`."""
        return self._sampler.result()

    def film(self) -> list[FilmFrame]:
        """See `Film.result`."""
        return self._sampler.film.result()

    def _drop_image(self, stamp_ns: int) -> np.ndarray | None:
        image = self._images.pop(stamp_ns, None)
        if image is not None:
            self._image_bytes -= image.nbytes
        return image

    def _offer(self, image: np.ndarray, title: str, frame: JoinedFrame, counts: FrameCounts | None) -> None:
        mask = frame.mask
        if mask is not None and image.shape == mask.shape:
            boxes = None if frame.boxes is None else frame.boxes.boxes
            self._sampler.offer(counts, lambda: FramePicture(title, image, mask, frame.truth, boxes))
