"""Mean, spread and paired differences of a study's figures, with what can be said of their uncertainty."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cultivar.v1 import study_pb2

T_QUANTILES = (
    *(12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139),
    *(2.200985, 2.178813, 2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922, 2.093024, 2.085963),
    *(2.079614, 2.073873, 2.068658, 2.063899, 2.059539, 2.055529, 2.051831, 2.048407, 2.045230, 2.042272, 2.039513),
)
"""0.975 quantiles of Student's t for 1 to 31 degrees of freedom (Student 1908): a study has at most 32 seeds."""
NORMAL_QUANTILE = 1.959964
"""0.975 quantile of the normal distribution."""


def describe(values: Sequence[float]) -> study_pb2.StudyStatistic | None:
    """Return mean and sample standard deviation; None of no values."""
    if not values:
        return None
    statistic = study_pb2.StudyStatistic(mean=_mean(values), count=len(values))
    if len(values) > 1:
        statistic.std = _std(values)
    return statistic


def paired_over_seeds(baseline: Mapping[int, float], variant: Mapping[int, float]) -> study_pb2.PairedDifference | None:
    """Compare two variants by the figures of the seeds that both have.

    With one common seed there is no interval; None where there is no common seed.

    Args:
        baseline: figures by seed.
        variant: figures by seed.
    """
    differences = [variant[seed] - baseline[seed] for seed in variant if seed in baseline]
    if not differences:
        return None
    n = len(differences)
    difference = study_pb2.PairedDifference(mean=_mean(differences), pairs=n)
    if n == 1:
        difference.method = "one seed: no interval"
        return difference
    half = T_QUANTILES[n - 2] * _std(differences) / math.sqrt(n)
    difference.low, difference.high = difference.mean - half, difference.mean + half
    difference.method = f"paired by seed, Student t over {n} seeds, 95 %"
    return difference


def paired_over_images(mean: float, differences: NDArray[np.float64]) -> study_pb2.PairedDifference | None:
    """Compare two trials by what they say of each validation image; None of fewer than 2 images.

    The interval tells of other images of the same kind, and nothing of other seeds.

    Args:
        mean: difference of the trials' figures.
        differences: those of each image, (N,), whose mean it is.
    """
    n = len(differences)
    if n < 2 or not np.isfinite(differences).all():
        return None
    half = NORMAL_QUANTILE * float(differences.std(ddof=1)) / math.sqrt(n)
    return study_pb2.PairedDifference(
        mean=mean,
        low=mean - half,
        high=mean + half,
        pairs=n,
        method=f"one seed: paired by image, normal over {n} validation images, 95 %; other seeds may differ more",
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _std(values: Sequence[float]) -> float:
    mean = _mean(values)
    return math.sqrt(math.fsum((one - mean) ** 2 for one in values) / (len(values) - 1))
