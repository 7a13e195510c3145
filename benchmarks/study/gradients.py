"""How long the gradient of each layer's weights is, before and after training, measured with torch itself."""

from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import preprocessing
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_trainer.networks import builders
from cultivar_trainer.networks.network import Network

_PER_CLASS = 10


def norms(recipe: pb.TrainingSpec, images: Path, weights: Path) -> dict[str, list[float]]:
    """Return Euclidean norms of the gradients of each weight layer, from the input to the head.

    The gradient is that of the mean cross-entropy on ten images of each class, the network in training mode as it is
    when it learns, so that BatchNorm takes the batch's own statistics.

    Args:
        recipe: resolved, of a training from scratch.
        images: folder with a folder of images for each class.
        weights: the package's weights.npz.

    Returns:
        The norms `before` training and `after` it, one for each layer.
    """
    prepared = ARCHITECTURES[recipe.architecture].preprocessing(recipe)
    folders = sorted(path for path in images.iterdir() if path.is_dir())
    files = list(chain.from_iterable(sorted(folder.iterdir())[:_PER_CLASS] for folder in folders))
    pixels = np.stack([preprocessing.load(path.read_bytes(), prepared) for path in files])  # (N, S, S, C)
    inputs = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    labels = torch.tensor([folders.index(path.parent) for path in files])
    network = builders.build(recipe, len(folders), mean=prepared.mean, std=prepared.std, weights=None).network
    before = _norms(network, inputs, labels)
    with np.load(weights) as arrays:
        network.load_tensors({name: torch.from_numpy(arrays[name]) for name in arrays.files})
    after = _norms(network, inputs, labels)
    return {"before": list(before.values()), "after": list(after.values())}


def _norms(network: Network, inputs: Tensor, labels: Tensor) -> dict[str, float]:
    network.train()
    network.zero_grad()
    loss: Tensor = nn.functional.cross_entropy(network(inputs), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    return {
        name: float(f"{module.weight.grad.norm().item():.6g}")
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d) and module.weight.grad is not None
    }
