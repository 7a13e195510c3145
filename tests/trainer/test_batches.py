from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.batches import AugmentedPixels, PlainPixels, is_augmented, plain_pixels
from cultivar_trainer.datasets.stores import Caches, PixelStore, aspect_store
from cultivar_trainer.datasets.version import DatasetVersion, by_split
from cultivar_trainer.journal import Journal

SIZE = 24
INDICES = torch.tensor([3, 0, 7])


@pytest.fixture
def plain() -> PlainPixels:
    images = np.random.default_rng(0).integers(0, 256, (20, SIZE, SIZE, 3), dtype=np.uint8)
    return plain_pixels(PixelStore(images, "key"), [0] * 20, torch.device("cpu"), torch.contiguous_format)


def augmented(plain: PlainPixels, aspect: Any = None, **spec: float) -> AugmentedPixels:
    return AugmentedPixels(
        plain=plain, aspect=aspect, labels=plain.labels, spec=pb.AugmentationSpec(**spec), seed=1, size=SIZE
    )


def test_plain_pixels_are_the_stored_ones_in_every_epoch(plain: PlainPixels) -> None:
    expected = plain.images[INDICES].permute(0, 3, 1, 2) / 255

    assert torch.equal(plain.inputs(INDICES, epoch=0), expected)
    assert torch.equal(plain.inputs(INDICES, epoch=5), expected)
    in_order = list(plain.in_order())
    assert torch.equal(torch.cat([images for images, _ in in_order]), plain.images.permute(0, 3, 1, 2) / 255)


@pytest.mark.parametrize(
    "name", ["horizontal_flip", "padded_crop", "brightness", "contrast", "saturation", "hue", "resized_crop"]
)
def test_every_augmentation_changes_images_anew_in_each_epoch_and_the_same_way_in_every_batch(
    plain: PlainPixels, aspect: Any, name: str
) -> None:
    value = 4 if name == "padded_crop" else 0.5
    data = augmented(plain, aspect if name == "resized_crop" else None, **{name: value})
    everyone = torch.arange(20)

    first, again, later = (data.inputs(everyone, epoch) for epoch in (0, 0, 1))

    assert is_augmented(data.spec)
    assert first.shape == (20, 3, SIZE, SIZE)
    assert torch.equal(first, again)
    assert not torch.equal(first, plain.inputs(everyone))
    assert not torch.equal(first, later)
    assert torch.allclose(data.inputs(INDICES, 0), first[INDICES], atol=1e-6)


@pytest.fixture
def aspect(flowers: Path, tmp_path: Path) -> Iterator[Any]:
    with DatasetVersion(flowers) as version, Journal(tmp_path / "events.jsonl") as journal:
        samples = by_split(version.samples)["val"]
        yield aspect_store(version, samples, SIZE, Caches(tmp_path / "caches", 1 << 30), journal)
