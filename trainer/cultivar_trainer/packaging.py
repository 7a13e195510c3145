"""From a trained network to a model package: export, proof, figures, golden images."""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from google.protobuf import json_format
from numpy.typing import NDArray
from torch import Tensor

from cultivar.v1 import event_pb2, state_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import files, package, preprocessing
from cultivar_contract.package import Package
from cultivar_contract.preprocessing import Preprocessing
from cultivar_contract.run_directory import RunDirectory
from cultivar_trainer import evaluation, export, provenance
from cultivar_trainer.datasets import version
from cultivar_trainer.datasets.selection import Selection, select
from cultivar_trainer.datasets.stores import PixelStore
from cultivar_trainer.datasets.version import DatasetVersion
from cultivar_trainer.evaluation import Metrics
from cultivar_trainer.execution import Plan
from cultivar_trainer.journal import Journal
from cultivar_trainer.loop.history import Histories
from cultivar_trainer.loop.job import PlanRecord
from cultivar_trainer.networks.network import Network
from cultivar_trainer.reports import curves, history
from cultivar_trainer.reports.evaluation.split import Answers
from cultivar_trainer.reports.evaluation.subject import Subject
from cultivar_trainer.reports.evaluation.writing import write_report

GOLDEN_IMAGES = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class PackageSubject:
    """What a package is about, whether its graph was trained or made of others."""

    job: str
    recipe: pb.TrainingSpec
    plan: Plan
    """The last that held."""
    dataset: DatasetVersion
    selection: Selection
    preprocessing: Preprocessing
    stores: dict[str, PixelStore]
    """Training and validation pixels, of which only the latter are needed; test pixels are never stored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PackageInputs(PackageSubject):
    """All that a trained network's package is made of."""

    plans: Sequence[PlanRecord]
    """All that held."""
    network: Network
    """With the selected epoch's weights."""
    weights: event_pb2.WeightsLoaded | None
    source: Package | None
    """The model version that the weights come from."""
    freeze_digest: str
    histories: Histories
    stopped_after_epochs: int
    """Whole epochs of all candidates together, where training was ended before its end; 0: it was not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """A graph that answers like PyTorch."""

    model: bytes
    """The ONNX file."""
    parity: export.Parity
    validation: NDArray[np.float32]
    """Its probabilities of the validation images, (N, K)."""

    @property
    def sha256(self) -> str:
        """The file's digest, in hexadecimal."""
        return hashlib.sha256(self.model).hexdigest()


def write_package(run: RunDirectory, inputs: PackageInputs, journal: Journal) -> dict[str, Any]:
    """Export, prove, evaluate and write the package; return a summary.

    Raises:
        TaskFailed: EXPORT_DIFFERS.
    """
    folder = empty_folder(run)
    journal.phase(state_pb2.TRAINING_PHASE_EXPORTING)
    images, device = inputs.stores["val"].images, torch.device(inputs.plan.device)
    reference = export.torch_probabilities(inputs.network, images, device)
    exported = prove(inputs, export.export_onnx(inputs.network), reference, journal)
    model = inputs.recipe.model
    # The package gets its number after this, and a reproduction shall write the same report.
    commands = (
        f"cultivar reproduce {model}/versions/N    # N: the version that this report belongs to",
        "cultivar train --file recipe.json    # the resolved spec below",
    )
    manifest = write_answers(folder, inputs, exported, journal, commands)
    write_weights(folder / "weights.npz", dict(inputs.network.named_tensors()))
    for name in (history.FILE, *curves.FILES):
        shutil.copyfile(run.path / name, folder / name)
    return finish(folder, {**manifest, **_of_training(inputs)})


def empty_folder(run: RunDirectory) -> Path:
    """Return the folder that gets the package; what an earlier attempt left in it is gone."""
    shutil.rmtree(run.package, ignore_errors=True)
    run.package.mkdir()
    return run.package


def prove(subject: PackageSubject, model: bytes, reference: NDArray[np.float32], journal: Journal) -> Exported:
    """Compare a graph with PyTorch on all validation images, whose probabilities (N, K) there are `reference`.

    Raises:
        TaskFailed: EXPORT_DIFFERS.
    """
    validation = export.onnx_probabilities(export.session(model, subject.plan.threads), subject.stores["val"].images)
    parity = export.compare(validation, reference)
    exported = Exported(model=model, parity=parity, validation=validation)
    journal.export_verified(
        event_pb2.ExportVerified(
            file_bytes=len(model),
            sha256=exported.sha256,
            image_count=parity.image_count,
            max_probability_difference=parity.max_probability_difference,
            top1_differences=parity.top1_differences,
        )
    )
    export.check_parity(parity)
    return exported


def write_answers(
    folder: Path, subject: PackageSubject, exported: Exported, journal: Journal, commands: Sequence[str]
) -> dict[str, Any]:
    """Write a graph, its answers, its report and golden images into a package; return what the manifest says of them.

    Args:
        folder: the package.
        subject: what it is about.
        exported: the graph.
        journal: gets the figures.
        commands: what makes such a version again, for the report.
    """
    (folder / "model.onnx").write_bytes(exported.model)
    journal.phase(state_pb2.TRAINING_PHASE_EVALUATING)
    evaluated = _evaluate(subject, exported, journal)
    _write_predictions(folder / "predictions.npz", evaluated)
    golden = _write_golden(folder / "golden", subject, evaluated["val"])
    write_report(folder, _report_subject(subject, commands), evaluated, subject.dataset.read)
    metrics = {split: _metrics_json(one.metrics) for split, one in evaluated.items()}
    return _manifest(subject, exported, metrics, golden)


def finish(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Complete a package and flush it to disk; return a summary."""
    package.finish(folder, manifest)
    files.sync_tree(folder)
    variant = manifest["variants"][0]
    return {"metrics": variant["metrics"], "onnx_sha256": variant["sha256"]}


def _evaluate(subject: PackageSubject, exported: Exported, journal: Journal) -> dict[str, Answers]:
    probabilities = {"val": exported.validation}
    if "test" in subject.selection.splits:
        probabilities["test"] = _classify_test(subject, exported.model, journal)
    evaluated = {}
    for split, values in probabilities.items():
        samples = subject.selection.splits[split]
        labels = np.array([one.label for one in samples], np.int64)
        metrics = evaluation.measure_probabilities(values, labels)
        evaluated[split] = Answers(samples=samples, labels=labels, probabilities=values, metrics=metrics)
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


def _classify_test(subject: PackageSubject, model: bytes, journal: Journal) -> NDArray[np.float32]:
    """Decode and classify test images batch by batch: their only reading, which leaves no store of pixels behind."""
    session = export.session(model, subject.plan.threads)
    samples = subject.selection.splits["test"]
    answers = []
    batch_size = evaluation.evaluation_batch(subject.preprocessing.size)
    for start in range(0, len(samples), batch_size):
        chunk = samples[start : start + batch_size]
        images = np.stack([preprocessing.load(subject.dataset.read(one), subject.preprocessing) for one in chunk])
        answers.append(export.onnx_probabilities(session, images))
        journal.progress("evaluating test images", start + len(chunk), len(samples), "images")
    return np.concatenate(answers)


def _report_subject(subject: PackageSubject, commands: Sequence[str]) -> Subject:
    recipe = subject.recipe
    return Subject(
        model=recipe.model,
        architecture=recipe.architecture,
        classes=subject.selection.classes,
        dataset=recipe.dataset,
        dataset_digest=subject.dataset.digest,
        split_protocol=subject.dataset.split_protocol,
        dataset_report=subject.dataset.report(),
        recipe=json_format.MessageToDict(recipe),
        commands=commands,
    )


def _split_facts(subject: PackageSubject) -> dict[str, Any]:
    """Return the number and digest of the images of each split, of a deferred test as well: its images are not read."""
    splits = dict(subject.selection.splits)
    if subject.recipe.test_evaluation == pb.TEST_EVALUATION_DEFERRED:
        whole = select(subject.dataset, subject.recipe.data, with_test=True)
        splits |= {"test": whole.splits["test"]} if "test" in whole.splits else {}
    return {
        split: {"image_count": len(samples), "digest": version.split_digest(samples)}
        for split, samples in splits.items()
    }


def write_weights(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write parameters and buffers by name."""
    arrays = {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in tensors.items()}
    np.savez(path, **arrays)  # type: ignore[arg-type]


def _write_predictions(path: Path, evaluated: dict[str, Answers]) -> None:
    arrays: dict[str, NDArray[Any]] = {}
    for split, one in evaluated.items():
        arrays[f"{split}_path"] = np.array([sample.path for sample in one.samples])
        arrays[f"{split}_sha256"] = np.array([sample.sha256 for sample in one.samples])
        arrays[f"{split}_label"] = np.array([sample.label for sample in one.samples], np.int64)
        arrays[f"{split}_probabilities"] = one.probabilities
    np.savez(path, **arrays)  # type: ignore[arg-type]


def _write_golden(folder: Path, subject: PackageSubject, validation: Answers) -> list[dict[str, Any]]:
    """Keep validation images spread evenly over the classes, as they were encoded, with their answers."""
    folder.mkdir()
    count = min(GOLDEN_IMAGES, len(validation.samples))
    golden = []
    for number, position in enumerate(np.linspace(0, len(validation.samples) - 1, count).round().astype(int)):
        encoded = subject.dataset.read(validation.samples[position])
        name = f"{number:02d}{_suffix(encoded)}"
        (folder / name).write_bytes(encoded)
        pixels = subject.stores["val"].images[position]
        golden.append(
            {
                "file": f"golden/{name}",
                "pixels_sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
                "probabilities": [float(one) for one in validation.probabilities[position]],
            }
        )
    return golden


def _manifest(
    subject: PackageSubject, exported: Exported, metrics: dict[str, Any], golden: list[dict[str, Any]]
) -> dict[str, Any]:
    recipe, size, channels = subject.recipe, subject.recipe.input.size, subject.preprocessing.channels
    return {
        "training_job": subject.job,
        "create_time": datetime.now(UTC).isoformat(timespec="seconds"),
        "architecture": recipe.architecture,
        "classes": [{"id": one.id, "display_name": one.display_name} for one in subject.selection.classes],
        "input": {"name": "image", "dtype": "uint8", "shape": [None, size, size, channels], "size": size},
        "channels": channels,
        "preprocessing": subject.preprocessing.to_json(),
        "variants": [
            {
                "name": "fp32",
                "file": "model.onnx",
                "sha256": exported.sha256,
                "precision": "float32",
                "opset": export.OPSET,
                "metrics": metrics,
            }
        ],
        "parity": {
            "image_count": exported.parity.image_count,
            "max_probability_difference": exported.parity.max_probability_difference,
            "top1_differences": exported.parity.top1_differences,
        },
        "dataset": {
            "name": recipe.dataset,
            "digest": subject.dataset.digest,
            "split_protocol": subject.dataset.split_protocol,
            "splits": _split_facts(subject),
        },
        "test_evaluations": int("test" in metrics),
        "recipe": json_format.MessageToDict(recipe),
        "plan": subject.plan.to_json(),
        "code": provenance.code(),
        "libraries": provenance.libraries(),
        "host": provenance.host(subject.plan.device_name),
        "golden": golden,
    }


def _of_training(inputs: PackageInputs) -> dict[str, Any]:
    """Return what the manifest says of how the network was trained."""
    best = inputs.histories.best
    return {
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
        "plans": [one.to_json() for one in inputs.plans],
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
