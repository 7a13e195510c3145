"""Initial weights: zero mean, and a variance that keeps signals or gradients as large as they were."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from cultivar.v1 import training_spec_pb2 as pb


def initialise(modules: Iterable[nn.Module], spec: pb.InitialisationSpec) -> None:
    """Draw the weights of convolutions and linear layers anew; their biases become zero.

    The variance is gain^2 / n. He et al. 2015: gain sqrt(2), n connections into a unit; Glorot & Bengio 2010 (Xavier):
    gain 1, the mean of those into and out of a unit; LeCun et al. 1998: gain 1, those into a unit. A uniform
    distribution reaches from -sqrt(3 variance) to sqrt(3 variance).

    Args:
        modules: each by itself; other kinds stay as they are.
        spec: resolved, so that fan and gain are set.
    """
    with torch.no_grad():
        for module in modules:
            if isinstance(module, nn.Conv2d | nn.Linear):
                variance = spec.gain**2 / _fan(module, spec.fan)
                if spec.distribution == pb.INITIALISATION_DISTRIBUTION_UNIFORM:
                    module.weight.uniform_(-math.sqrt(3 * variance), math.sqrt(3 * variance))
                else:
                    module.weight.normal_(0.0, math.sqrt(variance))
                if module.bias is not None:
                    module.bias.zero_()


def _fan(layer: nn.Conv2d | nn.Linear, kind: pb.Fan) -> float:
    places = layer.weight[0, 0].numel()  # of a kernel; 1 in a linear layer
    into, out_of = layer.weight.shape[1] * places, layer.weight.shape[0] * places
    return {pb.FAN_IN: into, pb.FAN_OUT: out_of}.get(kind, (into + out_of) / 2)
