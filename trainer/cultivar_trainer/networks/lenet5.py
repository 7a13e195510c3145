"""LeNet-5 (LeCun et al. 1998), with ReLU and max pooling in place of scaled tanh and subsampling."""

import torch
from torch import Tensor, nn


class LeNet5(nn.Module):
    """Two convolutions, three fully connected layers; any square input of 16 px or more."""

    def __init__(self, *, num_classes: int, input_size: int, channels: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 6, kernel_size=5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, kernel_size=5),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        side = ((input_size - 4) // 2 - 4) // 2
        self.hidden = nn.Sequential(nn.Linear(16 * side * side, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU())
        self.classifier = nn.Linear(84, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, S, S) to logits (N, num_classes)."""
        features = torch.flatten(self.features(images), 1)
        logits: Tensor = self.classifier(self.hidden(features))
        return logits
