import math

import numpy as np
import pytest

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.normalisation import measure

IMAGES = np.random.default_rng(0).integers(20, 231, (50, 6, 6, 3), dtype=np.uint8)
IMAGES[..., 1] //= 2


def test_mean_and_deviation_of_all_images_are_numpys() -> None:
    measured = measure(IMAGES, pb.NORMALISATION_MEASURED, ratio=1, seed=0)

    pixels = IMAGES.astype(np.float64).reshape(-1, 3) / 255
    assert measured.image_count == 50
    assert measured.mean == pytest.approx(pixels.mean(0), abs=1e-12)
    assert measured.std == pytest.approx(pixels.std(0), abs=1e-12)
    assert measured.constant_channels == ()


def test_a_share_is_a_whole_number_of_different_images_drawn_by_the_seed() -> None:
    numbered = np.arange(50, dtype=np.uint8)[:, None, None, None].repeat(4, 1).repeat(4, 2).repeat(3, 3)

    first, again, other = (measure(numbered, pb.NORMALISATION_MEASURED, ratio=0.31, seed=seed) for seed in (1, 1, 2))

    assert first == again
    assert first.mean != other.mean
    assert first.image_count == math.ceil(0.31 * 50)
    # The sum of 16 different numbers out of 0 to 49 with their spread: sampling one twice would narrow it to nothing.
    assert first.mean[0] * 255 * 16 == pytest.approx(round(first.mean[0] * 255 * 16), abs=1e-6)
    assert 5 < first.std[0] * 255 < 20


def test_min_max_maps_the_smallest_value_to_zero_and_the_largest_to_one() -> None:
    measured = measure(IMAGES, pb.NORMALISATION_MIN_MAX, ratio=1, seed=0)

    scaled = (IMAGES / 255 - measured.mean) / measured.std
    assert scaled.min(axis=(0, 1, 2)) == pytest.approx([0, 0, 0])
    assert scaled.max(axis=(0, 1, 2)) == pytest.approx([1, 1, 1])


@pytest.mark.parametrize("kind", [pb.NORMALISATION_MIN_MAX, pb.NORMALISATION_MEASURED])
def test_a_constant_channel_is_told_and_divides_by_one(kind: pb.Normalisation) -> None:
    images = IMAGES.copy()
    images[..., 2] = 51

    measured = measure(images, kind, ratio=0.3, seed=0)

    assert measured.constant_channels == (2,)
    assert measured.mean[2] == pytest.approx(0.2)
    assert measured.std[2] == 1


def test_at_least_one_image_is_looked_at_and_grey_ones_have_one_channel() -> None:
    measured = measure(IMAGES[:3, :, :, :1], pb.NORMALISATION_MEASURED, ratio=1e-9, seed=0)

    assert measured.image_count == 1
    assert len(measured.mean) == len(measured.std) == 1
