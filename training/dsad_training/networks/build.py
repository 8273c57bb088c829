"""From a recipe to a network."""

from torch import nn

from dsad_training.networks.amfunet import AMFUNet
from dsad_training.networks.dmfnet import DMFNet
from dsad_training.networks.dnanet import DNANet
from dsad_training.recipe import NetworkPart

NETWORKS = {"dnanet": DNANet, "amfunet": AMFUNet, "dmfnet": DMFNet}


def build_network(part: NetworkPart) -> nn.Module:
    """The network a recipe asks for, initialised from torch's global generator as the papers' scripts do."""
    network = NETWORKS[part.name](part.width, part.spatial, part.dsa)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_normal_(module.weight)
    return network
