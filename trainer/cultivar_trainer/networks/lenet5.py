"""LeNet-5 (LeCun et al. 1998), with max pooling in place of subsampling, and with widths and depths to choose."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.networks.layers import convolutions, fully_connected


class LeNet5(nn.Module):
    """Convolutions, each with max pooling by 2, then fully connected layers; any square input that leaves a pixel."""

    def __init__(
        self,
        *,
        num_classes: int,
        input_size: int,
        channels: int = 1,
        conv_channels: Sequence[int] = (6, 16),
        hidden_sizes: Sequence[int] = (120, 84),
        kernel_size: int = 5,
        padding: int = 0,
        activation: pb.Activation = pb.ACTIVATION_RELU,
        batch_norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.features = convolutions(
            (channels, *conv_channels), kernel_size=kernel_size, padding=padding, kind=activation, batch_norm=batch_norm
        )
        side = input_size
        for _ in conv_channels:
            side = (side + 2 * padding - kernel_size + 1) // 2
        flat = (channels, *conv_channels)[-1] * side**2
        self.hidden = fully_connected(
            (flat, *hidden_sizes), kind=activation, batch_norm=batch_norm, dropout_probability=dropout
        )
        self.classifier = nn.Linear((flat, *hidden_sizes)[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, S, S) to logits (N, num_classes)."""
        logits: Tensor = self.classifier(self.hidden(torch.flatten(self.features(images), 1)))
        return logits
