"""Which validation images excite a channel most, and which channels separate two classes."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cultivar_trainer.inspection.layers import Layer, Layers, maps_of
from cultivar_trainer.inspection.subject import ValidationImages
from cultivar_trainer.journal import Journal
from cultivar_trainer.networks.network import Network

_ACTIVATION_BYTES = 256 << 20
"""Memory for the activations of a batch."""
_LARGEST_BATCH = 64
_HELD_OUTPUTS = 3
"""Outputs as large as the largest that are in memory at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Excitation:
    """Where a channel is most active in an image."""

    position: int
    """Of the image among the validation images."""
    value: float
    """The channel's largest activation there."""
    row: int
    """Of the map's place that has it."""
    column: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Separation:
    """How well a channel tells two classes apart."""

    channel: int
    area: float
    """Under the ROC curve: the share of pairs of an image of the first and one of the second class in which the first
    has the higher activation; ties count half. 0.5 tells nothing, 0 and 1 all."""
    first: NDArray[np.float32]
    """Mean activations in the images of the first class."""
    second: NDArray[np.float32]


def batch_size(layers: Layers) -> int:
    """Return how many images a pass takes, by the memory of the network's largest output."""
    largest = max(4 * one.channels * one.height * one.width for one in layers.all)
    return max(1, min(_LARGEST_BATCH, _ACTIVATION_BYTES // (_HELD_OUTPUTS * largest)))


def exciting(
    layers: Layers, layer: Layer, channel: int, images: ValidationImages, count: int, journal: Journal
) -> tuple[list[Excitation], int]:
    """Return the images that excite a channel most, the strongest first, and how many were looked at.

    Of equal ones the first comes first.
    """
    positions = images.positions()
    found: list[Excitation] = []
    for maps in _maps(layers, layer, images.batches(positions, batch_size(layers), journal)):
        flat = maps[:, channel].flatten(1)
        values, places = flat.max(dim=1)
        for value, place in zip(values.tolist(), places.tolist(), strict=True):
            row, column = divmod(place, maps.shape[3])
            position = positions[len(found)]
            found.append(Excitation(position=position, value=value, row=row, column=column))
    ranked = sorted(found, key=lambda one: (-one.value, one.position))
    return ranked[:count], len(found)


def separating(
    layers: Layers,
    layer: Layer,
    images: ValidationImages,
    first: list[int],
    second: list[int],
    journal: Journal,
) -> list[Separation]:
    """Return all channels of a layer, those first whose mean activations separate the images of two classes best.

    Args:
        layers: of the network.
        layer: whose channels are ranked.
        images: that positions count in.
        first: positions of the first class's images.
        second: positions of the second class's images.
        journal: is told how far this is.
    """
    batches = images.batches([*first, *second], batch_size(layers), journal)
    means = torch.cat([maps.mean(dim=(2, 3)) for maps in _maps(layers, layer, batches)]).numpy()  # (N, C)
    ones, others = means[: len(first)], means[len(first) :]
    areas = areas_under_roc(ones, others)
    order = np.lexsort((np.arange(len(areas)), -np.abs(areas - 0.5)))
    return [
        Separation(channel=int(channel), area=float(areas[channel]), first=ones[:, channel], second=others[:, channel])
        for channel in order
    ]


def areas_under_roc(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the area under the ROC curve of each column, from ranks (Hanley & McNeil 1982): U / (n m).

    Args:
        first: (N, C)
        second: (M, C)
    """
    # Half the pairs that are counted with ties, half those without: searching takes N log M, all pairs N M.
    areas = np.empty(first.shape[1], np.float64)
    for column in range(first.shape[1]):
        ordered = np.sort(second[:, column])
        below = np.searchsorted(ordered, first[:, column], side="left").sum()
        up_to = np.searchsorted(ordered, first[:, column], side="right").sum()
        areas[column] = (int(below) + int(up_to)) / (2 * len(first) * len(second))
    return areas


@torch.no_grad()
def activations(network: Network, layers: list[Layer], images: Tensor) -> list[Tensor]:
    """Return the layers' maps (N, C, H, W) of some images, finite whatever the network computes."""
    return [torch.nan_to_num(maps) for maps in maps_of(network, layers, images)]


def _maps(layers: Layers, layer: Layer, batches: Iterable[Tensor]) -> Iterable[Tensor]:
    for batch in batches:
        yield activations(layers.network, [layer], batch)[0]
