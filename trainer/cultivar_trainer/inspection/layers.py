"""The layers of a network that can be looked at, and their activations as maps: (N, C, H, W) whatever they were."""

import difflib
import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.convnext import LayerNorm2d
from torchvision.ops.misc import Permute, SqueezeExcitation

from cultivar_contract.architectures import FAMILIES
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.networks.layer_names import WHOLE, named_layers
from cultivar_trainer.networks.network import Network

_MAX_NAMES = 20
_MAX_SHOWN = 60
_MAX_TEXT = 300
"""Characters of the name that is wrong, and of those that there are: an error has 500 at most."""
_TRANSFORMERS = (FAMILIES["vit"], FAMILIES["swin"])
"""Their only convolution cuts the image into patches."""


class Layout(enum.Enum):
    """Which dimension of a layer's output is that of its channels."""

    MAPS = enum.auto()
    """(N, C, H, W)"""
    CHANNELS_LAST = enum.auto()
    """(N, H, W, C), as inside ConvNeXt's and Swin's blocks."""
    TOKENS = enum.auto()
    """(N, T, C), those of a grid row by row, after a class token or none."""
    UNITS = enum.auto()
    """(N, C)"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """A layer that ran."""

    name: str
    """As DescribeArchitecture names it."""
    module: nn.Module
    channels: int
    """Or units."""
    height: int
    """Of its maps; 1 where it has no places."""
    width: int
    layout: Layout
    calls: int
    """How often it ran in one pass; its last output counts."""
    in_backbone: bool
    global_before: str
    """Kind of the first module up to here that mixes all places of the image; empty where there is none."""
    is_gate: bool = False
    """Whether it only computes how much of each channel passes."""

    @property
    def has_places(self) -> bool:
        """Whether its maps have more than one place."""
        return self.height * self.width > 1

    @property
    def kind(self) -> str:
        """The module's class."""
        return type(self.module).__name__


class Layers:
    """The layers of a network in the order in which they ran last."""

    def __init__(self, network: Network) -> None:
        """Run one image of no content through `network`, which is in evaluation mode."""
        self.network = network
        self.all = _trace(network)

    def find(self, name: str) -> Layer:
        """Return a layer.

        Raises:
            TaskFailed: INVALID_LAYER; the message names those that there are, the likeliest first.
        """
        for layer in self.all:
            if layer.name == name:
                return layer
        raise TaskFailed("INVALID_LAYER", f"{name[:_MAX_SHOWN]!r} is no layer of this network: use {self._names(name)}")

    def default(self) -> Layer:
        """Return the last convolution; of transformers the last layer with a map, of an MLP the last hidden layer."""
        backbone = [one for one in self.all if one.in_backbone and not one.is_gate]
        if self.network.family in _TRANSFORMERS:
            return [one for one in backbone if one.has_places][-1]
        convolutions = [one for one in backbone if isinstance(one.module, nn.Conv2d)]
        linear = [one for one in backbone if isinstance(one.module, nn.Linear)]
        return (convolutions or linear or self.all)[-1]

    def stages(self) -> list[Layer]:
        """Return what a first, a middle and the last stage end with; a stage is a run of layers with maps of one size.

        Networks with one size of maps give their first, middle and last layer with maps; those without maps the last
        layers of their parts.
        """
        layers = [one for one in self.all if one.in_backbone and not one.is_gate]
        placed = [one for one in layers if one.has_places]
        if placed:
            ends = [list(run)[-1] for _, run in groupby(placed, key=lambda one: (one.height, one.width))]
            ends = placed if len(ends) == 1 else ends
        else:
            parts = groupby(layers, key=lambda one: one.name.rpartition(".")[0])
            ends = [list(run)[-1] for _, run in parts]
        ends = ends or self.all
        return [ends[place] for place in sorted({0, len(ends) // 2, len(ends) - 1})]

    def first_weights(self) -> Layer:
        """Return the first convolution, or the first linear layer of a network that has none."""
        for kind in (nn.Conv2d, nn.Linear):
            for layer in self.all:
                if isinstance(layer.module, kind):
                    return layer
        raise AssertionError("every network has weights")

    def _names(self, wanted: str) -> str:
        names = [one.name for one in self.all]
        ordered = difflib.get_close_matches(wanted, names, n=_MAX_NAMES, cutoff=0.0)
        shown: list[str] = []
        for name in ordered:
            if shown and len(", ".join((*shown, name))) > _MAX_TEXT:
                break
            shown.append(name)
        rest = len(names) - len(shown)
        return ", ".join(shown) + (f" or one of {rest} others (`cultivar describe` lists them)" if rest else "")


def check_channel(layer: Layer, channel: int) -> None:
    """Check that a layer has a channel.

    Raises:
        TaskFailed: INVALID_CHANNEL.
    """
    if not 0 <= channel < layer.channels:
        raise TaskFailed(
            "INVALID_CHANNEL", f"{channel}: {layer.name} has channels 0 to {layer.channels - 1}: use those"
        )


def maps_of(network: Network, layers: Sequence[Layer], images: Tensor) -> list[Tensor]:
    """Return the layers' outputs as maps (N, C, H, W); the pass ends with the last of them.

    Args:
        network: in evaluation mode.
        layers: of that network.
        images: (N, C, S, S), 0 to 1.
    """
    found: dict[str, Tensor] = {}
    left = {layer.name: layer.calls for layer in layers}

    def noting(layer: Layer) -> Any:
        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            left[layer.name] -= 1
            if not left[layer.name]:
                # A copy: a ReLU that follows may work in place.
                found[layer.name] = _as_maps(_tensor(output), layer.layout).clone()
                if len(found) == len(left):
                    raise _Enough

        return note

    handles = [layer.module.register_forward_hook(noting(layer)) for layer in layers]
    try:
        network(images)
    except _Enough:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return [found[layer.name] for layer in layers]


class _Enough(Exception):
    """All layers that are asked for have run."""


def _trace(network: Network) -> list[Layer]:
    found: dict[str, Layer] = {}
    gates = [one for one in network.modules() if isinstance(one, SqueezeExcitation)]
    in_gates = {inner for gate in gates for inner in gate.modules()}
    backbone = set(network.backbone.modules())
    channels_last, global_before = False, ""

    def noting(name: str) -> Any:
        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            nonlocal channels_last, global_before
            answer = _tensor(output)
            if isinstance(module, Permute):
                channels_last = list(module.dims) == [0, 2, 3, 1]
            elif isinstance(module, nn.Conv2d | LayerNorm2d):
                channels_last = False
            elif isinstance(module, nn.Linear | nn.LayerNorm):
                channels_last = True
            if isinstance(module, WHOLE) or module in in_gates:
                global_before = global_before or ("SqueezeExcitation" if module in in_gates else type(module).__name__)
            if answer.ndim not in (2, 3, 4) or answer.shape[0] != 1:
                return
            layout = {2: Layout.UNITS, 3: Layout.TOKENS}.get(
                answer.ndim, Layout.CHANNELS_LAST if channels_last else Layout.MAPS
            )
            shape = _as_maps(answer, layout).shape
            before = found.pop(name, None)
            found[name] = Layer(
                name=name,
                module=module,
                channels=shape[1],
                height=shape[2],
                width=shape[3],
                layout=layout,
                calls=before.calls + 1 if before else 1,
                in_backbone=module in backbone,
                global_before=global_before,
                is_gate=module in in_gates,
            )

        return note

    handles = [module.register_forward_hook(noting(name)) for name, module in named_layers(network).items()]
    size = network.input_size
    with torch.no_grad():
        network(torch.zeros(1, network.channels, size, size))
    for handle in handles:
        handle.remove()
    return list(found.values())


def _tensor(output: Any) -> Tensor:
    answer: Tensor = output[0] if isinstance(output, tuple) else output
    return answer


def _as_maps(output: Tensor, layout: Layout) -> Tensor:
    if layout is Layout.UNITS:
        return output[:, :, None, None]
    if layout is Layout.CHANNELS_LAST:
        return output.permute(0, 3, 1, 2)
    if layout is Layout.TOKENS:
        side = math.isqrt(output.shape[1])
        grid = output[:, output.shape[1] - side * side :]  # without the class token
        return grid.permute(0, 2, 1).reshape(len(output), output.shape[2], side, side)
    return output
