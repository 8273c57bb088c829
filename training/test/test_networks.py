import pytest
import torch
from torch import nn

from dsad_training.losses import task_loss
from dsad_training.networks.amfunet import AMFUNet
from dsad_training.networks.branches import fold
from dsad_training.networks.build import build_network
from dsad_training.networks.dmfnet import DMFNet
from dsad_training.networks.dnanet import DNANet
from dsad_training.networks.residual import ChannelAttention
from dsad_training.recipe import network_part

NETWORKS = [DNANet, AMFUNet, DMFNet]


@pytest.mark.parametrize("spatial", ["cbam", "dsa", "none"])
@pytest.mark.parametrize("network", NETWORKS)
def test_gradient_reaches_every_parameter(network, spatial):
    torch.manual_seed(0)
    built = network(4, spatial)
    truth = (torch.rand(2, 1, 32, 32) > 0.9).float()
    task_loss(built(torch.randn(2, 1, 32, 32)), truth, bce=0.5).backward()
    silent = [name for name, p in built.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not silent


@pytest.mark.parametrize("network, outputs", [(DNANet, 4), (AMFUNet, 6), (DMFNet, 1)])
@torch.no_grad()
def test_every_output_has_the_images_size(network, outputs):
    built = network(4).eval()
    maps = built(torch.randn(1, 1, 48, 80))
    assert [tuple(logits.shape) for logits in maps] == [(1, 1, 48, 80)] * outputs


@pytest.mark.parametrize("network", NETWORKS)
@torch.no_grad()
def test_a_grey_image_is_the_same_in_three_channels(network):
    built, image = network(4).eval(), torch.randn(1, 1, 32, 32)
    assert torch.equal(built(image)[-1], built(image.repeat(1, 3, 1, 1))[-1])


@pytest.mark.parametrize("network", NETWORKS)
def test_what_it_says_about_itself_exists(network):
    built = network(4)
    for path in (*built.taps, *built.fusion_taps, *built.image_blocks):
        built.get_submodule(path)
    for path in built.image_blocks:
        assert built.get_submodule(path).body[0].in_channels == 3


@torch.no_grad()
def test_dnanets_prediction_needs_no_other_head():
    network, image = DNANet(2).eval(), torch.randn(1, 1, 32, 32)
    alone = DNANet(2, deep_supervision=False).eval()
    weights = network.state_dict()
    kept = {name: value for name, value in weights.items() if not name.startswith("heads")}
    for part in ("weight", "bias"):
        kept[f"heads.0.{part}"] = weights[f"heads.3.{part}"]
    alone.load_state_dict(kept)
    (prediction,) = alone(image)
    assert torch.equal(prediction, network(image)[-1])


@torch.no_grad()
def test_amfunet_predicts_the_mean_of_its_outputs():
    outputs = AMFUNet(4).eval()(torch.randn(1, 1, 32, 32))
    torch.testing.assert_close(outputs[-1], torch.stack(outputs[:-1]).mean(0))


@torch.no_grad()
def test_dmfnets_encoders_have_their_own_weights_and_views():
    network, image = DMFNet(4).eval(), torch.randn(1, 1, 32, 32)
    assert torch.equal(network(image)[0], network(image, image)[0])
    assert not torch.equal(network(image)[0], network(image, image.roll(5, -1))[0])


def test_channel_attention_survives_fewer_channels_than_its_ratio():
    assert ChannelAttention(4, ratio=16)(torch.randn(2, 4, 8, 8)).shape == (2, 4, 1, 1)


@pytest.mark.parametrize("name", ["dnanet", "amfunet", "dmfnet"])
def test_branches_fold_into_the_convolutions_beside_them(name):
    part = network_part(name=name, width=4, spatial="cbam", reparameterised=True)
    torch.manual_seed(0)
    network = build_network(part)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.weight, 1, 0.2)
            nn.init.normal_(module.bias, 0, 0.2)
    image = torch.randn(1, 1, 32, 48, dtype=torch.float64)
    folded = fold(network.double().eval())
    plain = build_network(part.model_copy(update={"reparameterised": False}))
    shapes = [{key: value.shape for key, value in each.state_dict().items()} for each in (folded, plain)]
    assert shapes[0] == shapes[1] and len(network.state_dict()) > len(shapes[0])
    with torch.inference_mode():
        for one, other in zip(network(image), folded(image)):
            torch.testing.assert_close(one, other)
            assert other.std() > 1e-3
