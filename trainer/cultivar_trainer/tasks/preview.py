"""Task preview: a contact sheet of training images, as stored and as each epoch sees them."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from google.protobuf import json_format
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import tasks
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_contract.run_directory import RunDirectory
from cultivar_trainer import batches
from cultivar_trainer.augmentation import mixing, pipeline
from cultivar_trainer.batches import AugmentedPixels, PlainPixels
from cultivar_trainer.datasets.selection import select
from cultivar_trainer.datasets.stores import Caches, aspect_store, pixel_store
from cultivar_trainer.datasets.version import DatasetVersion
from cultivar_trainer.journal import Journal

_SHORTEST_SIDE = 96
"""Pixels that an image is shown with at least; smaller ones are enlarged by whole factors."""
_MARGIN = 4
_LINE = 16
"""Height of a line of text in pixels."""
_PAPER, _INK = (255, 255, 255), (32, 32, 32)
_NO_LIMIT = 1 << 62


def run(run_directory: RunDirectory, request: dict[str, Any], journal: Journal) -> dict[str, Any]:
    """Leave RUN_DIR/preview.png; the answer tells the sheet's size and the images' paths in the data set."""
    asked = tasks.from_json(tasks.PreviewRequest, request)
    recipe = json_format.ParseDict(asked.recipe, pb.TrainingSpec(), ignore_unknown_fields=True)
    scratch = run_directory.path / "scratch"
    try:
        with DatasetVersion(Path(asked.dataset)) as dataset:
            selection = select(dataset, recipe.data, with_test=False)
            samples = selection.splits["train"]
            # Samples are sorted by class: even steps spread over the classes.
            places = np.unique(np.linspace(0, len(samples) - 1, asked.images).round().astype(int))
            train, plain = _pixels(recipe, dataset, samples, places, Caches(scratch, _NO_LIMIT), journal)
            shown = [samples[place] for place in places]
            names = [selection.classes[one.label].display_name for one in shown]
            titles, columns = _columns(recipe, train, plain, len(selection.classes), asked.columns)
            sheet = contact_sheet(columns, titles, names)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    sheet.save(run_directory.path / "preview.png")
    return {"width": sheet.width, "height": sheet.height, "paths": [one.path for one in shown]}


def contact_sheet(columns: Sequence[Tensor], titles: Sequence[str], names: Sequence[str]) -> Image.Image:
    """Draw columns of images, float32 (rows, C, S, S) in 0 to 1 each, under their titles; each row has its name."""
    rows, _, size, _ = columns[0].shape
    factor = -(-_SHORTEST_SIDE // size)
    side = size * factor
    width = _MARGIN + len(columns) * (side + _MARGIN)
    row_height = side + _LINE + _MARGIN
    sheet = Image.new("RGB", (width, _MARGIN + _LINE + rows * row_height), _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for column, (title, images) in enumerate(zip(titles, columns, strict=True)):
        left = _MARGIN + column * (side + _MARGIN)
        pen.text((left, _MARGIN), title, _INK, font)
        for row, pixels in enumerate(_to_bytes(images)):
            image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
            enlarged = image.resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(enlarged, (left, _MARGIN + _LINE + row * row_height))
    for row, name in enumerate(names):
        pen.text((_MARGIN, _MARGIN + _LINE + row * row_height + side), name, _INK, font)
    return sheet


def _pixels(
    recipe: pb.TrainingSpec,
    dataset: DatasetVersion,
    samples: Sequence[Any],
    places: NDArray[np.int64],
    caches: Caches,
    journal: Journal,
) -> tuple[PlainPixels | AugmentedPixels, PlainPixels]:
    shown = [samples[place] for place in places]
    preprocessing = ARCHITECTURES[recipe.architecture].preprocessing(recipe)
    plain = batches.plain_pixels(
        pixel_store(dataset, shown, preprocessing, caches, journal),
        [one.label for one in shown],
        torch.device("cpu"),  # a few images: a GPU that others need would take longer to start
        torch.contiguous_format,
    )
    spec = recipe.augmentation
    if not pipeline.is_augmented(spec):
        return plain, plain
    augmented = AugmentedPixels(
        plain=plain,
        aspect=aspect_store(dataset, shown, preprocessing, caches, journal) if spec.resized_crop else None,
        labels=plain.labels,
        spec=spec,
        seed=recipe.seed,
        size=recipe.input.size,
        positions=torch.from_numpy(places),
    )
    return augmented, plain


def _columns(
    recipe: pb.TrainingSpec,
    train: PlainPixels | AugmentedPixels,
    plain: PlainPixels,
    num_classes: int,
    epochs: int,
) -> tuple[list[str], list[Tensor]]:
    everyone = torch.arange(len(plain.labels))
    titles, columns = ["original"], [plain.inputs(everyone)]
    for epoch in range(epochs):
        title, images = f"epoch {epoch + 1}", train.inputs(everyone, epoch)
        if mixing.is_mixed(recipe.augmentation):
            # The shown images stand for a batch, and the epoch for an update: real batches have other neighbours.
            images, targets = mixing.mix(
                images, plain.labels, num_classes, recipe.augmentation, seed=recipe.seed, step=epoch
            )
            own = float(targets.gather(1, plain.labels[:, None]).min())
            title += f": {own:.0%} own"
        titles.append(title)
        columns.append(images)
    return titles, columns


def _to_bytes(images: Tensor) -> NDArray[np.uint8]:
    levels = (images.clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().numpy()
