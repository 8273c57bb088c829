"""From a recipe to a network."""

from typing import Any

import torch
from torch import nn

from dsad_training.networks.amfunet import AMFUNet
from dsad_training.networks.branches import branch
from dsad_training.networks.dmfnet import DMFNet
from dsad_training.networks.dnanet import DNANet
from dsad_training.networks.network import Network
from dsad_training.recipe import NetworkPart

NETWORKS = {"dnanet": DNANet, "amfunet": AMFUNet, "dmfnet": DMFNet}


#: Logit of a head on features of 0: a probability of 0.018, near the share of target pixels (Lin et al., Focal
#: Loss for Dense Object Detection, ICCV 2017, section 4.1).
PRIOR = -4.0


def build_network(part: NetworkPart) -> Network:
    """The network a recipe asks for, initialised from torch's global generator.

    Convolutions start by Xavier's rule, as in the papers' scripts. Heads start with weights of 0 and above: they
    read features that are never negative, and a head whose few weights are all negative could never answer above
    its bias.
    """
    network = NETWORKS[part.name](part.width, part.spatial, part.dsa)
    if part.reparameterised:
        branch(network)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_normal_(module.weight)
    with torch.no_grad():
        for head in prediction_heads(network):
            head.weight.abs_()
            if head.bias is not None:
                head.bias.fill_(PRIOR)
    return network


def prediction_heads(network: Any) -> list[nn.Conv2d]:
    """The convolutions that make logits."""
    named = network.heads if hasattr(network, "heads") else [network.head]
    return [head for head in named if isinstance(head, nn.Conv2d)]
