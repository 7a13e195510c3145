"""The figures of a split: means and deviations of its pixels, sizes of its images."""

from collections import Counter
from collections.abc import Sequence
from math import sqrt

from cultivar.v1 import dataset_pb2
from cultivar_trainer.datasets.inspection import ImageFacts

CHANNELS = 3


def split_report(split: str, images: Sequence[ImageFacts], class_counts: Sequence[int]) -> dataset_pb2.SplitReport:
    """Sum a split up; it has an image at least."""
    pixels = sum(one.width * one.height for one in images)
    mean, std = [], []
    for channel in range(CHANNELS):
        # Whole numbers of any length: nothing is rounded before the end.
        total = sum(one.sums[channel] for one in images)
        squares = sum(one.squares[channel] for one in images)
        mean.append(total / (255 * pixels))
        std.append(sqrt(pixels * squares - total * total) / (255 * pixels))
    return dataset_pb2.SplitReport(
        split=f"SPLIT_{split.upper()}",
        image_count=len(images),
        class_counts=class_counts,
        mean=mean,
        std=std,
        width=_range([one.width for one in images]),
        height=_range([one.height for one in images]),
        short_sides=Counter(1 << (min(one.width, one.height).bit_length() - 1) for one in images),
    )


def _range(sizes: Sequence[int]) -> dataset_pb2.SizeRange:
    ordered = sorted(sizes)
    return dataset_pb2.SizeRange(min=ordered[0], median=ordered[(len(ordered) - 1) // 2], max=ordered[-1])
