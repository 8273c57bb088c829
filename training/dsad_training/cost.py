"""Parameters and multiply-accumulates in the convention that the paper's tables follow.

The cost is a count over the calls of counted modules, as in ptflops 0.7: convolutions, affine
normalisations (2 per input number), ReLU (output), pooling (input), upsampling (output of one image)
and linear layers. Everything written as a function is free. With it all twelve parameter counts and ten
of the twelve costs of Table 5 agree to the printed digit; DNANet num16 (14.19 G in the paper) and
AMFU-Net num16 (22.73 G) agree with no counter that also gives the other ten.
"""

import torch
from torch import Tensor, nn


def parameters(network: nn.Module) -> int:
    """Trainable numbers."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def cost(network: nn.Module, height: int = 256, width: int = 256, channels: int = 3) -> int:
    """Multiply-accumulates of one image (1,channels,height,width); the network's mode is left as it was."""
    total = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            taps = module.weight[0].numel() + (module.bias is not None)
            total += output[0].numel() * taps
        elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
            total += 2 * inputs[0].numel()
        elif isinstance(module, nn.ReLU):
            total += output.numel()
        elif isinstance(module, (nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)):
            total += inputs[0].numel()
        elif isinstance(module, nn.Upsample):
            total += output[0].numel()
        elif isinstance(module, nn.Linear):
            total += module.weight.numel()

    handles = [module.register_forward_hook(count) for module in network.modules()]
    training = network.training
    try:
        network.eval()
        device = next(network.parameters()).device
        with torch.no_grad():
            network(torch.zeros(1, channels, height, width, device=device))
    finally:
        for handle in handles:
            handle.remove()
        network.train(training)
    return total
