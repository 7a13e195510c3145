"""Builds the network that a recipe asks for."""

from dataclasses import dataclass
from typing import Any

import torch
import torchvision
from torch import nn

from cultivar.v1 import event_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_trainer.networks import weights as weights_module
from cultivar_trainer.networks.lenet5 import LeNet5
from cultivar_trainer.networks.network import Network
from cultivar_trainer.networks.weights import WeightsFile
from cultivar_trainer.randomness import Stream, scalar

NEW_HEAD_STD = 0.01
"""Standard deviation of a new head's weights: its first answers are nearly uniform, so the backbone is not jolted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """A network and where its weights came from."""

    network: Network
    weights: event_pb2.WeightsLoaded | None
    """None where they are random."""


def build(recipe: pb.TrainingSpec, num_classes: int, weights: WeightsFile | None) -> Built:
    """Build a recipe's network on the CPU, its random weights drawn by the recipe's seed.

    Raises:
        TaskFailed: the weights can't be read or don't fit.
    """
    torch.manual_seed(scalar(recipe.seed, 0, Stream.INITIALISATION) >> 1)
    network = network_of(
        recipe.architecture,
        num_classes=num_classes,
        input_size=recipe.input.size,
        stem=recipe.network.stem,
        head_dropout=recipe.network.head_dropout,
        pretrained=weights is not None,
    )
    report = None
    if weights is not None:
        report = weights_module.load(network, weights)
        _initialise_head(network.head)
    return Built(network=network, weights=report)


def network_of(
    architecture: str,
    *,
    num_classes: int,
    input_size: int,
    stem: pb.Stem,
    head_dropout: float,
    pretrained: bool = False,
) -> Network:
    """Build a network with random weights; `pretrained` leaves out what weights will replace."""
    row = ARCHITECTURES[architecture]
    model = module(architecture, num_classes=num_classes, input_size=input_size, stem=stem, pretrained=pretrained)
    network = Network(model, row.family, input_size=input_size, mean=row.mean, std=row.std)
    for layer in network.head.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = head_dropout
    return network


def module(
    architecture: str, *, num_classes: int, input_size: int, stem: pb.Stem, pretrained: bool = False
) -> nn.Module:
    """Build a bare network under torchvision's names, with random weights."""
    row = ARCHITECTURES[architecture]
    if row.family_name == "lenet":
        return LeNet5(num_classes=num_classes, input_size=input_size)
    options: dict[str, Any] = {}
    if row.family.auxiliary_heads:
        # Their published weights expect inputs in -1 to 1: `Architecture.mean` says so, in place of transform_input.
        with_heads = input_size >= row.family.auxiliary_min_input
        options = {"aux_logits": with_heads, "init_weights": not pretrained, "transform_input": False}
    model: nn.Module = torchvision.models.get_model(architecture, weights=None, num_classes=num_classes, **options)
    if stem == pb.STEM_CIFAR:
        _use_cifar_stem(model)
    return model


def _use_cifar_stem(model: nn.Module) -> None:
    """Replace 7x7 stride 2 and pooling by 3x3 stride 1 (He et al. 2016, section 4.2)."""
    stem = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")  # as torchvision's ResNet does
    model.conv1 = stem
    model.maxpool = nn.Identity()


def _initialise_head(head: nn.Module) -> None:
    for layer in head.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            nn.init.normal_(layer.weight, std=NEW_HEAD_STD)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
