"""Figures of splits equal those of all pixels at once."""

import numpy as np
import pytest
from drawn_pictures import encoded, picture

from cultivar.v1 import dataset_pb2
from cultivar_trainer.datasets.inspection import facts_of
from cultivar_trainer.datasets.statistics import split_report

SIZES = [(40, 30), (64, 64), (130, 90), (33, 257), (5, 9)]


def test_means_deviations_and_sizes_are_those_of_all_pixels() -> None:
    images = [picture(seed, *size) for seed, size in enumerate(SIZES)]
    pixels = np.concatenate([np.asarray(image, np.float64).reshape(-1, 3) / 255 for image in images])

    report = split_report("val", [facts_of(encoded(image)) for image in images], [2, 3])

    assert (report.split, report.image_count, list(report.class_counts)) == (dataset_pb2.SPLIT_VAL, 5, [2, 3])
    assert list(report.mean) == pytest.approx(pixels.mean(0), rel=1e-12)
    assert list(report.std) == pytest.approx(pixels.std(0), rel=1e-12)
    assert report.width == dataset_pb2.SizeRange(min=5, median=40, max=130)
    assert report.height == dataset_pb2.SizeRange(min=9, median=64, max=257)
    assert dict(report.short_sides) == {4: 1, 16: 1, 32: 1, 64: 2}
