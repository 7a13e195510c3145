"""Task describe: a network's layers, parameters and multiply-adds, and what a mode trains."""

from collections.abc import Iterator
from math import prod
from typing import Any

import torch
from google.protobuf import json_format
from torch import Tensor, nn

from cultivar.v1 import architecture_pb2
from cultivar_contract import tasks
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_trainer import finetuning
from cultivar_trainer.networks.builders import network_of
from cultivar_trainer.networks.network import Network


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Answer an ArchitectureDescription as proto JSON."""
    asked = tasks.from_json(tasks.DescribeRequest, request)
    value: dict[str, Any] = json_format.MessageToDict(describe(asked))
    return value


def describe(asked: tasks.DescribeRequest) -> architecture_pb2.ArchitectureDescription:
    """Build the network without memory for its weights, run one image of no content through it, and note each layer."""
    recipe = asked.spec()
    architecture = ARCHITECTURES[recipe.architecture]
    # RegNet computes its widths with tensors, which need values.
    with torch.device("cpu" if architecture.family_name == "regnet" else "meta"):
        network = network_of(
            recipe.architecture,
            num_classes=asked.num_classes,
            input_size=recipe.input.size,
            stem=recipe.network.stem,
            head_dropout=0.0,
        )
    network.to("meta")
    finetuning.freeze(network, recipe.mode)
    layers = list(_layers(network, recipe.input.size))
    parameters = sum(one.numel() for one in network.parameters())
    trainable = sum(one.numel() for one in finetuning.trainable_parameters(network))
    return architecture_pb2.ArchitectureDescription(
        architecture=architecture.to_message(),
        layers=layers,
        parameters=parameters,
        trainable_parameters=trainable,
        frozen_parameters=parameters - trainable,
        multiply_adds=sum(layer.multiply_adds for layer in layers),
        input_size=recipe.input.size,
        num_classes=asked.num_classes,
        mode=recipe.mode,
    )


def _layers(network: Network, input_size: int) -> Iterator[architecture_pb2.Layer]:
    names = {}
    for part, original in ((network.backbone, lambda name: name), (network.head, network.original_name)):
        for name, one in part.named_modules():
            if not list(one.children()) and not isinstance(one, nn.Identity):
                names[one] = original(name)
    found: list[architecture_pb2.Layer] = []

    def note(layer: nn.Module, _: Any, output: Tensor) -> None:
        own = list(layer.parameters())
        found.append(
            architecture_pb2.Layer(
                name=names[layer],
                kind=type(layer).__name__,
                output_shape=list(output.shape[1:]),
                parameters=sum(one.numel() for one in own),
                trainable=any(one.requires_grad for one in own),
                multiply_adds=_multiply_adds(layer, output),
            )
        )

    handles = [layer.register_forward_hook(note) for layer in names]
    network.eval()
    with torch.no_grad():
        network(torch.zeros(1, 3, input_size, input_size, device="meta"))
    for handle in handles:
        handle.remove()
    yield from found


def _multiply_adds(layer: nn.Module, output: Tensor) -> int:
    """Count as torchvision's weight enums do: one for each weight at each place it is applied."""
    if isinstance(layer, nn.Conv2d):
        return int(prod(output.shape[1:]) * layer.in_channels // layer.groups * prod(layer.kernel_size))
    if isinstance(layer, nn.Linear):
        return int(prod(output.shape[1:]) * layer.in_features)
    return 0
