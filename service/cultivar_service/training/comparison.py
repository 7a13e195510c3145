"""Compares two packages that should be the same, times aside."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cultivar.v1 import event_pb2
from cultivar_contract import files
from cultivar_contract.package import DamagedPackage, Package

_TIMES = frozenset({"train_seconds", "val_seconds", "images_per_second"})
"""Figures of an epoch that no second run repeats."""
_MOST_TENSORS = 20
"""Tensors that are named one by one where weights differ."""
_ABSENT = "absent"

Pair = tuple[str, str, str]
"""What, then, now."""


def compare(then: Package, now: Package) -> event_pb2.Reproduction:
    """Compare data, ONNX file, weights, history and metrics of two packages, and tell what differs around them.

    Blocks: every tensor is read.

    Raises:
        DamagedPackage: one of them can't be read.
    """
    try:
        pairs = [*_identities(then, now), *_weights(then, now), *_metrics(then, now)]
        environment = [f"{what}: {before} then, {after} now" for what, before, after in _environment(then, now)]
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise DamagedPackage(f"packages can't be compared ({type(error).__name__}: {error})") from error
    comparisons = [
        event_pb2.Reproduction.Comparison(what=what, expected=before, found=after, same=before == after)
        for what, before, after in pairs
    ]
    return event_pb2.Reproduction(
        identical=all(one.same for one in comparisons), comparisons=comparisons, environment=environment
    )


def _identities(then: Package, now: Package) -> Iterator[Pair]:
    yield "data set", str(then.manifest["dataset"]["digest"]), str(now.manifest["dataset"]["digest"])
    for split in _keys(then.manifest["dataset"]["splits"], now.manifest["dataset"]["splits"]):
        digests = [one.manifest["dataset"]["splits"].get(split, {}).get("digest", _ABSENT) for one in (then, now)]
        yield f"{split} images", *digests
    if then.manifest.get("weights") or now.manifest.get("weights"):
        yield "initial weights", *((one.manifest.get("weights") or {}).get("sha256", _ABSENT) for one in (then, now))
    yield "model.onnx", files.sha256_file(then.onnx), files.sha256_file(now.onnx)
    yield "history", _history_digest(then.path), _history_digest(now.path)
    yield "best epoch", str(then.manifest["best_epoch"]), str(now.manifest["best_epoch"])


def _weights(then: Package, now: Package) -> Iterator[Pair]:
    before, after = _tensor_digests(then.path), _tensor_digests(now.path)
    yield "weights", _digest(before), _digest(after)
    different = [name for name in _keys(before, after) if before.get(name) != after.get(name)]
    for name in different[:_MOST_TENSORS]:
        yield f"weights/{name}", before.get(name, _ABSENT), after.get(name, _ABSENT)


def _metrics(then: Package, now: Package) -> Iterator[Pair]:
    before, after = (one.manifest["variants"][0]["metrics"] for one in (then, now))
    for split in _keys(before, after):
        for figure in _keys(before.get(split, {}), after.get(split, {})):
            yield f"{split}.{figure}", _text(before.get(split, {}), figure), _text(after.get(split, {}), figure)


def _environment(then: Package, now: Package) -> Iterator[Pair]:
    for part in ("code", "libraries", "host", "plan"):
        before, after = then.manifest.get(part, {}), now.manifest.get(part, {})
        for name in _keys(before, after):
            if before.get(name) != after.get(name):
                yield name if part == "libraries" else f"{part} {name}", _text(before, name), _text(after, name)


def _text(values: Mapping[str, Any], name: str) -> str:
    """Return a value such that equal texts are equal values."""
    return str(values.get(name, _ABSENT))


def _history_digest(folder: Path) -> str:
    return _digest(_without_times(files.read_json(folder / "history.json")))


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_times(one) for name, one in value.items() if name not in _TIMES}
    return [_without_times(one) for one in value] if isinstance(value, list) else value


def _tensor_digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of each tensor's type, shape and values, by its name; one is in memory at a time."""
    digests = {}
    with np.load(folder / "weights.npz", allow_pickle=False) as tensors:
        for name in tensors.files:
            tensor = np.ascontiguousarray(tensors[name])
            digest = hashlib.sha256(f"{tensor.dtype.str} {tensor.shape}\n".encode())
            digest.update(tensor.data if tensor.size else b"")
            digests[name] = digest.hexdigest()
    return digests


def _keys(*values: Mapping[str, Any]) -> list[str]:
    return sorted(set().union(*values))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
