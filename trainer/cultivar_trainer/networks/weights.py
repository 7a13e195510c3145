"""Pretrained weights: found by torchvision enum member or file name, checked, and loaded without surprises."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
from torch import Tensor

from cultivar.v1 import event_pb2
from cultivar_contract import files
from cultivar_contract.names import is_file_name
from cultivar_trainer.datasets.download import download
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal
from cultivar_trainer.networks.network import Network

_DENSENET_0_2 = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.\w+)$")
"""torchvision's DenseNet files still name `norm.1` what its code calls `norm1`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsFile:
    """A file of weights that is there."""

    source: str
    """What the recipe says: enum member or file name."""
    path: Path
    sha256: str


def find(architecture: str, weights: str, folder: Path, downloads: Path, journal: Journal) -> WeightsFile:
    """Return the file of an enum member, downloaded if need be, or of a bare file name in `folder`.

    Raises:
        TaskFailed: UNKNOWN_WEIGHTS, DOWNLOAD_FAILED or DOWNLOAD_CORRUPT.
    """
    members = torchvision.models.get_model_weights(architecture).__members__ if _has_enum(architecture) else {}
    if weights in members:
        url = members[weights].url
        name = url.rpartition("/")[2]
        digest = name.rpartition("-")[2].removesuffix(".pth")  # torchvision's names carry the sha256's first digits
        if (folder / name).exists() and not files.sha256_file(folder / name).startswith(digest):
            raise TaskFailed(
                "DOWNLOAD_CORRUPT",
                f"{name} in the weights folder does not match its sha256 {digest}: remove or replace it",
            )
        target = folder if os.access(folder, os.W_OK) or (folder / name).exists() else downloads
        path = download(url, target / name, algorithm="sha256", digest=digest, journal=journal)
    elif is_file_name(weights) and (folder / weights).is_file():
        path = folder / weights
    else:
        raise TaskFailed("UNKNOWN_WEIGHTS", f"{weights!r} is neither an enum member nor a file in the weights folder")
    return WeightsFile(source=weights, path=path, sha256=files.sha256_file(path))


def of_package(name: str, folder: Path) -> WeightsFile:
    """Return the weights of a model version.

    Args:
        name: `models/flowers/versions/3`.
        folder: its package.

    Raises:
        TaskFailed: UNKNOWN_WEIGHTS.
    """
    path = folder / "weights.npz"
    if not path.is_file():
        raise TaskFailed("UNKNOWN_WEIGHTS", f"{name} is gone: name another version, or weights of another source")
    return WeightsFile(source=name, path=path, sha256=files.sha256_file(path))


def load(network: Network, file: WeightsFile, *, keep_head: bool = False) -> tuple[event_pb2.WeightsLoaded, bool]:
    """Copy a file's tensors into `network`: those of its backbone, and of its head where that is to be kept.

    Tensors of auxiliary heads are taken where they fit, and those of blocks that were cut off are passed over.

    Args:
        network: a network whose head has any number of classes.
        file: a state dictionary by torchvision's names, or a package's weights.npz.
        keep_head: whether the head is taken too, if all of it fits.

    Returns:
        What was loaded, and whether the head was.

    Raises:
        TaskFailed: WEIGHTS_UNREADABLE, or WEIGHTS_DO_NOT_FIT where a tensor of the backbone is missing or of another
            shape.
    """
    given = {current_name(name): tensor for name, tensor in read(file.path).items()}
    tensors = dict(network.named_tensors())
    fitting = {name for name, tensor in tensors.items() if name in given and given[name].shape == tensor.shape}
    keep_head = keep_head and fitting.issuperset(name for name in tensors if network.in_head(name))
    # A smaller sister's tensors are all in a larger one's file: half of its blocks must not be thrown away in silence.
    expected = (network.in_head, network.in_auxiliary_head, network.in_cut)
    wrong = [
        f"{name} is unknown to this network"
        for name in given
        if name not in tensors and not any(is_in(name) for is_in in expected)
    ]
    wrong += [
        f"{name} has values that are no finite numbers" for name, tensor in given.items() if not _is_finite(tensor)
    ]
    report = event_pb2.WeightsLoaded(source=file.source, sha256=file.sha256)
    for name, tensor in tensors.items():
        fits = name in fitting
        if (network.in_head(name) and not keep_head) or (network.in_auxiliary_head(name) and not fits):
            if name in given:
                report.tensors_replaced.append(name)
        elif name not in given:
            # Files older than torch 0.4 lack this counter, which only cumulative averages read.
            report.tensors_missing.append(name)
            if not name.endswith("num_batches_tracked"):
                wrong.append(f"{name} is missing")
        elif not fits:
            wrong.append(f"{name} has shape {tuple(given[name].shape)}, not {tuple(tensor.shape)}")
        else:
            with torch.no_grad():
                tensor.copy_(given[name])
            report.tensors_loaded += 1
    if wrong:
        raise TaskFailed(
            "WEIGHTS_DO_NOT_FIT",
            f"{file.source} holds weights of another network: {'; '.join(wrong[:3])}"
            f"{f' and {len(wrong) - 3} more' if len(wrong) > 3 else ''}: choose the file that fits the architecture",
        )
    return report, keep_head


def current_name(name: str) -> str:
    """Return what torchvision's code calls a tensor of its files."""
    return _DENSENET_0_2.sub(r"\1\2", name)


def read(path: Path) -> dict[str, Tensor]:
    """Return a file's tensors by name; no code in it is run.

    Raises:
        TaskFailed: WEIGHTS_UNREADABLE.
    """
    try:
        if path.suffix == ".npz":
            import numpy as np

            with np.load(path, allow_pickle=False) as arrays:
                return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever a damaged or hostile file leads it to
        raise TaskFailed(
            "WEIGHTS_UNREADABLE", f"{path.name} is no file of tensors ({type(error).__name__}): save a state dictionary"
        ) from error
    for wrapper in ("state_dict", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
            loaded = loaded[wrapper]
    if not isinstance(loaded, dict) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise TaskFailed("WEIGHTS_UNREADABLE", f"{path.name} is no dictionary of tensors: save a state dictionary")
    # DataParallel puts its own name before all others.
    prefix = "module." if loaded and all(name.startswith("module.") for name in loaded) else ""
    return {name.removeprefix(prefix): tensor for name, tensor in loaded.items()}


def _is_finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def _has_enum(architecture: str) -> bool:
    return architecture in torchvision.models.list_models(module=torchvision.models)
