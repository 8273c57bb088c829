"""CrossKD (Wang et al., CVPR 2024): the student's features through the teacher's last layers."""

from torch import Tensor, nn

from dsad_training.distillers.base import Distiller, fit, one_by_one, standardise
from dsad_training.distillers.kd import divergence
from dsad_training.distillers.trace import Trace
from dsad_training.networks.network import Network


class CrossKD(Distiller):
    """Divergence between the teacher's prediction and what its frozen last layers make of the student's features.

    The cut lies before the fusion (``fusion_taps`` and ``fuse`` of the networks): all that the student feeds into
    its own fusion goes through the teacher's fusion and head instead. Each feature is adapted to the teacher's
    channels and given the mean and deviation of the teacher's, channel by channel, since those layers know no
    other. The gradient reaches the student through them without meeting the task's own.
    """

    default_weight = 2.0
    needs_entering = True

    def __init__(self, student: Trace, teacher: Trace, teacher_network: Network):
        super().__init__(student, teacher, teacher_network)
        self.adapters = nn.ModuleList(map(one_by_one, student.entering, teacher.entering))
        # In a tuple the teacher is no submodule: it is neither trained nor saved with the distiller.
        self._teacher = (teacher_network,)

    def forward(self, student: Trace, teacher: Trace) -> Tensor:
        crossed = []
        for adapter, mine, theirs in zip(self.adapters, student.entering, teacher.entering):
            mean = theirs.mean((0, 2, 3), keepdim=True)
            deviation = theirs.std((0, 2, 3), keepdim=True, correction=0)
            crossed.append(standardise(fit(adapter(mine), theirs), eps=1e-6) * deviation + mean)
        return divergence(self._teacher[0].fuse(crossed), teacher.outputs[-1].float())
