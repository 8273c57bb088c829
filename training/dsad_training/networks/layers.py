"""Plain layers. What the cost convention counts is a module, so that :mod:`dsad_training.cost` sees it."""

from torch import nn


def up(factor: float, align_corners: bool = True) -> nn.Upsample:
    """Bilinear resize by ``factor``."""
    return nn.Upsample(scale_factor=factor, mode="bilinear", align_corners=align_corners)


def conv_bn_relu(cin: int, cout: int) -> nn.Sequential:
    """conv3 with bias, BatchNorm, ReLU."""
    return nn.Sequential(nn.Conv2d(cin, cout, 3, padding=1), nn.BatchNorm2d(cout), nn.ReLU())
