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
from cultivar_contract.package import DamagedPackage
from cultivar_contract.preprocessing import Preprocessing, UnreadableImage
from cultivar_trainer import evaluation, export
from cultivar_trainer.datasets.version import DatasetClass, DatasetVersion, Sample, by_split
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal
from cultivar_trainer.networks import weights as weights_module
from cultivar_trainer.networks.weights import WeightsFile


@dataclass(frozen=True, kw_only=True, slots=True)
class Classifier:
    """A graph as serving runs it."""

    title: str
    """What messages call it."""
    onnx: bytes
    """The graph."""
    preprocessing: Preprocessing
    """How images become its inputs."""
    classes: tuple[DatasetClass, ...]
    """What it tells apart, in the order of its outputs; empty where that is not known."""
    num_classes: int
    """Number of its outputs."""


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


def run(request: dict[str, Any], journal: Journal) -> dict[str, Any]:
    """Answer a SplitMetrics message as proto JSON."""
    asked = tasks.from_json(tasks.EvaluateRequest, request)
    classifier = of_package(Path(asked.package)) if asked.package else of_weights(asked, journal)
    with DatasetVersion(Path(asked.dataset)) as dataset:
        samples = by_split(dataset.samples).get(asked.split)
        if not samples:
            raise TaskFailed("EMPTY_SPLIT", f"the data set has no {asked.split} images: use another split")
        outputs = (by_id if asked.package else by_category)(dataset.classes, classifier)
        metrics = measure(classifier, dataset, samples, outputs, journal)
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


def measure(
    classifier: Classifier,
    dataset: DatasetVersion,
    samples: Sequence[Sample],
    outputs: Sequence[int],
    journal: Journal,
) -> evaluation.Metrics:
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
    return evaluation.measure_probabilities(np.concatenate(answers), labels)


def of_package(folder: Path) -> Classifier:
    """Open a model package, every file of which is as it was made.

    Raises:
        TaskFailed: PACKAGE_DAMAGED.
    """
    try:
        opened = package.open_package(folder)
        package.verify(opened)
    except DamagedPackage as error:
        raise TaskFailed("PACKAGE_DAMAGED", f"the model's package can't be used: {error}") from error
    return Classifier(
        title=f"{opened.manifest['model']} version {opened.manifest['version']}"
        if "model" in opened.manifest
        else "it",
        onnx=opened.onnx.read_bytes(),
        preprocessing=opened.preprocessing,
        classes=tuple(
            DatasetClass(id=class_id, display_name=name)
            for class_id, name in zip(opened.class_ids, opened.class_names, strict=True)
        ),
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


def by_id(classes: Sequence[DatasetClass], classifier: Classifier) -> list[int]:
    """Return the output of each class of a data set, found by its id.

    Raises:
        TaskFailed: CLASSES_DIFFER.
    """
    outputs = {one.id: position for position, one in enumerate(classifier.classes)}
    unknown = [one.id for one in classes if one.id not in outputs]
    if unknown:
        raise _differ(unknown, len(classes), classifier, "use a data set of its classes")
    return [outputs[one.id] for one in classes]


def by_category(classes: Sequence[DatasetClass], classifier: Classifier) -> list[int]:
    """Return the output of each class of a data set: by its id or display name, else by order where counts are equal.

    Names are compared in lower case, with spaces for `_` and `-`. A name that two categories share finds neither.

    Raises:
        TaskFailed: CLASSES_DIFFER.
    """
    named: dict[str, list[int]] = {}
    for position, one in enumerate(classifier.classes):
        named.setdefault(_plain(one.display_name), []).append(position)
    found: list[int | None] = []
    for one in classes:
        positions = [
            named[text][0] for text in (_plain(one.id), _plain(one.display_name)) if len(named.get(text, ())) == 1
        ]
        found.append(positions[0] if positions else None)
    outputs = [position for position in found if position is not None]
    if len(outputs) == len(classes) and len(set(outputs)) == len(classes):
        return outputs
    # In the same order: nothing that a name says may contradict it.
    if len(classes) == classifier.num_classes and all(one in (None, position) for position, one in enumerate(found)):
        return list(range(len(classes)))
    unknown = [one.id for one, position in zip(classes, found, strict=True) if position is None]
    raise _differ(
        unknown or [one.id for one in classes],
        len(classes),
        classifier,
        "name classes as categories, such as "
        + ", ".join(one.display_name for one in classifier.classes[:3])
        + ", or train a model of the data set's own classes"
        if classifier.classes
        else f"use a data set of its {classifier.num_classes} classes, in their order",
    )


def _differ(unknown: Sequence[str], count: int, classifier: Classifier, remedy: str) -> TaskFailed:
    shown = f"{', '.join(unknown[:5])}{' ...' if len(unknown) > 5 else ''}"
    return TaskFailed(
        "CLASSES_DIFFER",
        f"{len(unknown)} of the data set's {count} classes are none of the {classifier.num_classes} of "
        f"{classifier.title}: {shown}: {remedy}",
    )


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


def _plain(text: str) -> str:
    return " ".join(text.lower().replace("_", " ").replace("-", " ").split())
