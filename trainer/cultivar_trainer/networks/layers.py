"""Layers that our own networks and heads are made of."""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from cultivar.v1 import training_spec_pb2 as pb

_ACTIVATIONS: dict[pb.Activation, type[nn.Module]] = {
    pb.ACTIVATION_RELU: nn.ReLU,
    pb.ACTIVATION_LEAKY_RELU: nn.LeakyReLU,
    pb.ACTIVATION_SIGMOID: nn.Sigmoid,
    pb.ACTIVATION_TANH: nn.Tanh,
}


def activation(kind: pb.Activation) -> nn.Module:
    """Return a nonlinearity; ReLU where none is named."""
    return _ACTIVATIONS.get(kind, nn.ReLU)()


def dropout(probability: float) -> nn.Module:
    """Return a layer that drops features while training (Srivastava et al. 2014); one that does nothing at 0."""
    return nn.Dropout(probability) if probability > 0 else nn.Identity()


def convolutions(
    channels: Sequence[int], *, kernel_size: int, padding: int, kind: pb.Activation, batch_norm: bool
) -> nn.Sequential:
    """Return convolutions from `channels[0]` to `channels[-1]`, each with its activation and max pooling by 2.

    BatchNorm (Ioffe & Szegedy 2015) has a shift of its own: the convolution before it has no bias.
    """
    layers = nn.Sequential()
    for before, after in pairwise(channels):
        parts = OrderedDict[str, nn.Module](
            conv=nn.Conv2d(before, after, kernel_size, padding=padding, bias=not batch_norm)
        )
        if batch_norm:
            parts["norm"] = nn.BatchNorm2d(after)
        parts["activation"] = activation(kind)
        parts["pool"] = nn.MaxPool2d(2)
        layers.append(nn.Sequential(parts))
    return layers


def fully_connected(
    sizes: Sequence[int], *, kind: pb.Activation, batch_norm: bool, dropout_probability: float
) -> nn.Sequential:
    """Return linear layers from `sizes[0]` to `sizes[-1]` features, each with its activation and dropout."""
    layers = nn.Sequential()
    for before, after in pairwise(sizes):
        parts = OrderedDict[str, nn.Module](linear=nn.Linear(before, after, bias=not batch_norm))
        if batch_norm:
            parts["norm"] = nn.BatchNorm1d(after)
        parts["activation"] = activation(kind)
        if dropout_probability:
            parts["dropout"] = dropout(dropout_probability)
        layers.append(nn.Sequential(parts))
    return layers
