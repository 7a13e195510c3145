"""What a job has made, as texts that two runs must share letter by letter: times and attempts left out."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import json_format

from cultivar.v1 import event_pb2
from cultivar_contract.files import sha256_file

Result = dict[str, str]
"""What was made, by name."""

TOLD_ONCE = ("epoch_finished", "candidate_finished", "early_stopped", "export_verified", "split_evaluated")
"""Events that a job's log has once each, however often it was interrupted."""
_MEASURED_ANEW = frozenset(
    ("train_seconds", "val_seconds", "images_per_second", "eta_seconds", "host_memory_bytes", "gpu_memory_bytes")
)
"""Figures of an epoch that say how fast the host was."""


def result(package: Path, events: Sequence[event_pb2.JobEvent]) -> Result:
    """Return what a model package and its job's events say.

    Raises:
        OSError, ValueError, KeyError: the package lacks something.
    """
    manifest = json.loads((package / "manifest.json").read_bytes())
    figures = {
        "metrics": manifest["variants"][0]["metrics"],
        "best epoch": manifest["best_epoch"],
        "selected": manifest["selected"],
        "data set": manifest["dataset"]["digest"],
        "golden images": manifest["golden"],
        "frozen tensors": manifest["freeze_digest"],
    }
    return {
        "model.onnx": sha256_file(package / "model.onnx"),
        "weights.npz": _arrays_digest(package / "weights.npz"),
        "predictions.npz": _arrays_digest(package / "predictions.npz"),
        "history.json": _json(_without_times(json.loads((package / "history.json").read_bytes()))),
        **{name: _json(value) for name, value in figures.items()},
        **{kind: _told(events, kind) for kind in TOLD_ONCE},
    }


def differences(expected: Result, found: Result) -> list[str]:
    """Return what differs, each with the beginning of both texts."""
    return [
        f"{name}: {_around(expected[name], found[name])}" for name in expected if expected[name] != found.get(name, "")
    ]


def _arrays_digest(path: Path) -> str:
    """Return the sha256 of all arrays, so that the archive's own times don't count."""
    digest = hashlib.sha256()
    with np.load(path) as arrays:
        for name in sorted(arrays):
            array = np.ascontiguousarray(arrays[name])
            digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()


def _told(events: Sequence[event_pb2.JobEvent], kind: str) -> str:
    told = [getattr(event, kind) for event in events if event.HasField(kind)]
    return _json([_without_times(json_format.MessageToDict(one, preserving_proto_field_name=True)) for one in told])


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_times(one) for name, one in value.items() if name not in _MEASURED_ANEW}
    if isinstance(value, list):
        return [_without_times(one) for one in value]
    return value


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _around(expected: str, found: str) -> str:
    """Return both texts from shortly before they part."""
    same = next((at for at, pair in enumerate(zip(expected, found, strict=False)) if pair[0] != pair[1]), 0)
    start = max(0, same - 60)
    return f"...{expected[start : start + 160]} became ...{found[start : start + 160]}"
