"""Residual networks for inputs of 32 px: ResNet-20, ResNet-56, and plain networks (He et al. 2016, section 4.2)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_WIDTHS = (16, 32, 64)
"""Filters of the three stages; each but the first begins with stride 2."""


class ResNetCifar(nn.Module):
    """6n + 2 weight layers: a convolution, three stages of n blocks of two convolutions, a linear layer.

    Shortcuts are the paper's option A: the identity, with every other pixel and zeros for new channels where a stage
    begins; they have no weights, so that networks with and without shortcuts have the same number.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        depth: int,
        channels: int = 3,
        shortcuts: bool = True,
        zero_init_residual: bool = False,
    ) -> None:
        super().__init__()
        assert (depth - 2) % 6 == 0, "6n + 2 layers"
        self.conv1 = _convolution(channels, _WIDTHS[0], stride=1)
        self.bn1 = nn.BatchNorm2d(_WIDTHS[0])
        self.relu = nn.ReLU()
        count = (depth - 2) // 6
        self.layer1 = _stage(_WIDTHS[0], _WIDTHS[0], count, stride=1, shortcuts=shortcuts)
        self.layer2 = _stage(_WIDTHS[0], _WIDTHS[1], count, stride=2, shortcuts=shortcuts)
        self.layer3 = _stage(_WIDTHS[1], _WIDTHS[2], count, stride=2, shortcuts=shortcuts)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(_WIDTHS[2], num_classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")  # as torchvision's ResNets
            if isinstance(layer, BasicBlock) and zero_init_residual:
                nn.init.zeros_(layer.bn2.weight)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, S, S) to logits (N, num_classes)."""
        features = self.relu(self.bn1(self.conv1(images)))
        features = self.avgpool(self.layer3(self.layer2(self.layer1(features))))
        logits: Tensor = self.fc(torch.flatten(features, 1))
        return logits


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with BatchNorm, and a shortcut around them."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, shortcut: bool) -> None:
        super().__init__()
        self.conv1 = _convolution(in_channels, out_channels, stride=stride)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()
        self.conv2 = _convolution(out_channels, out_channels, stride=1)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self._shortcut = shortcut
        self._stride = stride
        self._new_channels = out_channels - in_channels

    def forward(self, images: Tensor) -> Tensor:
        """Map features (N, C, S, S) to features of the next width and size."""
        features: Tensor = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(images)))))
        if self._shortcut:
            identity = images[:, :, :: self._stride, :: self._stride]
            before = self._new_channels // 2
            features = features + F.pad(identity, (0, 0, 0, 0, before, self._new_channels - before))
        output: Tensor = self.relu(features)
        return output


def _convolution(in_channels: int, out_channels: int, *, stride: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False)


def _stage(in_channels: int, out_channels: int, count: int, *, stride: int, shortcuts: bool) -> nn.Sequential:
    first = BasicBlock(in_channels, out_channels, stride=stride, shortcut=shortcuts)
    rest = (BasicBlock(out_channels, out_channels, stride=1, shortcut=shortcuts) for _ in range(count - 1))
    return nn.Sequential(first, *rest)
