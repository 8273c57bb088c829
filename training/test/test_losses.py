import pytest
import torch

from dsad_training.losses import soft_iou, task_loss

TRUTH = torch.zeros(2, 1, 16, 16)
TRUTH[0, 0, 4:8, 4:8] = 1


def test_is_zero_for_a_perfect_and_near_one_for_an_opposite_prediction():
    certain = 100 * (2 * TRUTH - 1)
    assert soft_iou(certain, TRUTH).item() == pytest.approx(0, abs=1e-6)
    assert soft_iou(-certain, TRUTH).item() == pytest.approx(1 - 1 / (TRUTH.numel() + 1), rel=1e-5)


def test_equals_the_equation_over_the_whole_batch():
    logits = torch.randn(TRUTH.shape)
    p, y = logits.sigmoid().double(), TRUTH.double()
    expected = 1 - ((p * y).sum() + 1) / (p.sum() + y.sum() - (p * y).sum() + 1)
    assert soft_iou(logits, TRUTH).item() == pytest.approx(expected.item(), rel=1e-5)


def test_is_finite_without_any_target():
    nothing = torch.zeros_like(TRUTH)
    assert soft_iou(torch.full_like(TRUTH, -100.0), nothing).item() == pytest.approx(0)
    logits = torch.zeros_like(TRUTH, requires_grad=True)
    task_loss([logits], nothing, bce=0.5).backward()
    assert (logits.grad > 0).all()


def test_heads_are_averaged():
    one, other = torch.randn(TRUTH.shape), torch.randn(TRUTH.shape)
    expected = (task_loss([one], TRUTH, 0.5) + task_loss([other], TRUTH, 0.5)) / 2
    assert task_loss([one, other], TRUTH, 0.5).item() == pytest.approx(expected.item(), rel=1e-6)
