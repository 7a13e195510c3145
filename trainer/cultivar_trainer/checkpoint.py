"""Checkpoints: written whole or not at all, the one before kept, damage noticed."""

import hashlib
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from cultivar_contract import files
from cultivar_trainer.journal import Journal
from cultivar_trainer.networks.network import Network

SCHEMA_VERSION = 1
"""Of what a state holds; another is not read."""
INTERVAL_S = 5.0
"""Shortest time between two checkpoints that nobody asked for."""
LARGEST_SHARE = 0.05
"""Share of the time that writing such checkpoints may take."""
_LAST, _PREVIOUS = "last.json", "previous.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    """A file that a checkpoint names."""

    file: str
    sha256: str
    size_bytes: int


@dataclass(slots=True)
class Weights:
    """An epoch's weights; a file of their own, written once, serves every checkpoint that names them."""

    tensors: dict[str, Tensor]
    """Parameters and buffers on the CPU, by name; not changed any more."""
    _entry: _Entry | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint that was read."""

    state: dict[str, Any]
    weights: dict[str, Weights]


class Checkpoints:
    """The checkpoints of one run: `last.json` and `previous.json` name files, by digest, that are never overwritten.

    Frozen tensors are left out of them: the weights file still has those.
    """

    def __init__(self, folder: Path, *, interval_s: float = INTERVAL_S, largest_share: float = LARGEST_SHARE) -> None:
        """Use a folder that no other process writes to.

        Args:
            folder: is made where it is missing.
            interval_s: shortest time between two checkpoints that nobody asked for.
            largest_share: of the time that writing those may take; their interval grows with what one costs.
        """
        self._folder = folder
        self._interval_s = interval_s
        self._largest_share = largest_share
        self._written_at = time.monotonic()
        self._cost_s = 0.0
        self._named: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".*"):  # begun by an attempt that was killed
            leftover.unlink()
        self._count = max((int(one.stem) for one in folder.glob("*.pt") if one.stem.isdigit()), default=0)

    def due(self) -> bool:
        """Tell whether it is time for the next one: a clock may decide, since going on from any gives the same bits."""
        return time.monotonic() - self._written_at >= max(self._interval_s, self._cost_s / self._largest_share)

    def save(self, state: Mapping[str, Any], weights: Mapping[str, Weights]) -> int:
        """Write the newest checkpoint; the one before stays, older ones go. Return its size in bytes.

        Args:
            state: numbers, strings, tensors, lists and dictionaries of those.
            weights: go with it, by role; each is written when it is named for the first time.

        Raises:
            OSError: it can't be written, as on a full disk; the ones before stay.
        """
        started = time.monotonic()
        for one in weights.values():
            if one._entry is None:
                one._entry = self._write(one.tensors)
        named = {role: one._entry for role, one in weights.items() if one._entry is not None}
        newest = self._write({"schema_version": SCHEMA_VERSION, **state})
        last = self._folder / _LAST
        if last.exists():
            last.replace(self._folder / _PREVIOUS)
        files.write_json(last, {"state": asdict(newest), "weights": {role: asdict(one) for role, one in named.items()}})
        before, self._named = self._named, {newest.file, *(one.file for one in named.values())}
        for path in self._folder.glob("*.pt"):
            if path.name not in before | self._named:
                path.unlink()
        self._written_at = time.monotonic()
        self._cost_s = self._written_at - started
        return newest.size_bytes + sum(one.size_bytes for one in named.values())

    def load(self, journal: Journal) -> Saved | None:
        """Read the newest checkpoint, or the one before where that is damaged; None where none can be read.

        Args:
            journal: is warned of damage.
        """
        for name in (_LAST, _PREVIOUS):
            path = self._folder / name
            if not path.exists():
                continue
            try:
                return self._read(path)
            except (OSError, ValueError, KeyError, TypeError) as error:
                path.unlink()  # else it would push out the other, which is whole
                journal.warning(f"checkpoint {name} can't be used ({error}): training goes on from before it")
        return None

    def _read(self, path: Path) -> Saved:
        body = files.read_json(path)
        entries = {role: _Entry(**one) for role, one in body["weights"].items()}
        newest = _Entry(**body["state"])
        state = self._tensors(newest)
        if state.get("schema_version") != SCHEMA_VERSION:
            raise ValueError(f"its schema version is {state.get('schema_version')}, not {SCHEMA_VERSION}")
        weights = {role: Weights(self._tensors(one), one) for role, one in entries.items()}
        self._named = {newest.file, *(one.file for one in entries.values())}
        return Saved(state=state, weights=weights)

    def _tensors(self, entry: _Entry) -> dict[str, Any]:
        path = self._folder / entry.file
        # torch.load believes what it reads: it does not compare the checksums in its files.
        if files.sha256_file(path) != entry.sha256:
            raise ValueError(f"the sha256 of {entry.file} is another than when it was written")
        return dict(torch.load(path, map_location="cpu", weights_only=True))  # runs no code in it

    def _write(self, value: Mapping[str, Any]) -> _Entry:
        self._count += 1
        name = f"{self._count:06d}.pt"
        with files.writing(self._folder / name) as file:
            hashed = _HashedFile(file)
            torch.save(dict(value), hashed)  # type: ignore[arg-type]
            return _Entry(file=name, sha256=hashed.sha256.hexdigest(), size_bytes=file.tell())


class _HashedFile:
    """Hashes what goes through it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def movable_names(network: Network) -> frozenset[str]:
    """Return the names of parameters and buffers that training moves, as in the network's state dictionary."""
    frozen = {id(tensor) for module in network.frozen for tensor in module.state_dict(keep_vars=True).values()}
    return frozenset(name for name, tensor in network.state_dict(keep_vars=True).items() if id(tensor) not in frozen)


def tensors_of(network: nn.Module, names: Collection[str]) -> dict[str, Tensor]:
    """Return parameters and buffers themselves, by name."""
    return {name: tensor for name, tensor in network.state_dict().items() if name in names}


def copy_tensors(network: nn.Module, names: Collection[str]) -> dict[str, Tensor]:
    """Return copies of parameters and buffers, by name, on the CPU."""
    return {name: tensor.to("cpu", copy=True) for name, tensor in tensors_of(network, names).items()}


def restore_tensors(network: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Put copies that `copy_tensors` made back."""
    current = network.state_dict(keep_vars=True)
    with torch.no_grad():
        for name, tensor in tensors.items():
            current[name].copy_(tensor)


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the sha256 over named tensors, in hexadecimal."""
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name}\n".encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
