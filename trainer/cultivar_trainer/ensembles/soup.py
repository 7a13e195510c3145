"""Models whose weights are averaged: taken up one by one as long as validation is none the worse."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer import evaluation, export
from cultivar_trainer.datasets.stores import PixelStore
from cultivar_trainer.ensembles.members import FIGURES, Member, value
from cultivar_trainer.journal import Journal
from cultivar_trainer.loop.history import is_better
from cultivar_trainer.networks.network import Network
from cultivar_trainer.randomness import Stream, permutation

STATISTICS_IMAGES = 2048
"""Training images that BatchNorm's statistics are measured on, at most."""
_STATISTICS_BATCH = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Soup:
    """What became of the members."""

    network: Network
    """With the averaged weights, on the device."""
    kept: tuple[int, ...]
    """Positions of the members that are part of it, the best first."""


def greedy_soup(
    members: Sequence[Member],
    metric: pb.SelectionMetric,
    validation: PixelStore,
    labels: NDArray[np.int64],
    training: Callable[[], PixelStore],
    device: torch.device,
    journal: Journal,
) -> Soup:
    """Average weights as recipe 1 of Wortsman et al. 2022 does.

    The members come in the order of their validation figure, the best first, and each stays where the average with it
    is not worse than without it. Means are made in float64; counters are the best member's. BatchNorm's statistics
    belong to the weights that they were measured with (Jordan et al. 2023): where members' differ, those of an average
    are measured on training images.

    Args:
        members: of one network, with a shared start.
        metric: what validation is judged by.
        validation: pixels of the validation images.
        labels: of these, (N,).
        training: gives pixels of the training images, where they are needed.
        device: computes.
        journal: gets progress.
    """
    order = sorted(
        range(len(members)),
        key=lambda one: value(members[one].validation, metric) * (1 if metric == pb.SELECTION_METRIC_LOSS else -1),
    )
    network = members[order[0]].network().to(device)
    first = members[order[0]].tensors()
    layers = _measured_layers(network, first, [members[one].tensors() for one in order[1:]])
    seed = members[order[0]].recipe.seed
    sums = {name: tensor.double() for name, tensor in first.items() if tensor.is_floating_point()}
    kept, best = [order[0]], _score(network, validation, labels, device, metric)
    for number, position in enumerate(order[1:], 2):
        others = members[position].tensors()
        tried = {name: total + others[name].double() for name, total in sums.items()}
        _load(network, first, tried, len(kept) + 1)
        if layers:
            measure_statistics(network, layers, training(), seed, device)
        score = _score(network, validation, labels, device, metric)
        if not is_better(best, score, metric):
            sums, best = tried, score
            kept.append(position)
        journal.progress(f"averaging weights, {FIGURES[metric]} {best:.4f}", number, len(members), "members")
    _load(network, first, sums, len(kept))
    if layers and len(kept) > 1:
        measure_statistics(network, layers, training(), seed, device)
    return Soup(network=network, kept=tuple(kept))


@torch.no_grad()
def measure_statistics(
    network: Network, layers: Sequence[_BatchNorm], training: PixelStore, seed: int, device: torch.device
) -> None:
    """Set BatchNorm layers' statistics to the means over batches of training images, without augmentation.

    Batches are drawn: those of one class alone would miss the variance between classes.
    """
    momenta = [layer.momentum for layer in layers]
    network.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean of all batches
        layer.training = True
    drawn = permutation(seed, 0, len(training.images), Stream.NORMALISATION)[:STATISTICS_IMAGES].numpy()
    for start in range(0, len(drawn), _STATISTICS_BATCH):
        batch = drawn[start : start + _STATISTICS_BATCH]
        if len(batch) < 2 and start:
            continue  # one image of one pixel has no variance
        images = torch.from_numpy(np.ascontiguousarray(training.images[batch])).to(device)
        network(images.permute(0, 3, 1, 2).to(torch.float32) / 255)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    network.eval()


def _measured_layers(
    network: Network, first: dict[str, Tensor], others: Sequence[dict[str, Tensor]]
) -> list[_BatchNorm]:
    """Return the layers whose statistics differ between members; those that stayed frozen keep theirs."""
    names = {id(tensor): name for name, tensor in network.named_tensors()}
    layers = [one for one in network.modules() if isinstance(one, _BatchNorm) and one.running_mean is not None]
    own = {name: layer for layer in layers if (name := names.get(id(layer.running_mean))) is not None}
    return [layer for name, layer in own.items() if any(not torch.equal(first[name], other[name]) for other in others)]


def _load(network: Network, first: dict[str, Tensor], sums: dict[str, Tensor], count: int) -> None:
    means = {name: (sums[name] / count).to(tensor.dtype) for name, tensor in first.items() if name in sums}
    network.load_tensors({**first, **means})


def _score(
    network: Network,
    validation: PixelStore,
    labels: NDArray[np.int64],
    device: torch.device,
    metric: pb.SelectionMetric,
) -> float:
    probabilities = export.torch_probabilities(network, validation.images, device)
    return float(getattr(evaluation.measure_probabilities(probabilities, labels), FIGURES[metric]))
