"""CrossKD (Wang et al., CVPR 2024): the student's feature through the teacher's head."""

from torch import Tensor, nn

from dsad_training.distillers.base import Distiller, fit, standardise
from dsad_training.distillers.kd import bernoulli_divergence
from dsad_training.distillers.trace import Trace


class CrossKD(Distiller):
    """Divergence between the teacher's prediction and what its frozen head makes of the student's feature.

    The student's last feature is adapted to the teacher's channels and given the mean and deviation of the
    teacher's feature, channel by channel, since the head knows no other. The gradient reaches the student
    through the head without meeting the task's own.
    """

    default_weight = 10.0

    def __init__(self, student: Trace, teacher: Trace, teacher_network: nn.Module):
        super().__init__(student, teacher, teacher_network)
        self.adapter = nn.Conv2d(student.head_input.shape[1], teacher.head_input.shape[1], 1, bias=False)
        # In a tuple the head is no submodule: it is neither trained nor saved with the distiller.
        self._head = (teacher_network.get_submodule(teacher_network.prediction_head),)

    def forward(self, student: Trace, teacher: Trace) -> Tensor:
        theirs = teacher.head_input
        mean = theirs.mean((0, 2, 3), keepdim=True)
        deviation = theirs.std((0, 2, 3), keepdim=True, correction=0)
        mine = standardise(fit(self.adapter(student.head_input), theirs), eps=1e-6) * deviation + mean
        return bernoulli_divergence(self._head[0](mine), teacher.head_output).mean()
