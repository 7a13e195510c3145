"""How pixels become the network's numbers, measured on the training images."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.randomness import Stream, permutation

MEASURED = (pb.NORMALISATION_MIN_MAX, pb.NORMALISATION_MEASURED)
"""Kinds that look at images."""
_LEVELS = 256
_AT_A_TIME = 256
"""Images that are read together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What was found: a pixel of 0 to 1 becomes (pixel - mean) / std."""

    mean: tuple[float, ...]
    """Of each channel."""
    std: tuple[float, ...]
    """Of each channel, above 0."""
    image_count: int
    """Images that were looked at."""
    constant_channels: tuple[int, ...]
    """Channels of one value in all of them, whose std is 1 for want of another."""


def measure(images: NDArray[np.uint8], kind: pb.Normalisation, *, ratio: float, seed: int) -> Measured:
    """Measure training images, or a share of them drawn by `seed`.

    MEASURED gives each channel's mean and population standard deviation over all pixels (LeCun et al. 1998), MIN_MAX
    its smallest value as mean and its range as std. Levels are counted, so sums are exact whatever the order.

    Args:
        images: (N, S, S, C), as the network sees them, without augmentation.
        kind: one of `MEASURED`.
        ratio: share of the images, above 0 and at most 1; at least one image is looked at.
        seed: the job's.
    """
    count = min(len(images), max(1, math.ceil(ratio * len(images))))
    drawn = permutation(seed, 0, len(images), Stream.NORMALISATION)[:count].sort().values.numpy()
    channels = images.shape[3]
    histogram = np.zeros((channels, _LEVELS), np.int64)
    for start in range(0, count, _AT_A_TIME):
        part = images[drawn[start : start + _AT_A_TIME]]
        for channel in range(channels):
            histogram[channel] += np.bincount(part[..., channel].ravel(), minlength=_LEVELS)
    levels = np.arange(_LEVELS, dtype=np.float64) / (_LEVELS - 1)
    present = histogram > 0
    low = levels[present.argmax(axis=1)]
    high = levels[_LEVELS - 1 - present[:, ::-1].argmax(axis=1)]
    constant = low == high
    if kind == pb.NORMALISATION_MIN_MAX:
        mean, std = low, high - low
    else:
        weights = histogram / histogram.sum(axis=1, keepdims=True)
        mean = weights @ levels
        std = np.sqrt((weights * (levels - mean[:, None]) ** 2).sum(axis=1))
    return Measured(
        mean=tuple(float(one) for one in mean),
        std=tuple(1.0 if one else float(value) for one, value in zip(constant, std, strict=True)),
        image_count=count,
        constant_channels=tuple(int(one) for one in np.flatnonzero(constant)),
    )
