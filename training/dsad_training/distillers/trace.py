"""Watching a network from outside: no network knows that it is distilled."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Trace:
    """What one forward pass showed.

    Attributes:
        outputs: the network's logits, the prediction last.
        features: outputs of the tapped modules, coarse to fine, each (N,C,H,W) fp32.
        head_input, head_output: around the module that makes the prediction, fp32.
    """

    outputs: list[Tensor]
    features: tuple[Tensor, ...]
    head_input: Tensor
    head_output: Tensor


class Tracer:
    """Forward hooks on modules named by dotted path.

    Args:
        taps: modules whose outputs are features; the network's own choice by default.
    """

    def __init__(self, network: nn.Module, taps: Sequence[str] = ()):
        self.network, self.taps = network, tuple(taps) or network.taps
        self._outputs: dict[str, Tensor] = {}
        self._handles = [
            network.get_submodule(path).register_forward_hook(self._keep(path)) for path in self.taps
        ]
        self._handles.append(
            network.get_submodule(network.prediction_head).register_forward_hook(self._keep_head)
        )

    def trace(self, outputs: list[Tensor]) -> Trace:
        """The pass that returned ``outputs``, which must be the last one. What was kept is let go."""
        features = tuple(self._outputs.pop(path).float() for path in self.taps)
        head = self._outputs.pop("head input"), self._outputs.pop("head output")
        return Trace(outputs, features, *(tensor.float() for tensor in head))

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _keep(self, path: str):
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            self._outputs[path] = output

        return hook

    def _keep_head(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self._outputs["head input"], self._outputs["head output"] = inputs[0], output
