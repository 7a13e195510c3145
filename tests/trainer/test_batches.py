from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.preprocessing import Preprocessing
from cultivar_trainer.batches import AugmentedPixels, CachedFeatures, PlainPixels, plain_pixels
from cultivar_trainer.datasets.stores import Caches, PixelStore, aspect_store
from cultivar_trainer.datasets.version import DatasetVersion, by_split
from cultivar_trainer.journal import Journal

SIZE = 24
SPEC = Preprocessing(size=SIZE, resize=28, interpolation="bilinear", mean=(0, 0, 0), std=(1, 1, 1))
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


@pytest.mark.parametrize("name", ["horizontal_flip", "resized_crop"])
def test_augmented_pixels_change_anew_in_each_epoch_and_the_same_way_in_every_batch(
    plain: PlainPixels, aspect: Any, name: str
) -> None:
    data = augmented(plain, aspect if name == "resized_crop" else None, **{name: 0.5})
    everyone = torch.arange(20)

    first, again, later = (data.inputs(everyone, epoch) for epoch in (0, 0, 1))

    assert first.shape == (20, 3, SIZE, SIZE)
    assert torch.equal(first, again)
    assert not torch.equal(first, plain.inputs(everyone))
    assert not torch.equal(first, later)
    assert torch.equal(data.inputs(INDICES, 0), first[INDICES])
    in_order = list(data.in_order(1))
    assert torch.equal(torch.cat([images for images, _ in in_order]), later)


def test_some_images_of_a_split_are_changed_as_they_are_among_all(plain: PlainPixels) -> None:
    everyone = augmented(plain, trivial_augment=True)
    some = augmented(
        plain_pixels(PixelStore(plain.images[INDICES].numpy(), "key"), [0] * 3, plain.device, plain.memory_format),
        trivial_augment=True,
    )
    some.positions = INDICES

    assert torch.equal(some.inputs(torch.arange(3), 2), everyone.inputs(INDICES, 2))


def test_the_memory_format_of_the_plan_changes_no_pixel(plain: PlainPixels) -> None:
    fields: dict[str, Any] = {"rotation": 20, "contrast": 0.5, "blur": 1, "gaussian_noise": 0.1, "random_erasing": 0.5}
    contiguous = augmented(plain, **fields).inputs(INDICES, 0)
    plain.memory_format = torch.channels_last

    channels_last = augmented(plain, **fields).inputs(INDICES, 0)

    assert channels_last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(channels_last, contiguous)


def test_epochs_take_turns_with_views_and_evaluation_sees_the_first() -> None:
    views = torch.rand(3, 100, 7)
    data = CachedFeatures(features=views, labels=torch.arange(100), device=torch.device("cpu"))

    for epoch in range(7):
        assert torch.equal(data.inputs(INDICES, epoch), views[epoch % 3][INDICES])
    assert torch.equal(torch.cat([rows for rows, _ in data.in_order()]), views[0])


@pytest.fixture
def aspect(flowers: Path, tmp_path: Path) -> Iterator[Any]:
    with DatasetVersion(flowers) as version, Journal(tmp_path / "events.jsonl") as journal:
        samples = by_split(version.samples)["val"]
        yield aspect_store(version, samples, SPEC, Caches(tmp_path / "caches", 1 << 30), journal)


@pytest.mark.parametrize(("limit", "resident"), [(0, True), (1 << 20, True), (1 << 14, False)])
def test_pixels_live_on_a_gpu_only_where_they_take_a_quarter_of_what_the_job_may_use(
    plain: PlainPixels, monkeypatch: pytest.MonkeyPatch, limit: int, resident: bool
) -> None:
    moved = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1 << 30, 1 << 30))
    monkeypatch.setattr(torch, "tensor", lambda values, **_: values)  # labels go wherever the device is
    monkeypatch.setattr(torch.Tensor, "to", lambda self, device: moved.append(device) or self)

    plain_pixels(
        PixelStore(plain.images.numpy(), "key"), [0] * 20, torch.device("cuda:0"), torch.contiguous_format, limit
    )

    assert bool(moved) == resident
