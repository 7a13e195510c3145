"""Builds the network that a recipe asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torchvision
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from cultivar.v1 import event_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.networks import blocks, heads
from cultivar_trainer.networks import weights as weights_module
from cultivar_trainer.networks.initialisation import initialise
from cultivar_trainer.networks.lenet5 import LeNet5
from cultivar_trainer.networks.mlp import MLP
from cultivar_trainer.networks.network import Network
from cultivar_trainer.networks.resnet_cifar import ResNetCifar
from cultivar_trainer.networks.weights import WeightsFile
from cultivar_trainer.randomness import Stream, scalar

NEW_HEAD_STD = 0.01
"""Standard deviation of the weights of a new head's last layer: its first answers are nearly uniform, so that the
backbone is not jolted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """A network and where its weights came from."""

    network: Network
    weights: event_pb2.WeightsLoaded | None
    """None where they are random."""
    head_kept: bool
    """Whether the head is that of the weights."""


def build(
    recipe: pb.TrainingSpec,
    num_classes: int,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    weights: WeightsFile | None,
    keep_head: bool = False,
) -> Built:
    """Build a recipe's network on the CPU, its random weights drawn by the recipe's seed.

    Args:
        recipe: resolved.
        num_classes: classes of the head.
        mean: subtracted from each channel, which is 0 to 1; as many as the input has channels.
        std: divides each channel after that.
        weights: what the backbone begins with; None: random weights.
        keep_head: whether the head begins with them too, where it has their shape; the caller knows that the classes
            are the same.

    Raises:
        TaskFailed: the weights can't be read or don't fit, or more blocks are to be retained than there are.
    """
    torch.manual_seed(scalar(recipe.seed, 0, Stream.INITIALISATION) >> 1)
    network = network_of(recipe, num_classes, mean=mean, std=std, pretrained=weights is not None)
    report, head_kept = None, False
    if weights is not None:
        report, head_kept = weights_module.load(network, weights, keep_head=keep_head)
    if not head_kept:
        _initialise(network, recipe, pretrained=weights is not None)
    return Built(network=network, weights=report, head_kept=head_kept)


def network_of(
    recipe: pb.TrainingSpec,
    num_classes: int,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    pretrained: bool = False,
) -> Network:
    """Build a recipe's network with random weights; `pretrained` leaves out what weights will replace.

    Raises:
        TaskFailed: TOO_FEW_BLOCKS.
    """
    family, spec = ARCHITECTURES[recipe.architecture].family, recipe.network
    backbone = module(recipe, num_classes, pretrained=pretrained)
    published, tail = heads.take_off(backbone, family)
    cut = _retain(backbone, recipe) if recipe.retain_blocks else ()
    for layer in backbone.modules():
        if isinstance(layer, _BatchNorm):
            layer.momentum = spec.batch_norm_momentum if spec.HasField("batch_norm_momentum") else layer.momentum
            layer.eps = spec.batch_norm_epsilon if spec.HasField("batch_norm_epsilon") else layer.eps
    shape = _feature_shape(backbone, family.head, (len(mean), recipe.input.size, recipe.input.size))
    head = heads.Head(
        published,
        tail,
        features=shape[0],
        hidden_sizes=spec.head_hidden_sizes,
        kind=spec.head_activation,
        dropout_probability=spec.head_dropout,
    )
    size = recipe.input.size
    return Network(backbone, head, family, input_size=size, feature_shape=shape, mean=mean, std=std, cut=cut)


def module(recipe: pb.TrainingSpec, num_classes: int, *, pretrained: bool = False) -> nn.Module:
    """Build a recipe's bare network, whole and under its original names, with random weights."""
    row, spec = ARCHITECTURES[recipe.architecture], recipe.network
    size, channels = recipe.input.size, recipe.input.channels or 3
    match row.family_name:
        case "lenet":
            return LeNet5(
                num_classes=num_classes,
                input_size=size,
                channels=channels,
                conv_channels=spec.conv_channels,
                hidden_sizes=spec.hidden_sizes,
                kernel_size=spec.kernel_size,
                padding=spec.padding,
                activation=spec.activation,
                batch_norm=spec.batch_norm,
                dropout=spec.dropout,
            )
        case "mlp":
            return MLP(
                num_classes=num_classes,
                input_size=size,
                channels=channels,
                hidden_sizes=spec.hidden_sizes,
                activation=spec.activation,
                batch_norm=spec.batch_norm,
                dropout=spec.dropout,
            )
        case "resnet_cifar":
            return ResNetCifar(
                num_classes=num_classes,
                depth=int(row.name.removeprefix("resnet").removesuffix("_cifar")),
                channels=channels,
                shortcuts=spec.shortcuts,
                zero_init_residual=spec.zero_init_residual,
            )
    options: dict[str, Any] = {}
    if spec.zero_init_residual:
        options["zero_init_residual"] = True
    if row.family.auxiliary_heads:
        # Their published weights expect inputs in -1 to 1: `Architecture.mean` says so, in place of transform_input.
        with_heads = size >= row.family.auxiliary_min_input and _all_learns(recipe)
        options |= {"aux_logits": with_heads, "init_weights": not pretrained, "transform_input": False}
    model: nn.Module = torchvision.models.get_model(
        recipe.architecture, weights=None, num_classes=num_classes, **options
    )
    if spec.stem == pb.STEM_CIFAR:
        _use_cifar_stem(model)
    if channels == 1:
        _use_one_channel(model)
    return model


def _all_learns(recipe: pb.TrainingSpec) -> bool:
    whole = recipe.mode in (pb.FINE_TUNING_MODE_SCRATCH, pb.FINE_TUNING_MODE_FULL)
    return whole and not recipe.trainable and not recipe.retain_blocks


def _use_cifar_stem(model: nn.Module) -> None:
    """Replace 7x7 stride 2 and pooling by 3x3 stride 1 (He et al. 2016, section 4.2)."""
    stem = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")  # as torchvision's ResNet does
    model.conv1 = stem
    model.maxpool = nn.Identity()


def _use_one_channel(model: nn.Module) -> None:
    """Add up the first convolution's filters of red, green and blue: grey images then give what they gave in RGB."""
    first = next(one for one in model.modules() if isinstance(one, nn.Conv2d))
    assert first.in_channels == 3
    assert first.groups == 1
    first.in_channels = 1
    first.weight = nn.Parameter(first.weight.detach().sum(dim=1, keepdim=True))


def _retain(backbone: nn.Module, recipe: pb.TrainingSpec) -> tuple[str, ...]:
    family = ARCHITECTURES[recipe.architecture].family
    count = len(blocks.split(backbone, family))
    if recipe.retain_blocks > count:
        raise TaskFailed(
            "TOO_FEW_BLOCKS",
            f"retain_blocks {recipe.retain_blocks} is more than the {count} blocks of {recipe.architecture}: "
            "use that or less",
        )
    return blocks.cut(backbone, family, recipe.retain_blocks)


def _feature_shape(backbone: nn.Module, head: str, image: tuple[int, int, int]) -> tuple[int, ...]:
    """Return the shape that reaches the place of the head for one image."""
    shapes: list[torch.Size] = []
    place = backbone.get_submodule(head)
    handle = place.register_forward_pre_hook(lambda _, inputs: shapes.append(inputs[0].shape[1:]))
    was_training = backbone.training
    backbone.eval()  # a dry run must not move BatchNorm's statistics
    with torch.no_grad():
        backbone(torch.zeros(1, *image, device=next(backbone.parameters()).device))
    backbone.train(was_training)
    handle.remove()
    return tuple(shapes[0])


def _initialise(network: Network, recipe: pb.TrainingSpec, *, pretrained: bool) -> None:
    """Draw the weights of new layers as the recipe asks; where it does not, torchvision's own stay in a new network."""
    if recipe.initialisation.scheme:
        initialise(network.head.modules() if pretrained else network.modules(), recipe.initialisation)
    elif pretrained:
        nn.init.normal_(network.head.output.weight, std=NEW_HEAD_STD)
        if network.head.output.bias is not None:
            nn.init.zeros_(network.head.output.bias)
