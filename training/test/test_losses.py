import pytest
import torch

from dsad_training.losses import balanced_bce, soft_iou, task_loss

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


def test_unknown_pixels_teach_nothing():
    logits = torch.randn(2, 1, 8, 8, requires_grad=True)
    known = torch.ones(2, 1, 8, 8)
    known[:, :, :4] = 0
    task_loss([logits], torch.ones(2, 1, 8, 8), 0.5, known, balanced=1.0, by_image=True).backward()
    assert logits.grad[:, :, :4].abs().max() == 0 and logits.grad[:, :, 4:].abs().min() > 0


def test_iou_by_image_weighs_a_small_target_as_a_large_one():
    truth = torch.zeros(2, 1, 32, 32)
    truth[0, :, :20, :20], truth[1, :, :2, :2] = 1, 1
    keep = torch.tensor([1.0, 0.0]).view(2, 1, 1, 1)
    missed_small, missed_large = 40 * (truth * keep - 0.5), 40 * (truth * (1 - keep) - 0.5)
    by_image = [soft_iou(each, truth, by_image=True).item() for each in (missed_small, missed_large)]
    assert by_image == pytest.approx([0.4, 0.4988], abs=1e-3)
    assert soft_iou(missed_small, truth).item() < 0.02


def test_balanced_cross_entropy_weighs_a_false_pixel_as_a_targets_pixel():
    truth = torch.zeros(1, 1, 16, 16)
    truth[..., 2, 2] = 1
    logits = torch.zeros(1, 1, 16, 16, requires_grad=True)
    balanced_bce(logits, truth).backward()
    assert logits.grad[0, 0, 2, 2].item() == pytest.approx(-logits.grad[0, 0, 9, 9].item())
