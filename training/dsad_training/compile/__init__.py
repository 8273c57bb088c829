"""From trained weights to an engine: a clean graph, reduced precision, the parity gate, the engine folder."""

from dsad_training.compile.compile import compile_checkpoint
from dsad_training.compile.parity import ParityLimits

__all__ = ["ParityLimits", "compile_checkpoint"]
