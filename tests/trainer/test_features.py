from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer import execution, finetuning
from cultivar_trainer.batches import AugmentedPixels, CachedFeatures, PlainPixels, plain_pixels
from cultivar_trainer.datasets.stores import Caches, PixelStore
from cultivar_trainer.features import cached_features
from cultivar_trainer.journal import Journal
from cultivar_trainer.networks.builders import build
from cultivar_trainer.networks.network import Network

Cached = Callable[..., CachedFeatures]


HALF = (0.5, 0.5, 0.5)


@pytest.fixture
def plain() -> PlainPixels:
    images = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    return plain_pixels(PixelStore(images, "key"), [0] * 6, torch.device("cpu"), torch.contiguous_format)


@pytest.fixture
def network(resolved: Callable[..., pb.TrainingSpec]) -> Network:
    network = build(resolved(), 5, mean=HALF, std=HALF, weights=None).network
    finetuning.freeze(network, resolved(), head_only=True)
    return network


@pytest.fixture
def cached(network: Network, resolved: Callable[..., pb.TrainingSpec], tmp_path: Path) -> Iterator[Cached]:
    with Journal(tmp_path / "events.jsonl") as journal:
        known: dict[str, Any] = {
            "split": "train",
            "pixels_key": "key",
            "plan": execution.plan(resolved()),
            "caches": Caches(tmp_path / "caches", 1 << 30),
            "journal": journal,
        }
        yield lambda pixels, **more: cached_features(network, pixels, **known, **more)


def augmented(plain: PlainPixels, seed: int = 1, **spec: float) -> AugmentedPixels:
    return AugmentedPixels(
        plain=plain, aspect=None, labels=plain.labels, spec=pb.AugmentationSpec(**spec), seed=seed, size=32
    )


def test_a_view_is_the_features_of_the_pixels_of_its_epoch(
    network: Network, plain: PlainPixels, cached: Cached
) -> None:
    pixels = augmented(plain, rotation=20, trivial_augment=True)
    everyone = torch.arange(6)

    features = cached(pixels, views=2)

    assert features.features.shape == (2, 6, 84)
    with torch.no_grad():
        for epoch in range(4):
            expected = network.features(pixels.inputs(everyone, epoch % 2))
            assert torch.allclose(features.inputs(everyone, epoch), expected, atol=1e-6)
    assert not torch.equal(features.features[0], features.features[1])


def test_features_are_kept_by_all_that_they_depend_on(
    network: Network, plain: PlainPixels, cached: Cached, tmp_path: Path
) -> None:
    def entries() -> int:
        return len(list((tmp_path / "caches").iterdir()))

    assert cached(plain).features.shape == (6, 84)
    cached(augmented(plain, rotation=20), views=2)
    cached(augmented(plain, rotation=20), views=2)
    assert entries() == 2
    cached(augmented(plain, rotation=21), views=2)
    cached(augmented(plain, rotation=20, seed=2), views=2)
    cached(augmented(plain, rotation=20), views=3)
    assert entries() == 5
    network.mean += 0.1
    cached(plain)
    assert entries() == 6
