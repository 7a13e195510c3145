"""Task describe: a network's layers, blocks, parameters, multiply-adds and memory, and what a recipe trains of it."""

from itertools import pairwise
from math import prod
from typing import Any

import torch
from google.protobuf import json_format
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torchvision.models.swin_transformer import ShiftedWindowAttention

from cultivar.v1 import architecture_pb2
from cultivar_contract import tasks
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_trainer import finetuning
from cultivar_trainer.networks.blocks import blocks
from cultivar_trainer.networks.builders import network_of
from cultivar_trainer.networks.layer_names import is_inside_layer, is_layer
from cultivar_trainer.networks.network import Network

_FLOAT = 4
"""Bytes of a number in float32."""
_PASS = 2
"""Images in the pass that layers are noted in: BatchNorm can't train on one."""


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Answer an ArchitectureDescription as proto JSON."""
    asked = tasks.from_json(tasks.DescribeRequest, request)
    value: dict[str, Any] = json_format.MessageToDict(describe(asked))
    return value


def describe(asked: tasks.DescribeRequest) -> architecture_pb2.ArchitectureDescription:
    """Build the network without memory for its weights, run images of no content through it, and note each layer.

    Raises:
        TaskFailed: more blocks are asked for than there are, or a pattern matches no parameter.
    """
    recipe = asked.spec()
    architecture, channels = ARCHITECTURES[recipe.architecture], recipe.input.channels or 3
    # RegNet computes its widths with tensors, which need values.
    with torch.device("cpu" if architecture.family_name == "regnet" else "meta"):
        network = network_of(recipe, asked.num_classes, mean=(0.0,) * channels, std=(1.0,) * channels)
    network.to("meta")
    finetuning.freeze(network, recipe)
    watch = _Watch(network)
    layers, saved_bytes = watch.run(torch.zeros(_PASS, channels, recipe.input.size, recipe.input.size, device="meta"))
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
        blocks=_blocks(network),
        memory=_memory(network, layers, saved_bytes // _PASS, asked.batch_size),
        # Where patterns name what learns, there are no auxiliary heads.
        parameter_names=[name for name in network.original_parameters() if not network.in_auxiliary_head(name)],
    )


class _Watch:
    """Notes what runs in one pass in training mode, and what the backward pass would need of it."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._layers: list[architecture_pb2.Layer] = []
        self._storages: dict[int, torch.UntypedStorage] = {}
        self._own = {parameter.untyped_storage()._cdata for parameter in network.parameters()}

    def run(self, images: Tensor) -> tuple[list[architecture_pb2.Layer], int]:
        """Return the layers in the order in which they ran, and the bytes that the backward pass needs."""
        network = self._network
        handles = []
        for part, original in ((network.backbone, str), (network.head, network.original_name)):
            for name, module in part.named_modules():
                if is_layer(module):
                    handles.append(module.register_forward_hook(self._note_layer(original(name))))
                elif not is_inside_layer(part, name):
                    handles.append(module.register_forward_pre_hook(self._note_parameters(original(name))))
        with saved_tensors_hooks(self._save, lambda kept: kept):
            network(images)
        for handle in handles:
            handle.remove()
        return self._layers, sum(storage.nbytes() for storage in self._storages.values())

    def _note_layer(self, name: str) -> Any:
        def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
            answer: Tensor = output[0] if isinstance(output, tuple) else output
            # Prediction does without auxiliary heads.
            used = not self._network.in_auxiliary_head(f"{name}.")
            self._layers.append(
                architecture_pb2.Layer(
                    name=name,
                    kind=type(layer).__name__,
                    output_shape=list(answer.shape[1:]),
                    parameters=sum(one.numel() for one in layer.parameters()),
                    trainable=any(one.requires_grad for one in layer.parameters()),
                    multiply_adds=_multiply_adds(layer, inputs[0], answer) if used else 0,
                )
            )

        return note

    def _note_parameters(self, name: str) -> Any:
        """Note parameters that a module which contains layers holds itself, such as a class token."""

        def note(module: nn.Module, _: Any) -> None:
            self._layers.extend(
                architecture_pb2.Layer(
                    name=f"{name}.{own}".lstrip("."),
                    kind="Parameter",
                    output_shape=list(parameter.shape),
                    parameters=parameter.numel(),
                    trainable=parameter.requires_grad,
                )
                for own, parameter in module.named_parameters(recurse=False)
            )

        return note

    def _save(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._own:
            self._storages[storage._cdata] = storage  # kept, so that no other gets its number
        return tensor


def _multiply_adds(layer: nn.Module, images: Tensor, output: Tensor) -> int:
    """Count, for one image, one for each product: of a weight, or of two tokens in attention."""
    outputs = output[0].numel()
    if isinstance(layer, nn.Conv2d):
        return int(outputs * layer.in_channels // layer.groups * prod(layer.kernel_size))
    if isinstance(layer, nn.Linear):
        return outputs * layer.in_features
    if isinstance(layer, nn.MultiheadAttention):
        tokens, width = images.shape[1:]
        return int(4 * tokens * width**2 + 2 * tokens**2 * width)
    if isinstance(layer, ShiftedWindowAttention):
        height, width = (
            -(-side // window) * window for side, window in zip(images.shape[1:3], layer.window_size, strict=True)
        )
        tokens, features = height * width, images.shape[3]
        return int(4 * tokens * features**2 + 2 * tokens * prod(layer.window_size) * features)
    return 0


def _blocks(network: Network) -> list[architecture_pb2.Block]:
    sizes = {name: one.numel() for name, one in network.original_parameters().items()}
    head = sum(size for name, size in sizes.items() if network.in_head(name))
    answer = [
        architecture_pb2.Block(name=network.family.head, parameters=head, last_blocks=0, trainable_parameters=head)
    ]
    for number, block in enumerate(reversed(blocks(network)), start=1):
        parameters = sum(sizes[name] for name in block.parameters)
        answer.append(
            architecture_pb2.Block(
                name=block.name,
                parameters=parameters,
                last_blocks=number,
                trainable_parameters=answer[-1].trainable_parameters + parameters,
            )
        )
    return answer[::-1]


def _memory(
    network: Network, layers: list[architecture_pb2.Layer], saved_bytes: int, batch_size: int
) -> architecture_pb2.MemoryEstimate:
    """Estimate memory from what the backward pass needs of one image."""
    weights = sum(one.nbytes for one in network.state_dict().values())
    gradients = _FLOAT * sum(one.numel() for one in finetuning.trainable_parameters(network))
    outputs = [network.channels * network.input_size**2]
    outputs += [prod(layer.output_shape) for layer in layers if layer.kind != "Parameter"]
    return architecture_pb2.MemoryEstimate(
        batch_size=batch_size,
        parameter_bytes=weights,
        gradient_bytes=gradients,
        optimizer_bytes=2 * gradients,
        activation_bytes=saved_bytes * batch_size,
        training_bytes=weights + 3 * gradients + saved_bytes * batch_size,
        inference_bytes=weights + _FLOAT * batch_size * max(one + other for one, other in pairwise(outputs)),
    )
