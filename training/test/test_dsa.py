import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dsad_training.networks.dsa import (
    DIRECTIONS,
    DsaOptions,
    LearnableDirectionalAttention,
    arm_masks,
    axis_kernels,
    balanced,
    directional_attention,
    fixed_base,
    widen,
)

ZERO_SUM = DsaOptions(base="zero_sum")


def test_arms_have_the_taps_of_the_base():
    base = fixed_base("zero_sum")
    kernels = balanced(arm_masks(), base) * widen(base)
    for i, (dy, dx) in enumerate(DIRECTIONS):
        arm = [kernels[i, 0, 3 + t * dy, 3 + t * dx].item() for t in (1, 2, 3)]
        expected = [1 / 2, -1 / 3, -1 / 6] if dy and dx else [1 / 2, 0, -1 / 2]
        assert arm == pytest.approx(expected, abs=1e-6)
    assert kernels.sum((2, 3)).abs().max() < 1e-6
    assert kernels[:, :, 3, 3].abs().max() == 0


def test_equals_the_papers_eight_convolutions():
    torch.manual_seed(0)
    x = torch.randn(2, 5, 20, 24)
    summary = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
    padded = F.pad(summary, (3, 3, 3, 3), mode="replicate")
    for base in ("zero_sum", "ones"):
        masks = balanced(arm_masks(), fixed_base(base)) if base == "zero_sum" else arm_masks()
        kernels = masks * widen(fixed_base(base))
        responses = F.conv2d(padded, kernels)
        contrast = torch.stack([(responses[:, i] - responses[:, i + 4]) ** 2 for i in range(4)])
        expected = torch.sigmoid(contrast.amin(0))[:, None]
        torch.testing.assert_close(directional_attention(DsaOptions(base=base))(x), expected)


def test_is_blind_to_offset_and_ramp():
    ramp = torch.arange(32.0).expand(1, 1, 32, 32) + 3 * torch.arange(32.0)[:, None] + 100
    weights = directional_attention(ZERO_SUM)(ramp)[..., 3:-3, 3:-3]
    torch.testing.assert_close(weights, torch.full_like(weights, 0.5), atol=1e-3, rtol=0)


def targets_and_edges(sigma, seed):
    """A scene of bright Gaussian targets over smooth clutter crossed by step edges, and where they are."""
    random = np.random.default_rng(seed)
    image = cv2.GaussianBlur(random.normal(0, 1, (128, 128)).astype(np.float32), (0, 0), 6) * 4
    edge = np.zeros((128, 128), bool)
    for row in (20, 64, 108):
        image[row:] += random.uniform(0.5, 1)
        edge[row - 1 : row + 1, 8:-8] = True
    centres = [(42, 30), (42, 90), (86, 30), (86, 90)]
    y, x = np.mgrid[:128, :128]
    for cy, cx in centres:
        image += 2 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * sigma**2))
    return torch.from_numpy(image).float()[None, None], centres, edge


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0, 2.5])
def test_targets_stand_out_and_edges_do_not(sigma):
    image, centres, edge = targets_and_edges(sigma, seed=int(10 * sigma))
    weights = directional_attention(ZERO_SUM)(image)[0, 0].numpy()
    at_targets = np.array([weights[y, x] for y, x in centres])
    away = np.ones_like(weights, bool)
    for y, x in centres:
        away[y - 12 : y + 13, x - 12 : x + 13] = False
    auc = np.mean(at_targets[:, None] > weights[away][None])
    assert auc >= 0.95
    assert abs(np.median(weights[edge]) - 0.5) < 0.02


def test_ones_saturates_on_rectified_features():
    features = torch.rand(1, 8, 32, 32) + 0.5
    assert directional_attention(DsaOptions(base="ones"))(features).min() > 0.99


def test_learnable_starts_as_zero_sum_and_counts_as_the_paper():
    learnable = directional_attention(DsaOptions())
    assert isinstance(learnable, LearnableDirectionalAttention)
    assert sum(p.numel() for p in learnable.parameters()) == 410
    x = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(learnable(x), directional_attention(ZERO_SUM)(x))
    torch.testing.assert_close(learnable.frozen()(x), learnable(x))
    assert not list(learnable.frozen().parameters())


def test_sign_same_takes_one_arm_from_the_other():
    kernels = axis_kernels(arm_masks("same"), fixed_base("ones"))
    torch.testing.assert_close(kernels, -kernels.flip(2, 3))


def test_zero_padding_sees_a_border_that_replication_does_not():
    x = torch.ones(1, 1, 16, 16)
    zeros = directional_attention(DsaOptions(base="zero_sum", padding="zeros"))(x)
    assert directional_attention(ZERO_SUM)(x).max() < 0.5001
    assert zeros[0, 0, 8, 8].item() == pytest.approx(0.5) and zeros[0, 0, 1, 1].item() > 0.6
