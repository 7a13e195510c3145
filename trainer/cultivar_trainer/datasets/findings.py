"""What a careful reader of a data set's report should know."""

from collections.abc import Iterator, Sequence

import numpy as np

from cultivar.v1 import dataset_pb2
from cultivar_trainer.datasets.fingerprints import Fingerprint
from cultivar_trainer.datasets.inspection import ImageFacts

FEW_IMAGES = 10
"""Training images below which a class is hardly learnt."""
LARGE_IMBALANCE = 10.0
SMALL_SIDE = 32
"""Pixels."""


def findings(report: dataset_pb2.DatasetReport, images: Sequence[ImageFacts], *, is_compared: bool) -> Iterator[str]:
    """Yield sentences about a report and its images.

    Args:
        report: all but its warnings.
        images: those of all splits.
        is_compared: whether all images were compared with each other.
    """
    duplicates, train = report.duplicates, report.splits[0]
    few = [
        f"{one.id} ({count})"
        for one, count in zip(report.classes, train.class_counts, strict=True)
        if count < FEW_IMAGES
    ]
    if few:
        yield f"{len(few)} class(es) have fewer than {FEW_IMAGES} training images, such as {few[0]}: add some"
    if report.imbalance > LARGE_IMBALANCE:
        yield f"the largest class has {report.imbalance:.1f} times the training images of the smallest"
    if duplicates.exact_across or duplicates.near_across:
        yield (
            f"{duplicates.exact_across} image(s) are in more than one split and {duplicates.near_across} look like one "
            "of another: figures on them say little (drop_leaks leaves them out of training)"
        )
    if duplicates.label_conflicts:
        yield f"{duplicates.label_conflicts} image(s) are in more than one class: correct the labels"
    if not is_compared:
        yield "too many images have something in common to compare them all: there may be more near copies"
    small = sum(min(one.width, one.height) < SMALL_SIDE for one in images)
    if small:
        yield f"{small} of {len(images)} images have a side shorter than {SMALL_SIDE} pixels"
    grey = sum(_is_grey(one.fingerprint) for one in images)
    if grey:
        yield f"{grey} of {len(images)} images are grey" + ("" if grey < len(images) else ": use input.channels 1")
    if report.rejected_count:
        yield f"{report.rejected_count} file(s) were rejected"


def _is_grey(fingerprint: Fingerprint) -> bool:
    channels = np.frombuffer(fingerprint.thumbnail, np.uint8).reshape(-1, 3)
    return bool((channels == channels[:, :1]).all())
