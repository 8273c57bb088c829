"""From a recipe to a distiller at work."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from dsad_core.errors import UsageError
from dsad_core.files import sha256_file
from dsad_training.checkpoint import load_weights, weights_path
from dsad_training.distillers.at import AT
from dsad_training.distillers.base import Distiller
from dsad_training.distillers.cckd import CCKD
from dsad_training.distillers.crosskd import CrossKD
from dsad_training.distillers.dsad import DSAD
from dsad_training.distillers.kd import KD
from dsad_training.distillers.kdsvd import KDSVD
from dsad_training.distillers.mgd import MGD
from dsad_training.distillers.nst import NST
from dsad_training.distillers.pkd import PKD
from dsad_training.distillers.rkd import RKD
from dsad_training.distillers.trace import Trace, Tracer
from dsad_training.recipe import DistillationPart

DISTILLERS: dict[str, type[Distiller]] = {
    "dsad": DSAD,
    "kd": KD,
    "nst": NST,
    "at": AT,
    "kdsvd": KDSVD,
    "rkd": RKD,
    "cckd": CCKD,
    "mgd": MGD,
    "pkd": PKD,
    "crosskd": CrossKD,
}

#: Batch and side of the pass that tells distillers the shapes.
PROBE = (2, 1, 64, 64)


class Distillation:
    """A teacher, frozen in eval mode, beside a student in training.

    Args:
        part: method, weight, teacher and taps, see :class:`DistillationPart`.
        student: hooks are put on it; it stays as it is otherwise.

    Raises:
        UsageError: the method's options or taps do not fit.
        CheckpointError: the teacher's weights cannot be read.
    """

    def __init__(self, part: DistillationPart, student: nn.Module, device: torch.device):
        path = Path(part.teacher)
        self.teacher, _, _ = load_weights(path)
        self.teacher = self.teacher.to(device).requires_grad_(False)
        self.teacher_sha256 = sha256_file(weights_path(path))
        self._student = traced(student, part.student_taps)
        self._teacher = traced(self.teacher, part.teacher_taps)
        method = DISTILLERS[part.method]
        probes = [probe(tracer, device) for tracer in (self._student, self._teacher)]
        try:
            if len(probes[0].features) != len(probes[1].features):
                raise ValueError("student and teacher have different numbers of taps")
            self.distiller = method(*probes, self.teacher, **part.options).to(device)
        except (TypeError, ValueError, KeyError) as error:
            raise UsageError(f"distillation.options of {part.method}: {error}") from None
        self.weight = method.default_weight if part.weight is None else part.weight

    def loss(self, outputs: list[Tensor], image: Tensor) -> Tensor:
        """Weighted loss of the student's last pass, which returned ``outputs`` for ``image``, in fp32."""
        student = self._student.trace(outputs)
        with torch.no_grad():
            teacher = self._teacher.trace(self.teacher(image))
        with torch.autocast(image.device.type, enabled=False):
            return self.weight * self.distiller(student, teacher)


def traced(network: nn.Module, taps: Sequence[str]) -> Tracer:
    try:
        return Tracer(network, taps)
    except AttributeError as error:
        raise UsageError(f"distillation taps: {error}") from None


def probe(tracer: Tracer, device: torch.device) -> Trace:
    """A pass in eval mode, so that the network's statistics stay as they are."""
    training = tracer.network.training
    with torch.no_grad():
        trace = tracer.trace(tracer.network.eval()(torch.zeros(PROBE, device=device)))
    tracer.network.train(training)
    return trace
