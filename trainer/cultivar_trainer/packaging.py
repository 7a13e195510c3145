"""From a trained network to a model package: export, proof, figures, golden images."""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from google.protobuf import json_format
from numpy.typing import NDArray

from cultivar.v1 import event_pb2, state_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import files, package, preprocessing
from cultivar_contract.package import Package
from cultivar_contract.preprocessing import Preprocessing
from cultivar_contract.run_directory import RunDirectory
from cultivar_trainer import evaluation, export, provenance
from cultivar_trainer.datasets import version
from cultivar_trainer.datasets.selection import Selection
from cultivar_trainer.datasets.stores import PixelStore
from cultivar_trainer.datasets.version import DatasetVersion, Sample
from cultivar_trainer.evaluation import Metrics
from cultivar_trainer.execution import Plan
from cultivar_trainer.journal import Journal
from cultivar_trainer.loop.history import Histories
from cultivar_trainer.loop.job import PlanRecord
from cultivar_trainer.networks.network import Network
from cultivar_trainer.reports import curves, history

GOLDEN_IMAGES = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class PackageInputs:
    """All that a package is made of."""

    job: str
    recipe: pb.TrainingSpec
    plan: Plan
    """The last that held."""
    plans: Sequence[PlanRecord]
    """All that held."""
    network: Network
    """With the selected epoch's weights."""
    weights: event_pb2.WeightsLoaded | None
    source: Package | None
    """The model version that the weights come from."""
    freeze_digest: str
    dataset: DatasetVersion
    selection: Selection
    preprocessing: Preprocessing
    stores: dict[str, PixelStore]
    """Training and validation pixels; test pixels are never stored."""
    histories: Histories
    stopped_after_epochs: int
    """Whole epochs of all candidates together, where training was ended before its end; 0: it was not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Evaluated:
    """A split through the exported graph."""

    samples: Sequence[Sample]
    probabilities: NDArray[np.float32]
    metrics: Metrics


def write_package(run: RunDirectory, inputs: PackageInputs, journal: Journal) -> dict[str, Any]:
    """Export, prove, evaluate and write the package; return a summary.

    Raises:
        TaskFailed: EXPORT_DIFFERS.
    """
    folder = run.package
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    journal.phase(state_pb2.TRAINING_PHASE_EXPORTING)
    model, parity, validation = _export(inputs, journal)
    (folder / "model.onnx").write_bytes(model)
    journal.phase(state_pb2.TRAINING_PHASE_EVALUATING)
    evaluated = _evaluate(inputs, model, validation, journal)
    _write_weights(folder / "weights.npz", inputs.network)
    _write_predictions(folder / "predictions.npz", evaluated)
    golden = _write_golden(folder / "golden", inputs, evaluated["val"])
    for name in (history.FILE, *curves.FILES):
        shutil.copyfile(run.path / name, folder / name)
    metrics = {split: _metrics_json(one.metrics) for split, one in evaluated.items()}
    package.finish(folder, _manifest(inputs, model, parity, metrics, golden))
    files.sync_tree(folder)
    return {"metrics": metrics, "onnx_sha256": hashlib.sha256(model).hexdigest()}


def _export(inputs: PackageInputs, journal: Journal) -> tuple[bytes, export.Parity, NDArray[np.float32]]:
    device = torch.device(inputs.plan.device)
    images = inputs.stores["val"].images
    reference = export.torch_probabilities(inputs.network, images, device)
    model = export.export_onnx(inputs.network)
    validation = export.onnx_probabilities(export.session(model, inputs.plan.threads), images)
    parity = export.compare(validation, reference)
    journal.export_verified(
        event_pb2.ExportVerified(
            file_bytes=len(model),
            sha256=hashlib.sha256(model).hexdigest(),
            image_count=parity.image_count,
            max_probability_difference=parity.max_probability_difference,
            top1_differences=parity.top1_differences,
        )
    )
    export.check_parity(parity)
    return model, parity, validation


def _evaluate(
    inputs: PackageInputs, model: bytes, validation: NDArray[np.float32], journal: Journal
) -> dict[str, _Evaluated]:
    probabilities = {"val": validation}
    if "test" in inputs.selection.splits:
        probabilities["test"] = _classify_test(inputs, model, journal)
    evaluated = {}
    for split, values in probabilities.items():
        samples = inputs.selection.splits[split]
        metrics = evaluation.measure_probabilities(values, np.array([one.label for one in samples], np.int64))
        evaluated[split] = _Evaluated(samples=samples, probabilities=values, metrics=metrics)
        journal.split_evaluated(
            event_pb2.SplitMetrics(
                split=split,
                image_count=metrics.image_count,
                loss=metrics.loss,
                accuracy=metrics.accuracy,
                top5_accuracy=metrics.top5_accuracy,
                macro_f1=metrics.macro_f1,
            )
        )
    return evaluated


def _classify_test(inputs: PackageInputs, model: bytes, journal: Journal) -> NDArray[np.float32]:
    """Decode and classify test images batch by batch: their only reading, which leaves no pixels behind."""
    session = export.session(model, inputs.plan.threads)
    samples = inputs.selection.splits["test"]
    answers = []
    batch_size = evaluation.evaluation_batch(inputs.preprocessing.size)
    for start in range(0, len(samples), batch_size):
        chunk = samples[start : start + batch_size]
        images = np.stack([preprocessing.load(inputs.dataset.read(one), inputs.preprocessing) for one in chunk])
        answers.append(export.onnx_probabilities(session, images))
        journal.progress("evaluating test images", start + len(chunk), len(samples), "images")
    return np.concatenate(answers)


def _write_weights(path: Any, network: Network) -> None:
    tensors = {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in network.named_tensors()}
    np.savez(path, **tensors)  # type: ignore[arg-type]


def _write_predictions(path: Any, evaluated: dict[str, _Evaluated]) -> None:
    arrays: dict[str, NDArray[Any]] = {}
    for split, one in evaluated.items():
        arrays[f"{split}_path"] = np.array([sample.path for sample in one.samples])
        arrays[f"{split}_sha256"] = np.array([sample.sha256 for sample in one.samples])
        arrays[f"{split}_label"] = np.array([sample.label for sample in one.samples], np.int64)
        arrays[f"{split}_probabilities"] = one.probabilities
    np.savez(path, **arrays)  # type: ignore[arg-type]


def _write_golden(folder: Any, inputs: PackageInputs, validation: _Evaluated) -> list[dict[str, Any]]:
    """Keep validation images spread evenly over the classes, as they were encoded, with their answers."""
    folder.mkdir()
    count = min(GOLDEN_IMAGES, len(validation.samples))
    golden = []
    for number, position in enumerate(np.linspace(0, len(validation.samples) - 1, count).round().astype(int)):
        encoded = inputs.dataset.read(validation.samples[position])
        name = f"{number:02d}{_suffix(encoded)}"
        (folder / name).write_bytes(encoded)
        pixels = inputs.stores["val"].images[position]
        golden.append(
            {
                "file": f"golden/{name}",
                "pixels_sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
                "probabilities": [float(one) for one in validation.probabilities[position]],
            }
        )
    return golden


def _manifest(
    inputs: PackageInputs,
    model: bytes,
    parity: export.Parity,
    metrics: dict[str, Any],
    golden: list[dict[str, Any]],
) -> dict[str, Any]:
    recipe, size, channels = inputs.recipe, inputs.recipe.input.size, inputs.preprocessing.channels
    best = inputs.histories.best
    return {
        "training_job": inputs.job,
        "create_time": datetime.now(UTC).isoformat(timespec="seconds"),
        "architecture": recipe.architecture,
        "classes": [{"id": one.id, "display_name": one.display_name} for one in inputs.selection.classes],
        "input": {"name": "image", "dtype": "uint8", "shape": [None, size, size, channels], "size": size},
        "channels": channels,
        "preprocessing": inputs.preprocessing.to_json(),
        "variants": [
            {
                "name": "fp32",
                "file": "model.onnx",
                "sha256": hashlib.sha256(model).hexdigest(),
                "precision": "float32",
                "opset": export.OPSET,
                "metrics": metrics,
            }
        ],
        "parity": {
            "image_count": parity.image_count,
            "max_probability_difference": parity.max_probability_difference,
            "top1_differences": parity.top1_differences,
        },
        "dataset": {
            "name": recipe.dataset,
            "digest": inputs.dataset.digest,
            "split_protocol": inputs.dataset.split_protocol,
            "splits": {
                split: {"image_count": len(samples), "digest": version.split_digest(samples)}
                for split, samples in inputs.selection.splits.items()
            },
        },
        "test_evaluations": int("test" in metrics),
        "best_epoch": best.best_epoch,
        "stopped_after_epochs": inputs.stopped_after_epochs,
        "selected": {
            "candidate": inputs.histories.selected + 1,
            "candidates": len(inputs.histories.candidates),
            "learning_rate": best.learning_rate,
            "weight_decay": best.weight_decay,
        },
        "lineage": _lineage(inputs),
        "weights": json_format.MessageToDict(inputs.weights, preserving_proto_field_name=True)
        if inputs.weights is not None
        else None,
        "freeze_digest": inputs.freeze_digest,
        "recipe": json_format.MessageToDict(recipe),
        "plan": inputs.plan.to_json(),
        "plans": [one.to_json() for one in inputs.plans],
        "code": provenance.code(),
        "libraries": provenance.libraries(),
        "host": provenance.host(inputs.plan.device_name),
        "golden": golden,
    }


def _lineage(inputs: PackageInputs) -> list[dict[str, Any]]:
    """Return the versions that the weights come from, the nearest first."""
    if inputs.source is None or inputs.weights is None:
        return []
    parent = inputs.source.manifest
    link = {
        "model_version": inputs.recipe.weights,
        "training_job": parent.get("training_job", ""),
        "weights_sha256": inputs.weights.sha256,
        "dataset": parent.get("dataset", {}).get("name", ""),
    }
    return [link, *parent.get("lineage", [])]


def _metrics_json(metrics: Metrics) -> dict[str, Any]:
    return {
        "image_count": metrics.image_count,
        "loss": metrics.loss,
        "accuracy": metrics.accuracy,
        "top5_accuracy": metrics.top5_accuracy,
        "macro_f1": metrics.macro_f1,
    }


def _suffix(encoded: bytes) -> str:
    signatures = {b"\xff\xd8": ".jpg", b"\x89PNG": ".png", b"RIFF": ".webp", b"GIF8": ".gif", b"BM": ".bmp"}
    return next((suffix for start, suffix in signatures.items() if encoded.startswith(start)), ".tif")
