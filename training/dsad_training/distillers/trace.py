"""Watching a network from outside: no network knows that it is distilled."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from dsad_training.networks.network import Network


@dataclass(frozen=True)
class Trace:
    """What one forward pass showed.

    Attributes:
        outputs: the network's logits, the prediction last.
        features: outputs of the tapped modules, coarse to fine, each (N,C,H,W) fp32.
        entering: outputs of the network's ``fusion_taps``, from which its last layers make the prediction, fp32;
            empty unless the tracer was asked for them.
    """

    outputs: list[Tensor]
    features: tuple[Tensor, ...]
    entering: tuple[Tensor, ...] = ()


class Tracer:
    """Forward hooks on modules named by dotted path.

    Args:
        taps: modules whose outputs are features; the network's own choice by default.
        entering: whether to keep what enters the network's fusion too.

    ``listening`` is set to False while modules run for somebody else.
    """

    def __init__(self, network: Network, taps: Sequence[str] = (), entering: bool = False):
        self.network, self.taps = network, tuple(taps) or network.taps
        self.entering = network.fusion_taps if entering else ()
        self.listening = True
        self._outputs: dict[str, Tensor] = {}
        self._handles = [
            network.get_submodule(path).register_forward_hook(self._keep(path))
            for path in {*self.taps, *self.entering}
        ]

    def trace(self, outputs: list[Tensor]) -> Trace:
        """The pass that returned ``outputs``, which must be the last one. What was kept is let go."""
        kept, self._outputs = self._outputs, {}
        features, entering = ([kept[path].float() for path in paths] for paths in (self.taps, self.entering))
        return Trace(outputs, tuple(features), tuple(entering))

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _keep(self, path: str):
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if self.listening:
                self._outputs[path] = output

        return hook
