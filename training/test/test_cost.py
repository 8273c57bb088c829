import pytest
import torch

from dsad_training.cost import cost, parameters
from dsad_training.networks.amfunet import AMFUNet
from dsad_training.networks.dmfnet import DMFNet
from dsad_training.networks.dnanet import DNANet
from dsad_training.networks.dsa import DsaOptions

# The paper's Table 5. Its 14.19 G for DNANet num16 and 22.73 G for AMFU-Net num16 follow from no counter
# that gives its other ten costs.
VARIANTS = [
    (DNANet, 16, "cbam", 4_696_888, 14.1065),
    (DNANet, 4, "cbam", 298_664, 0.9725),
    (DNANet, 16, "dsa", 4_705_000, 14.0522),
    (DNANet, 4, "dsa", 306_776, 0.9182),
    (AMFUNet, 16, "cbam", 1_879_009, 22.6924),
    (AMFUNet, 4, "cbam", 119_877, 1.4766),
    (AMFUNet, 16, "dsa", 1_881_361, 22.6892),
    (AMFUNet, 4, "dsa", 122_229, 1.4735),
    (DMFNet, 16, "none", 11_114_063, 40.2076),
    (DMFNet, 4, "none", 701_723, 2.6232),
    (DMFNet, 16, "dsa", 11_123_493, 40.2076),
    (DMFNet, 4, "dsa", 711_153, 2.6232),
]


@pytest.mark.parametrize("network, width, spatial, expected_parameters, expected_cost", VARIANTS)
def test_networks_have_the_papers_size(network, width, spatial, expected_parameters, expected_cost):
    built = network(width, spatial)
    assert parameters(built) == expected_parameters
    # The cost is a sum over maps whose sides are all proportional to the image's, except for the channel
    # gates, so it has to be taken at the paper's own size.
    assert round(cost(built) / 1e9, 4) == expected_cost


@pytest.mark.parametrize(
    "network, expected", [(DNANet, 4_694_340), (AMFUNet, 1_878_901), (DMFNet, 11_114_063)]
)
def test_fixed_dsa_has_no_parameters(network, expected):
    assert parameters(network(16, "dsa", DsaOptions(base="zero_sum"))) == expected


def test_counts_a_convolution_by_hand():
    conv = torch.nn.Conv2d(3, 5, 3, padding=1)
    assert cost(conv, 4, 6) == 4 * 6 * 5 * (3 * 9 + 1)


def test_leaves_the_network_as_it_was():
    network = DNANet(2).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    cost(network, 32, 32)
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())
