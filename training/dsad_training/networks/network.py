"""What every network of this project tells about itself."""

from torch import Tensor, nn


class Network(nn.Module):
    """Infrared image (N,C,H,W) -> target logits, each (N,1,H,W); the last one is the prediction.

    Attributes:
        taps: modules that distillers look at, by dotted path.
        fusion_taps: modules whose outputs :meth:`fuse` makes the prediction from.
        image_blocks: residual blocks that read the image itself.
        two_views: whether ``forward`` takes a blurred copy of the image too.
        size_multiple: sides of the image are multiples of it.
        input_channels: C.
    """

    taps: tuple[str, ...]
    fusion_taps: tuple[str, ...]
    image_blocks: tuple[str, ...]
    two_views: bool
    size_multiple: int
    input_channels: int

    def fuse(self, features: list[Tensor]) -> Tensor:
        """The prediction (N,1,H,W) from the outputs of ``fusion_taps``."""
        raise NotImplementedError
