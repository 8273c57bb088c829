"""What torch makes of a network, for ``dsad bench engine`` (plugin of kind ``contender``).

torch's contenders take their turns in processes of their own: its threads and memory touch no other's figures.
"""

from functools import partial

from dsad_core.errors import EngineError
from dsad_tools.bench.models import Model
from dsad_tools.bench.runtimes import PlainOnnxRuntime, Runtime
from dsad_tools.bench.turn import Contender

#: Beside the engine that is made of weights for a benchmark: the network as torch's exporter leaves it.
EXPORT_FILE = "torch.onnx"
_NO_WEIGHTS = "needs the weights, not their engine"


def contenders(target: str) -> list[Runtime]:
    """torch's ways of running a network, and its exporter's file in plain onnxruntime."""
    return [
        Runtime("torch export, plain", False, _open_export),
        Runtime("torch eager", False, partial(_open, "contiguous_format", False), apart=True),
        Runtime("torch channels_last", False, partial(_open, "channels_last", False), apart=True),
        Runtime("torch.compile", False, partial(_open, "contiguous_format", True), apart=True),
    ]


def _open_export(subject: Model, target: str, threads: int, size: tuple[int, int]) -> Contender:
    if subject.checkpoint is None:
        raise EngineError(_NO_WEIGHTS)
    return PlainOnnxRuntime(subject.engine / EXPORT_FILE, subject.manifest, target, threads)


def _open(
    layout: str, compiled: bool, subject: Model, target: str, threads: int, size: tuple[int, int]
) -> Contender:
    if subject.checkpoint is None:
        raise EngineError(_NO_WEIGHTS)
    from dsad_training.torch_contender import TorchContender

    return TorchContender(subject, target, threads, size, layout, compiled)
