"""A multilayer perceptron: fully connected layers on an image's numbers, as in Simard et al. 2003."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.networks.layers import fully_connected


class MLP(nn.Module):
    """Fully connected layers; any square input."""

    def __init__(
        self,
        *,
        num_classes: int,
        input_size: int,
        channels: int = 1,
        hidden_sizes: Sequence[int] = (800,),
        activation: pb.Activation = pb.ACTIVATION_RELU,
        batch_norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        sizes = (channels * input_size**2, *hidden_sizes)
        self.hidden = fully_connected(sizes, kind=activation, batch_norm=batch_norm, dropout_probability=dropout)
        self.classifier = nn.Linear(sizes[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, S, S) to logits (N, num_classes)."""
        logits: Tensor = self.classifier(self.hidden(torch.flatten(images, 1)))
        return logits
