"""What is inspected: the PyTorch network of a model package, and the validation images of its job."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from google.protobuf import json_format
from numpy.typing import NDArray
from torch import Tensor

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import files, package, preprocessing
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_contract.package import DamagedPackage, Package
from cultivar_contract.preprocessing import Preprocessing, UnreadableImage
from cultivar_trainer.datasets.parallel import on_all_cores
from cultivar_trainer.datasets.selection import select
from cultivar_trainer.datasets.version import DatasetVersion, Sample
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal
from cultivar_trainer.networks import weights
from cultivar_trainer.networks.builders import build
from cultivar_trainer.networks.network import Network

MAX_IMAGES = 2000
"""Validation images that are ranked; of more, so many at even steps."""

_WEIGHTS = "weights.npz"


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """An opened model."""

    network: Network
    """In evaluation mode, on the CPU: pictures are the same wherever they are drawn."""
    preprocessing: Preprocessing
    recipe: pb.TrainingSpec
    class_ids: tuple[str, ...]
    class_names: tuple[str, ...]


def open_subject(folder: Path) -> Subject:
    """Build the network of a package with its weights.

    Raises:
        TaskFailed: PACKAGE_DAMAGED, PACKAGE_WITHOUT_WEIGHTS, or the weights don't fit.
    """
    try:
        opened = package.open_package(folder)
        recipe = json_format.ParseDict(opened.manifest["recipe"], pb.TrainingSpec(), ignore_unknown_fields=True)
        digest = opened.manifest["files"].get(_WEIGHTS)
        inputs, class_ids = opened.preprocessing, opened.class_ids
    except (DamagedPackage, KeyError, TypeError, ValueError, AttributeError, json_format.ParseError) as error:
        raise _damaged(f"{type(error).__name__}: {error}") from error
    if digest is None:
        raise TaskFailed("PACKAGE_WITHOUT_WEIGHTS", f"the package has no {_WEIGHTS}: inspect another version")
    if recipe.architecture not in ARCHITECTURES:
        raise _damaged(f"architecture {recipe.architecture!r} is unknown")
    return Subject(
        network=_network(opened, recipe, inputs, len(class_ids), str(digest)),
        preprocessing=inputs,
        recipe=recipe,
        class_ids=class_ids,
        class_names=opened.class_names,
    )


def _network(opened: Package, recipe: pb.TrainingSpec, inputs: Preprocessing, classes: int, digest: str) -> Network:
    if not (opened.path / _WEIGHTS).is_file() or files.sha256_file(opened.path / _WEIGHTS) != digest:
        raise _damaged(f"{_WEIGHTS} has changed since it was made, or is gone")
    file = weights.of_package("the package", opened.path)
    built = build(recipe, classes, mean=inputs.mean, std=inputs.std, weights=file, keep_head=True)
    if not built.head_kept:
        raise _damaged(f"{_WEIGHTS} has no head for {classes} classes")
    built.network.requires_grad_(False)
    return built.network.eval()


def _damaged(why: str) -> TaskFailed:
    return TaskFailed("PACKAGE_DAMAGED", f"the model's package can't be used ({why}): inspect another version")


class ValidationImages:
    """The validation images of a job, in its order, read when they are needed."""

    def __init__(self, dataset: DatasetVersion, samples: Sequence[Sample], inputs: Preprocessing) -> None:
        self.samples = tuple(samples)
        self._dataset = dataset
        self._inputs = inputs

    def positions(self, label: int | None = None, *, limit: int = MAX_IMAGES) -> list[int]:
        """Return at most `limit` positions, of one class or of all, at even steps."""
        all_of_them = [place for place, one in enumerate(self.samples) if label is None or one.label == label]
        if len(all_of_them) <= limit:
            return all_of_them
        steps = np.linspace(0, len(all_of_them) - 1, limit).round().astype(int)
        return [all_of_them[step] for step in steps]

    def pixels(self, position: int) -> NDArray[np.uint8]:
        """Return an image as the network sees it: uint8 (S, S, C).

        Raises:
            TaskFailed: UNREADABLE_IMAGE.
        """
        sample = self.samples[position]
        try:
            return preprocessing.load(self._dataset.read(sample), self._inputs)
        except UnreadableImage as error:
            raise TaskFailed("UNREADABLE_IMAGE", f"{sample.path}: {error}: import the data set again") from error

    def batches(self, positions: Sequence[int], batch_size: int, journal: Journal) -> Iterator[Tensor]:
        """Yield images as inputs (B, C, S, S), in the order of their positions."""
        batch: list[NDArray[np.uint8]] = []
        for number, pixels in enumerate(on_all_cores(self.pixels, positions), start=1):
            batch.append(pixels)
            if len(batch) == batch_size or number == len(positions):
                yield to_input(np.stack(batch))
                batch = []
                journal.progress("reading validation images", number, len(positions), "images")


def validation_images(dataset: DatasetVersion, subject: Subject) -> ValidationImages:
    """Return the images that the subject's job was validated on.

    Raises:
        TaskFailed: NO_VALIDATION_IMAGES.
    """
    selection = select(dataset, subject.recipe.data, with_test=False)
    samples = selection.splits.get("val", ())
    if not samples or tuple(one.id for one in selection.classes) != subject.class_ids:
        raise TaskFailed(
            "NO_VALIDATION_IMAGES",
            f"the data set has no validation images of the model's {len(subject.class_ids)} classes: "
            "send an image, or inspect another version",
        )
    return ValidationImages(dataset, samples, subject.preprocessing)


def to_input(pixels: NDArray[np.uint8]) -> Tensor:
    """Turn uint8 (N, S, S, C) into float32 (N, C, S, S), 0 to 1."""
    return torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float().div(255).contiguous()
