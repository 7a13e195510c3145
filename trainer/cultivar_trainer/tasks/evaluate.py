"""Task evaluate: how good a model package, or a published network, is on a split, through the serving path."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from google.protobuf import json_format
from numpy.typing import NDArray
from torch import Tensor, nn

from cultivar.v1 import event_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import package, preprocessing, tasks
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_contract.package import DamagedPackage, Package
from cultivar_contract.preprocessing import Preprocessing, UnreadableImage
from cultivar_contract.run_directory import RunDirectory
from cultivar_trainer import evaluation, export
from cultivar_trainer.datasets import version
from cultivar_trainer.datasets.selection import select
from cultivar_trainer.datasets.version import DatasetClass, DatasetVersion, Sample, by_split
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal
from cultivar_trainer.networks import weights as weights_module
from cultivar_trainer.networks.weights import WeightsFile
from cultivar_trainer.reports.evaluation.split import Answers
from cultivar_trainer.reports.evaluation.subject import Subject
from cultivar_trainer.reports.evaluation.writing import write_report
from cultivar_trainer.tasks.classifier import Classifier, by_category, by_id


class PublishedNetwork(nn.Module):
    """A whole network of torchvision with its own head, as export takes it."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, inputs: Preprocessing) -> None:
        super().__init__()
        self.model = model
        self.input_size = inputs.size
        self.channels = inputs.channels
        self.register_buffer("mean", torch.tensor(inputs.mean)[None, :, None, None])
        self.register_buffer("std", torch.tensor(inputs.std)[None, :, None, None])

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, S, S), 0 to 1, to logits (N, K)."""
        logits: Tensor = self.model((images - self.mean) / self.std)
        return logits


def run(run_directory: RunDirectory, request: dict[str, Any], journal: Journal) -> dict[str, Any]:
    """Answer a SplitMetrics message as proto JSON; of a package, leave RUN_DIR/report.html and report.json."""
    asked = tasks.from_json(tasks.EvaluateRequest, request)
    with DatasetVersion(Path(asked.dataset)) as dataset:
        if asked.package:
            opened = _open(Path(asked.package))
            classifier = of_package(opened)
            images = selected(dataset, opened, asked.split)
            answers = measure(classifier, dataset, images.samples, by_id(images.classes, classifier), journal)
            journal.progress("writing the report", 0, 0, "")
            write_report(run_directory.path, _subject(asked, opened, dataset), {asked.split: answers}, dataset.read)
        else:
            classifier = of_weights(asked, journal)
            images = whole(dataset, asked.split)
            answers = measure(classifier, dataset, images.samples, by_category(images.classes, classifier), journal)
    metrics = answers.metrics
    message = event_pb2.SplitMetrics(
        split=asked.split,
        image_count=metrics.image_count,
        loss=metrics.loss,
        accuracy=metrics.accuracy,
        top5_accuracy=metrics.top5_accuracy,
        macro_f1=metrics.macro_f1,
    )
    value: dict[str, Any] = json_format.MessageToDict(message)
    return value


@dataclass(frozen=True, kw_only=True, slots=True)
class Images:
    """What is measured."""

    samples: Sequence[Sample]
    classes: Sequence[DatasetClass]
    """Those that the samples' labels count."""


def whole(dataset: DatasetVersion, split: str) -> Images:
    """Return a whole split.

    Raises:
        TaskFailed: EMPTY_SPLIT.
    """
    samples = by_split(dataset.samples).get(split)
    if not samples:
        raise TaskFailed("EMPTY_SPLIT", f"the data set has no {split} images: use another split")
    return Images(samples=samples, classes=dataset.classes)


def selected(dataset: DatasetVersion, opened: Package, split: str) -> Images:
    """Return a split: of the data set that a package was trained on, what its job selected of it.

    Raises:
        TaskFailed: EMPTY_SPLIT; SPLIT_CHANGED where this release selects other images than the job did.
    """
    trained_on = opened.manifest.get("dataset", {})
    if trained_on.get("digest") != dataset.digest:
        return whole(dataset, split)
    recipe = json_format.ParseDict(opened.manifest.get("recipe", {}), pb.TrainingSpec(), ignore_unknown_fields=True)
    selection = select(dataset, recipe.data, with_test=True)
    samples = selection.splits.get(split)
    if not samples:
        raise TaskFailed("EMPTY_SPLIT", f"the model's job selected no {split} images: use another split")
    expected = trained_on.get("splits", {}).get(split, {}).get("digest")
    if expected is not None and version.split_digest(samples) != expected:
        raise TaskFailed(
            "SPLIT_CHANGED",
            f"the {split} images that the model's job selected can't be selected again: another release trained it",
        )
    return Images(samples=samples, classes=selection.classes)


def measure(
    classifier: Classifier,
    dataset: DatasetVersion,
    samples: Sequence[Sample],
    outputs: Sequence[int],
    journal: Journal,
) -> Answers:
    """Classify images batch by batch, from their original bytes; `outputs` is each label's output.

    Raises:
        TaskFailed: UNREADABLE_IMAGE.
    """
    session = export.session(classifier.onnx, len(os.sched_getaffinity(0)))
    answers: list[NDArray[np.float32]] = []
    done = 0
    for batch in _batches(samples, evaluation.evaluation_batch(classifier.preprocessing.size)):
        pixels = np.stack([_load(dataset, sample, classifier.preprocessing) for sample in batch])
        answers.append(export.onnx_probabilities(session, pixels))
        done += len(batch)
        journal.progress(f"evaluating {classifier.title}", done, len(samples), "images")
    labels = np.array([outputs[sample.label] for sample in samples], np.int64)
    probabilities = np.concatenate(answers)
    metrics = evaluation.measure_probabilities(probabilities, labels)
    return Answers(samples=samples, labels=labels, probabilities=probabilities, metrics=metrics)


def _open(folder: Path) -> Package:
    """Open a model package, every file of which is as it was made.

    Raises:
        TaskFailed: PACKAGE_DAMAGED.
    """
    try:
        opened = package.open_package(folder)
        package.verify(opened)
    except DamagedPackage as error:
        raise TaskFailed("PACKAGE_DAMAGED", f"the model's package can't be used: {error}") from error
    return opened


def _subject(asked: tasks.EvaluateRequest, opened: Package, dataset: DatasetVersion) -> Subject:
    model = f"{opened.manifest.get('model', '')}/versions/{opened.manifest.get('version', '')}"
    return Subject(
        model=model,
        architecture=str(opened.manifest["architecture"]),
        classes=_classes(opened),
        dataset=asked.dataset_name,
        dataset_digest=dataset.digest,
        split_protocol=dataset.split_protocol,
        dataset_report=dataset.report(),
        recipe=dict(opened.manifest["recipe"]),
        commands=[
            f"cultivar reproduce {model}",
            f"cultivar evaluate --model {model} --dataset {asked.dataset_name} --split {asked.split}",
        ],
    )


def _classes(opened: Package) -> tuple[DatasetClass, ...]:
    return tuple(
        DatasetClass(id=class_id, display_name=name)
        for class_id, name in zip(opened.class_ids, opened.class_names, strict=True)
    )


def of_package(opened: Package) -> Classifier:
    """Return the graph of an opened package."""
    return Classifier(
        title=f"{opened.manifest['model']} version {opened.manifest['version']}"
        if "model" in opened.manifest
        else "it",
        onnx=opened.onnx.read_bytes(),
        preprocessing=opened.preprocessing,
        classes=_classes(opened),
        num_classes=len(opened.class_ids),
    )


def of_weights(asked: tasks.EvaluateRequest, journal: Journal) -> Classifier:
    """Build a published network with all its weights, its own head among them, and export it.

    Raises:
        TaskFailed: the weights can't be had, or are another network's.
    """
    file = weights_module.find(
        asked.architecture, asked.weights, Path(asked.weights_folder), Path(asked.downloads), journal
    )
    architecture = ARCHITECTURES[asked.architecture]
    recipe = pb.TrainingSpec(architecture=asked.architecture, weights=asked.weights)
    recipe.input.size = architecture.default_input_size
    inputs = architecture.preprocessing(recipe)
    journal.progress(f"exporting {asked.architecture}", 0, 0, "")
    # Any: export needs no more of a network than its forward pass and its input's shape.
    network: Any
    network, num_classes = published_network(asked.architecture, file, inputs)
    categories = _categories(asked.architecture, asked.weights)
    return Classifier(
        title=f"{asked.architecture} {asked.weights}",
        onnx=export.export_onnx(network),
        preprocessing=inputs,
        classes=tuple(DatasetClass(id=name, display_name=name) for name in categories)
        if len(categories) == num_classes
        else (),
        num_classes=num_classes,
    )


def published_network(architecture: str, file: WeightsFile, inputs: Preprocessing) -> tuple["PublishedNetwork", int]:
    """Return torchvision's network with every tensor of a file, and its number of classes.

    Raises:
        TaskFailed: WEIGHTS_UNREADABLE or WEIGHTS_DO_NOT_FIT.
    """
    family = ARCHITECTURES[architecture].family
    given = {weights_module.current_name(name): tensor for name, tensor in weights_module.read(file.path).items()}
    biases = [tensor for name, tensor in given.items() if name.startswith(f"{family.head}.") and name.endswith(".bias")]
    num_classes = len(biases[-1]) if biases else ARCHITECTURES[architecture].original_classes
    options = {"aux_logits": True, "init_weights": False, "transform_input": False} if family.auxiliary_heads else {}
    model = torchvision.models.get_model(architecture, weights=None, num_classes=num_classes, **options)
    tensors = model.state_dict()
    # Files older than torch 0.4 lack this counter, which only cumulative averages read.
    missing = [name for name in tensors if name not in given and not name.endswith("num_batches_tracked")]
    wrong = [f"{name} is missing" for name in missing]
    wrong += [f"{name} is unknown to this network" for name in given if name not in tensors]
    wrong += [
        f"{name} has shape {tuple(given[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in tensors.items()
        if name in given and given[name].shape != tensor.shape
    ]
    if wrong:
        raise TaskFailed(
            "WEIGHTS_DO_NOT_FIT",
            f"{file.source} holds no whole {architecture}: {'; '.join(wrong[:3])}"
            f"{f' and {len(wrong) - 3} more' if len(wrong) > 3 else ''}: choose the file that fits the architecture",
        )
    with torch.no_grad():
        for name, tensor in given.items():
            tensors[name].copy_(tensor)
    return PublishedNetwork(model, inputs).eval(), num_classes


def _load(dataset: DatasetVersion, sample: Sample, inputs: Preprocessing) -> NDArray[np.uint8]:
    try:
        return preprocessing.load(dataset.read(sample), inputs)
    except UnreadableImage as error:
        raise TaskFailed("UNREADABLE_IMAGE", f"{sample.path}: {error}: import the data set again") from error


def _batches(samples: Sequence[Sample], size: int) -> Iterator[Sequence[Sample]]:
    for start in range(0, len(samples), size):
        yield samples[start : start + size]


def _categories(architecture: str, weights: str) -> tuple[str, ...]:
    """Return what the outputs of published weights mean; of a file, what those of the first member mean."""
    members = list(torchvision.models.get_model_weights(architecture))
    member = next((one for one in members if one.name == weights), members[0])
    return tuple(member.meta["categories"])
