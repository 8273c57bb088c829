"""How crops are drawn from a data set and changed, as a recipe says it."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class Augmentation:
    """How crops are drawn and changed. ``gain``, ``offset``: largest change either way.

    Attributes:
        target: share of crops around a target.
        distractor: share of crops around bright clutter.
        mined: share of crops around places where the averaged network alarmed falsely; while none is known
            they lie anywhere, as all other crops do.
        zoom: largest factor by which a crop is enlarged or made smaller, 1 to 4. Every crop has its own.
        zoomed: share of crops that are zoomed.
        flip, transpose: whether crops are mirrored, and rows and columns exchanged, at random.
        paste: share of crops that get one or two targets of other images.
        gain: contrast factor is drawn from 1 - gain to 1 + gain.
        offset: brightness change, full scale is 1.
        gamma: largest exponent applied to the image; the smallest is its inverse.
        blur: largest weight of a 3x3 mean mixed into the image, 0 to 1.
        noise: largest standard deviation of white noise, full scale is 1.
        pattern: largest standard deviation of a fixed pattern of rows and columns, full scale is 1.
        dead: share of crops with dead or hot pixels.
        text: share of crops with burnt-in text or a reticle.
    """

    target: Share = 0.7
    distractor: Share = 0.2
    mined: Share = 0.0
    zoom: Annotated[float, Field(ge=1, le=4)] = 1.0
    zoomed: Share = 1.0
    flip: bool = True
    transpose: bool = True
    paste: Share = 0.0
    gain: Share = 0.2
    offset: Amount = 0.1
    gamma: Annotated[float, Field(ge=1, le=4)] = 1.0
    blur: Share = 0.3
    noise: Amount = 0.01
    pattern: Amount = 0.0
    dead: Share = 0.0
    text: Share = 0.0
