"""End-of-epoch checkpoints: written whole or not at all, the previous one kept."""

import io
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cultivar_contract import files
from cultivar_trainer.networks.network import Network

_LAST, _PREVIOUS, _BEST, _SELECTED = "last.pt", "previous.pt", "best.pt", "selected.pt"


class Checkpoints:
    """The checkpoints of one run. Frozen tensors are left out: the weights file still has them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, state: dict[str, Any]) -> None:
        """Write the newest state; the one before stays as `previous.pt`."""
        last = self._folder / _LAST
        if last.exists():
            last.replace(self._folder / _PREVIOUS)
        _write(last, state)

    def load(self) -> dict[str, Any]:
        """Read the newest state."""
        return _read(self._folder / _LAST)

    def save_best(self, state: dict[str, Any]) -> None:
        """Write the state of a candidate's best epoch so far."""
        _write(self._folder / _BEST, state)

    def load_best(self) -> dict[str, Any]:
        """Read the state of the candidate's best epoch."""
        return _read(self._folder / _BEST)

    def select_best(self) -> None:
        """Make the candidate's best epoch the one that is exported, unless another candidate replaces it."""
        (self._folder / _BEST).replace(self._folder / _SELECTED)

    def load_selected(self) -> dict[str, Any]:
        """Read the state that is exported."""
        return _read(self._folder / _SELECTED)


def movable_names(network: Network) -> frozenset[str]:
    """Return the names of parameters and buffers that training moves, as in the network's state dictionary."""
    frozen = {id(tensor) for module in network.frozen for tensor in module.state_dict(keep_vars=True).values()}
    return frozenset(name for name, tensor in network.state_dict(keep_vars=True).items() if id(tensor) not in frozen)


def copy_tensors(network: nn.Module, names: Collection[str]) -> dict[str, Tensor]:
    """Return copies of parameters and buffers, by name, on the CPU."""
    return {
        name: tensor.detach().to("cpu", copy=True) for name, tensor in network.state_dict().items() if name in names
    }


def restore_tensors(network: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Put copies that `copy_tensors` made back."""
    current = network.state_dict(keep_vars=True)
    with torch.no_grad():
        for name, tensor in tensors.items():
            current[name].copy_(tensor)


def _read(path: Path) -> dict[str, Any]:
    """Read a state; no code in it is run."""
    return dict(torch.load(path, map_location="cpu", weights_only=True))


def _write(path: Path, state: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    files.write_bytes(path, buffer.getvalue())
