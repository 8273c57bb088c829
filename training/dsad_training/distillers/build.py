"""From a recipe to a distiller at work."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

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
from dsad_training.networks.network import Network
from dsad_training.recipe import DataPart, DistillationPart

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
        shared: a teacher at work already, whose passes several students learn from; by default a fresh one.

    Raises:
        UsageError: the method's options or taps do not fit.
        CheckpointError: the teacher's weights cannot be read.
    """

    def __init__(
        self,
        part: DistillationPart,
        student: Network,
        device: torch.device,
        shared: "Teacher | None" = None,
    ):
        method = DISTILLERS[part.method]
        self._teacher = shared or Teacher(part.teacher, device, part.teacher_taps, method.needs_entering)
        self._student = traced(student, part.student_taps, method.needs_entering)
        probes = [probe(tracer, device) for tracer in (self._student, self._teacher.tracer)]
        try:
            if len(probes[0].features) != len(probes[1].features):
                raise ValueError("student and teacher have different numbers of taps")
            mine, theirs = probes
            self.distiller = method(mine, theirs, self.teacher, **part.options).to(device)
        except (TypeError, ValueError, KeyError) as error:
            raise UsageError(f"distillation.options of {part.method}: {error}") from None
        self.weight = method.default_weight if part.weight is None else part.weight

    @property
    def teacher(self) -> Network:
        return self._teacher.network

    @property
    def teacher_sha256(self) -> str:
        return self._teacher.sha256

    def check_normalisation(self, data: DataPart) -> None:
        """Raise a UsageError unless the teacher was trained on images normalised as the student's are."""
        taught = self._teacher.data
        if (taught.mean, taught.std) != (data.mean, data.std):
            raise UsageError(
                f"distillation.teacher learned from images normalised by mean {taught.mean} and std {taught.std}, "
                f"the recipe has {data.mean} and {data.std}; give data.mean and data.std the teacher's values"
            )

    def loss(self, outputs: list[Tensor], image: Tensor, taught: Trace | None = None) -> Tensor:
        """Weighted loss of the student's last pass, which returned ``outputs`` for ``image``, in fp32.

        Args:
            taught: the teacher's pass over ``image``, where it was made already.
        """
        student = self._student.trace(outputs)
        taught = taught or self._teacher.look(image)
        with torch.autocast(image.device.type, enabled=False):
            return self.weight * self.distiller(student, taught)


class Teacher:
    """A trained network, frozen in eval mode, and what its passes show.

    Args:
        path: its run folder or weights file.
        taps, entering: see :class:`Tracer`.
    """

    def __init__(
        self, path: str | Path, device: torch.device, taps: Sequence[str] = (), entering: bool = False
    ):
        network, recipe, _ = load_weights(path)
        self.data = recipe.data
        self.network = network.to(device).requires_grad_(False)
        self.sha256 = sha256_file(weights_path(path))
        self.tracer = traced(self.network, taps, entering)

    @torch.no_grad()
    def look(self, image: Tensor) -> Trace:
        """A pass over ``image``."""
        # CrossKD runs some of these modules on the student's features, which must not be kept.
        self.tracer.listening = True
        outputs = self.network(image)
        self.tracer.listening = False
        return self.tracer.trace(outputs)


def traced(network: Network, taps: Sequence[str], entering: bool = False) -> Tracer:
    try:
        return Tracer(network, taps, entering)
    except AttributeError as error:
        raise UsageError(f"distillation taps: {error}") from None


def probe(tracer: Tracer, device: torch.device) -> Trace:
    """A pass in eval mode, so that the network's statistics stay as they are."""
    training = tracer.network.training
    with torch.no_grad():
        trace = tracer.trace(tracer.network.eval()(torch.zeros(PROBE, device=device)))
    tracer.network.train(training)
    return trace
