"""End-of-epoch checkpoints: written whole or not at all, the previous one kept."""

import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cultivar_contract import files
from cultivar_trainer.networks.network import Network

_LAST, _PREVIOUS, _BEST = "last.pt", "previous.pt", "best.pt"


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

    def save_best(self, state: dict[str, Any]) -> None:
        """Write the state of the best epoch so far."""
        _write(self._folder / _BEST, state)

    def load_best(self) -> dict[str, Any]:
        """Read the state of the best epoch; no code in it is run."""
        return dict(torch.load(self._folder / _BEST, map_location="cpu", weights_only=True))


def moving_tensors(network: Network) -> dict[str, Tensor]:
    """Return copies of the parameters and buffers that training moves, by name."""
    frozen = {id(tensor) for module in network.frozen for tensor in module.state_dict(keep_vars=True).values()}
    return {
        name: tensor.detach().cpu().clone()
        for name, tensor in network.state_dict(keep_vars=True).items()
        if id(tensor) not in frozen
    }


def restore_tensors(network: Network, tensors: dict[str, Tensor]) -> None:
    """Put copies that `moving_tensors` made back."""
    current = network.state_dict(keep_vars=True)
    with torch.no_grad():
        for name, tensor in tensors.items():
            current[name].copy_(tensor)


def _write(path: Path, state: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    files.write_bytes(path, buffer.getvalue())
