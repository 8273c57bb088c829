import math

import pytest
import torch
import torch.nn.functional as F

from dsad_core.errors import UsageError
from dsad_training.checkpoint import load_weights, save_weights
from dsad_training.distillers.at import AT
from dsad_training.distillers.base import standardise
from dsad_training.distillers.build import DISTILLERS, Distillation
from dsad_training.distillers.dsad import DSAD
from dsad_training.distillers.kd import KD, bernoulli_divergence
from dsad_training.distillers.kdsvd import KDSVD, leading_left_vector
from dsad_training.distillers.mgd import MGD
from dsad_training.distillers.nst import NST
from dsad_training.distillers.trace import Trace, Tracer
from dsad_training.networks.build import build_network
from dsad_training.networks.dnanet import DNANet
from dsad_training.recipe import DistillationPart, NetworkPart, build_recipe
from dsad_training.state import TrainingState

WIDTHS = {"dnanet": (2, 4), "amfunet": (2, 4), "dmfnet": (4, 8)}
STUDENT, TEACHER = NetworkPart(name="dnanet", width=2), NetworkPart(name="dnanet", width=4)
#: RKD's angles need three images, everything else two.
BATCH = {"rkd": 3}


def warmed(part, seed):
    """A network whose normalisations have seen data, as a trained one's have."""
    torch.manual_seed(seed)
    network = build_network(part).train()
    for _ in range(3):
        network(torch.randn(4, 1, 32, 32))
    return network.eval()


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    """A run folder for each network's teacher."""
    folders = {}
    for name, (_, width) in WIDTHS.items():
        part, folders[name] = NetworkPart(name=name, width=width), tmp_path_factory.mktemp(name)
        content = {"network": part.model_dump(), "phases": [{"steps": 1, "batch": 2, "crop": 32, "lr": 0.1}]}
        save_weights(folders[name], warmed(part, 1).state_dict(), build_recipe(content), {})
    return folders


@pytest.fixture(scope="module")
def teacher(teachers):
    return teachers["dnanet"]


def start(method, teacher, network=STUDENT, **options):
    student = warmed(network, 2).train()
    part = DistillationPart(method=method, teacher=str(teacher), options=options)
    return student, Distillation(part, student, torch.device("cpu"))


@pytest.mark.parametrize("network", WIDTHS)
@pytest.mark.parametrize("method", DISTILLERS)
def test_gradient_at_the_student_is_finite_and_not_zero(method, network, teachers):
    part = NetworkPart(name=network, width=WIDTHS[network][0])
    student, distillation = start(method, teachers[network], part)
    image = torch.randn(BATCH.get(method, 2), 1, 32, 32)
    outputs = student(image)
    assert outputs[-1].shape[1] == 1
    loss = distillation.loss(outputs, image)
    assert loss.ndim == 0 and loss.item() > 0
    loss.backward()
    gradients = [p.grad for p in student.parameters() if p.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert sum(gradient.abs().sum() for gradient in gradients) > 0
    assert all(p.grad is None for p in distillation.teacher.parameters())


@pytest.mark.parametrize("method", DISTILLERS)
def test_own_parameters_are_in_the_optimiser_and_learn(method, teacher, tiny_recipe):
    content = {**tiny_recipe, "distillation": {"method": method, "teacher": str(teacher)}}
    state = TrainingState.fresh(build_recipe(content), torch.device("cpu"))
    own = [p for p in state.distillation.distiller.parameters() if p.requires_grad]
    assert bool(own) == (method in {"dsad", "mgd", "pkd", "crosskd"})
    optimised = {id(p) for group in state.optimiser.param_groups for p in group["params"]}
    assert {id(p) for p in own} <= optimised
    assert {id(p) for p in state.network.parameters()} <= optimised
    assert not {id(p) for p in state.distillation.teacher.parameters()} & optimised
    image = torch.randn(3, 1, 32, 32)
    state.distillation.loss(state.network(image), image).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in own)


@pytest.mark.parametrize("method", DISTILLERS)
def test_the_student_is_not_changed(method, teacher):
    student, distillation = start(method, teacher)
    plain = warmed(STUDENT, 2)
    assert student.state_dict().keys() == plain.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(student.state_dict().values(), plain.state_dict().values()))
    assert student.training and not distillation.teacher.training


def features(seed, channels=(8, 4), offset=0.0):
    torch.manual_seed(seed)
    maps = tuple(torch.relu(torch.randn(3, c, side, side)) + offset for c, side in zip(channels, (16, 32)))
    return trace(maps)


def trace(maps, logits=None):
    logits = torch.randn(3, 1, 32, 32) if logits is None else logits
    return Trace([logits], maps)


def identity(distiller):
    for adapter in distiller.adapters:
        torch.nn.init.dirac_(adapter.weight)
    return distiller


def test_dsad_is_zero_for_equals_and_blind_to_scale_and_offset():
    teacher, other = features(0), features(1)
    dsad = identity(DSAD(teacher, teacher, None))
    assert dsad(teacher, teacher).item() == pytest.approx(0, abs=1e-10)
    loss = dsad(other, teacher).item()
    # At the start the features have nothing in common: two unit variances at each of two taps.
    assert loss == pytest.approx(2 * 2, rel=0.1)
    literal = identity(DSAD(teacher, teacher, None, scale="literal"))(other, teacher).item()
    assert 2 * 2 * 0.5 <= literal <= 2 * 2
    scales = torch.linspace(0.5, 2, 8)[:, None, None], torch.linspace(2, 0.5, 4)[:, None, None]
    moved = trace(tuple(30 * scale * f - 7 for scale, f in zip(scales, other.features)))
    assert dsad(moved, teacher).item() == pytest.approx(loss, rel=1e-4)
    # The teacher's own scale decides how sharp the weights are; without them its scale is no matter either.
    unweighted = identity(DSAD(teacher, teacher, None, weights="ones"))
    scaled = trace(tuple(5 * f + 3 for f in teacher.features))
    assert unweighted(other, scaled).item() == pytest.approx(unweighted(other, teacher).item(), rel=1e-4)


def test_dsads_gradient_stays_bounded_for_a_nearly_constant_channel():
    def largest_gradient(spread):
        torch.manual_seed(3)
        channel = spread * torch.randn(2, 1, 16, 16)
        feature = torch.cat([torch.randn(2, 3, 16, 16), channel], 1).requires_grad_()
        (standardise(feature, floor=0.01) * torch.randn(2, 4, 16, 16)).mean().backward()
        return feature.grad.abs().max().item()

    assert largest_gradient(1e-7) < 150 * largest_gradient(1.0)


@pytest.mark.parametrize("weights", ["dsa", "sa", "ones"])
@pytest.mark.parametrize("channels", ["adapter", "mean"])
def test_dsads_switches(weights, channels, teacher):
    student, distillation = start("dsad", teacher, weights=weights, channels=channels)
    image = torch.randn(2, 1, 32, 32)
    distillation.loss(student(image), image).backward()
    assert sum(p.grad.abs().sum() for p in student.parameters() if p.grad is not None) > 0


def test_kd_is_the_divergence_of_bernoulli_variables():
    z, t = torch.tensor([0.3, -2.0]), torch.tensor([1.0, -1.0])
    p, q = torch.sigmoid(t), torch.sigmoid(z)
    expected = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    torch.testing.assert_close(bernoulli_divergence(z, t), expected)
    torch.testing.assert_close(bernoulli_divergence(t, t), torch.zeros(2), atol=1e-6, rtol=0)
    one, other = features(0), features(1)
    kd = KD(one, other, None, temperature=2.0)
    each, target = bernoulli_divergence(one.outputs[-1] / 2, other.outputs[-1] / 2), other.outputs[-1] > 0
    expected = 4 * (each[target].mean() + each[~target].mean()) / 2
    torch.testing.assert_close(kd(one, other), expected)
    literal = KD(one, other, None, temperature=2.0, pixels="all")
    torch.testing.assert_close(literal(one, other), 4 * each.mean())


def test_kd_teaches_targets_and_every_head():
    teacher = torch.full((2, 1, 64, 64), -6.0)
    teacher[:, :, 30:33, 30:33] = 6.0
    heads = [torch.zeros(2, 1, 64, 64, requires_grad=True) for _ in range(2)]
    shown, seen = Trace(heads, ()), Trace([teacher, teacher], ())
    share = {}
    for pixels in ("balanced", "all"):
        gradients = torch.autograd.grad(KD(shown, seen, None, pixels=pixels)(shown, seen), heads)
        assert torch.equal(*gradients)
        share[pixels] = float(gradients[0][teacher > 0].abs().sum() / gradients[0].abs().sum())
    assert share["balanced"] > 0.4 and share["all"] < 0.01
    with pytest.raises(ValueError, match="numbers of outputs"):
        KD(shown, Trace([teacher], ()), None)


@pytest.mark.parametrize("method", ["kd", "nst", "at", "kdsvd", "rkd", "cckd", "pkd"])
def test_is_zero_for_student_equal_to_teacher(method):
    same = features(0)
    distiller = DISTILLERS[method](same, same, None)
    if hasattr(distiller, "adapters"):
        identity(distiller)
    apart = distiller(features(1), same).item()
    assert apart > 1e-5
    assert abs(distiller(same, same).item()) < 1e-3 * apart


def test_at_compares_unit_vectors():
    one, other = features(0), features(1)
    loss = AT(one, other, None)(one, other)
    q = [[F.normalize(f.square().mean(1).flatten(1)) for f in t.features] for t in (one, other)]
    expected = sum(2 - 2 * (a * b).sum(1).mean() for a, b in zip(*q))
    torch.testing.assert_close(loss, expected)


def test_nst_takes_any_channel_counts():
    assert NST(features(0), features(1, (32, 16)), None)(features(0), features(1, (32, 16))).item() > 0


def test_kdsvd_does_not_mind_the_sign_and_survives_dead_channels():
    one = features(0)
    kdsvd = KDSVD(one, one, None)
    flipped = trace(tuple(-f for f in one.features))
    assert kdsvd(flipped, one).item() == pytest.approx(0, abs=1e-6)
    dead = tuple(torch.zeros_like(f).requires_grad_() for f in one.features)
    kdsvd(trace(dead), one).backward()
    assert all(f.grad.isfinite().all() for f in dead)
    matrix = torch.relu(torch.randn(3, 20, 6))
    exact = torch.linalg.svd(matrix, full_matrices=False)[0][:, :, 0]
    found = leading_left_vector(matrix, settle=100)
    torch.testing.assert_close(found.abs(), exact.abs(), atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="two taps"):
        KDSVD(trace(one.features[:1]), trace(one.features[:1]), None)


def test_mgds_mask_ratio_is_the_hidden_share():
    one = features(0)
    everything = MGD(one, one, None, mask_ratio=1.0)
    silent = trace(tuple(f.clone().requires_grad_() for f in one.features))
    everything(silent, one).backward()
    assert all(f.grad.abs().sum() == 0 for f in silent.features)
    nothing = MGD(one, one, None, mask_ratio=0.0)
    nothing(silent, one).backward()
    assert all((f.grad != 0).float().mean() > 0.99 for f in silent.features)


def test_dsad_loss_at_the_start_is_near_one_for_each_tap(teacher):
    student, distillation = start("dsad", teacher)
    image = torch.randn(4, 1, 64, 64)
    loss = distillation.loss(student(image), image).item() / distillation.weight
    # Two standardised features that have nothing in common differ by two unit variances.
    assert math.isclose(loss / 5, 2.0, abs_tol=0.4)


def test_tracer_leaves_no_hooks_behind():
    network = DNANet(2)
    tracer = Tracer(network)
    tracer.close()
    assert not any(module._forward_hooks for module in network.modules())


def test_what_does_not_fit_is_named(teacher):
    with pytest.raises(UsageError, match="dsad.*colour"):
        start("dsad", teacher, colour="red")
    student = warmed(STUDENT, 2)
    part = DistillationPart(method="at", teacher=str(teacher), student_taps=["nodes.x99"])
    with pytest.raises(UsageError, match="x99"):
        Distillation(part, student, torch.device("cpu"))
    part = DistillationPart(method="at", teacher=str(teacher), student_taps=["nodes.x04"])
    with pytest.raises(UsageError, match="numbers of taps"):
        Distillation(part, student, torch.device("cpu"))


@pytest.mark.parametrize("weights", ["dsa", "sa", "ones"])
def test_dsads_maps_weigh_alike_in_sum(weights):
    torch.manual_seed(0)
    flat = trace((torch.ones(2, 4, 32, 32),))
    spotted = trace((torch.rand(2, 4, 32, 32),))
    dsad = identity(DSAD(flat, flat, None, weights=weights))
    # A constant student is standardised to zero: what is left is the mean of M times the teacher's own square.
    square = standardise(spotted.features[0], 0.01).square()
    m = 1.0 if weights == "ones" else dsad.attention(spotted.features[0])
    expected = (m * square).mean() / (m.mean() if weights != "ones" else 1.0)
    torch.testing.assert_close(dsad(flat, spotted), expected)


@pytest.mark.parametrize("network", WIDTHS)
@torch.no_grad()
def test_the_last_layers_make_the_prediction(network, teachers):
    """What enters the fusion decides the prediction: :meth:`fuse` on the traced features is the network's own."""
    net, _, _ = load_weights(teachers[network])
    tracer, image = Tracer(net, entering=True), torch.randn(2, 1, 32, 32)
    outputs = net(image)
    seen = tracer.trace(outputs)
    assert torch.equal(net.fuse(list(seen.entering)), outputs[-1])


@pytest.mark.parametrize("network", WIDTHS)
def test_crosskd_takes_the_students_features_through_the_teachers_layers(network, teachers):
    part = NetworkPart(name=network, width=WIDTHS[network][0])
    student, distillation = start("crosskd", teachers[network], part)
    teacher, image, passed = distillation.teacher, torch.randn(2, 1, 32, 32), []
    look = distillation._teacher.look(image)
    layers = {
        "dnanet": ["laterals.0", "laterals.3", "fusion", "heads.3"],
        "amfunet": ["skips.0.4", "attention", "decoder.0", "heads.0", "heads.4"],
        "dmfnet": ["fusion.0", "fusion.3", "sides.4", "head"],
    }[network]
    for path in layers:
        teacher.get_submodule(path).register_forward_hook(
            lambda module, inputs, output, path=path: passed.append((path, output.requires_grad))
        )
    loss = distillation.loss(student(image), image, look)
    # Each layer ran once, on something that depends on the student.
    assert sorted(passed) == sorted((path, True) for path in layers)
    # Every feature that enters the student's fusion is taught, by way of the teacher's layers.
    tracer = Tracer(student, entering=True)
    outputs = student(image)
    mine = tracer.trace(outputs)
    loss = distillation.distiller(mine, look)
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(loss, mine.entering))
    # Another teacher's last layers give another loss for the same two traces.
    before = loss.item()
    for path in layers:
        for p in teacher.get_submodule(path).parameters():
            p.add_(0.1 * torch.randn_like(p))
    assert distillation.distiller(mine, look).item() != pytest.approx(before, rel=1e-6)
