"""The three networks of the paper at any width."""

from torch import nn

from dsad_training.networks.dnanet import DNANet
from dsad_training.recipe import NetworkPart

NETWORKS = {"dnanet": DNANet}


def build_network(part: NetworkPart) -> nn.Module:
    """The network a recipe asks for, freshly initialised from torch's global generator."""
    network = NETWORKS[part.name](part.width, part.attention)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_normal_(module.weight)
    return network
