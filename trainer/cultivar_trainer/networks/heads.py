"""Heads: the layers that map a backbone's features to classes."""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.architectures import Family
from cultivar_trainer.networks.layers import activation, dropout

OutputLayer = nn.Linear | nn.Conv2d
"""A published head's last trainable layer; a convolution of 1x1 works at each place by itself."""


class Head(nn.Module):
    """Dropout and a linear layer; before them, as often as asked for, dropout, a hidden linear layer, an activation."""

    def __init__(
        self,
        published: OutputLayer,
        tail: nn.Sequential,
        *,
        features: int,
        hidden_sizes: Sequence[int] = (),
        kind: pb.Activation = pb.ACTIVATION_RELU,
        dropout_probability: float = 0.0,
    ) -> None:
        """Build a head.

        Args:
            published: the architecture's own last layer, kept as it is where it fits.
            tail: what follows that layer.
            features: numbers that enter, at each place where the layer is a convolution.
            hidden_sizes: units of hidden layers, of the same kind as the published one.
            kind: nonlinearity after each hidden layer.
            dropout_probability: of dropout before each layer.
        """
        super().__init__()
        sizes = (features, *hidden_sizes)
        self.hidden = nn.Sequential(
            *(
                nn.Sequential(
                    OrderedDict(
                        dropout=dropout(dropout_probability),
                        linear=_like(published, before, after),
                        activation=activation(kind),
                    )
                )
                for before, after in pairwise(sizes)
            )
        )
        self.dropout = dropout(dropout_probability)
        fits = _widths(published)[0] == sizes[-1]
        self.output = published if fits else _like(published, sizes[-1], _widths(published)[1])
        self.tail = tail

    def forward(self, features: Tensor) -> Tensor:
        """Map features (N, F) or (N, F, H, W) to logits (N, K) or (N, K, 1, 1)."""
        logits: Tensor = self.tail(self.output(self.dropout(self.hidden(features))))
        return logits


def take_off(model: nn.Module, family: Family) -> tuple[OutputLayer, nn.Sequential]:
    """Take a bare network's head off, so that its answers are features; return the last layer and what follows it."""
    layer = model.get_submodule(family.head)
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    tail = nn.Sequential(*(model.get_submodule(path) for path in family.tail))
    for path in (family.head, *((family.dropout,) if family.dropout else ()), *family.tail):
        model.set_submodule(path, nn.Identity())
    return layer, tail


def _widths(layer: OutputLayer) -> tuple[int, int]:
    if isinstance(layer, nn.Conv2d):
        return layer.in_channels, layer.out_channels
    return layer.in_features, layer.out_features


def _like(layer: OutputLayer, before: int, after: int) -> OutputLayer:
    bias = layer.bias is not None
    if isinstance(layer, nn.Conv2d):
        return nn.Conv2d(before, after, kernel_size=1, bias=bias)
    return nn.Linear(before, after, bias=bias)
