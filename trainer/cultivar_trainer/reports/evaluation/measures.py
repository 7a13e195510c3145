"""What answers to a split say beyond their mean: intervals, classes, confusions, calibration."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15
"""Bins of confidence, as in Guo et al. 2017."""
_Z = 1.959963984540054
"""Standard normal quantile of a two-sided 95 % interval."""

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassFigures:
    """How one class did."""

    label: int
    image_count: int
    """Images of the class."""
    right: int
    """Those that were answered with it."""
    answered: int
    """Images of any class that were answered with it."""

    @property
    def accuracy(self) -> float:
        """Share of its images that were answered right (recall), 0 to 1."""
        return self.right / self.image_count if self.image_count else 0.0

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN), 0 to 1."""
        return 2 * self.right / max(1, self.image_count + self.answered)


@dataclass(frozen=True, kw_only=True, slots=True)
class Confusion:
    """A class that was taken for another."""

    label: int
    answer: int
    count: int
    """Images of the class with this answer."""
    image_count: int
    """Images of the class."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bin:
    """Images whose answers were given with about the same probability: above `low`, at most `high`."""

    low: float
    high: float
    image_count: int
    confidence: float
    """Mean probability of the answers; 0 without images."""
    accuracy: float
    """Share of right answers; 0 without images."""


def wilson(successes: int, trials: int) -> Interval:
    """Return the 95 % score interval of a share (Wilson 1927), 0 to 1; (0, 1) without trials.

    Unlike the normal interval it stays within 0 to 1 and does not shrink to nothing where all trials end alike.
    """
    if not trials:
        return 0.0, 1.0
    share = successes / trials
    middle = share + _Z**2 / (2 * trials)
    half = _Z * math.sqrt(share * (1 - share) / trials + _Z**2 / (4 * trials**2))
    scale = 1 + _Z**2 / trials
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def by_class(labels: NDArray[np.int64], answers: NDArray[np.int64], num_classes: int) -> list[ClassFigures]:
    """Return the figures of every class, in label order. Labels and answers: int64 (N,)."""
    images = np.bincount(labels, minlength=num_classes)
    answered = np.bincount(answers, minlength=num_classes)
    right = np.bincount(labels[labels == answers], minlength=num_classes)
    return [
        ClassFigures(
            label=label, image_count=int(images[label]), right=int(right[label]), answered=int(answered[label])
        )
        for label in range(num_classes)
    ]


def confusions(labels: NDArray[np.int64], answers: NDArray[np.int64], num_classes: int) -> list[Confusion]:
    """Return every pair of classes that were confused, the most systematic first.

    They are sorted by the lower end of the 95 % interval of the share of the class's images that the other class took:
    9 of 10 come before 1 of 1, which may be chance, and before 30 of 1000, which is a large class rather than a
    systematic confusion. A class whose labels are wrong has a share near 1.
    """
    images = np.bincount(labels, minlength=num_classes)
    wrong = labels != answers
    pairs, counts = np.unique(labels[wrong] * num_classes + answers[wrong], return_counts=True)
    found = [
        Confusion(
            label=int(pair // num_classes),
            answer=int(pair % num_classes),
            count=int(count),
            image_count=int(images[pair // num_classes]),
        )
        for pair, count in zip(pairs, counts, strict=True)
    ]
    return sorted(found, key=lambda one: (-wilson(one.count, one.image_count)[0], one.label, one.answer))


def reliability(confidences: NDArray[np.float64], right: NDArray[np.bool_]) -> list[Bin]:
    """Sort answers into bins of equal width by their probability. Both arguments: (N,)."""
    numbers = np.clip(np.ceil(confidences * BINS).astype(np.int64) - 1, 0, BINS - 1)
    counts = np.bincount(numbers, minlength=BINS)
    confidence = np.bincount(numbers, weights=confidences, minlength=BINS) / np.maximum(counts, 1)
    accuracy = np.bincount(numbers, weights=right, minlength=BINS) / np.maximum(counts, 1)
    return [
        Bin(
            low=number / BINS,
            high=(number + 1) / BINS,
            image_count=int(counts[number]),
            confidence=float(confidence[number]),
            accuracy=float(accuracy[number]),
        )
        for number in range(BINS)
    ]


def calibration_error(bins: list[Bin]) -> float:
    """Return the expected calibration error, 0 to 1 (Guo et al. 2017).

    It is the mean difference of confidence and accuracy over the bins, each weighted by its images.
    """
    images = sum(one.image_count for one in bins)
    return sum(one.image_count * abs(one.accuracy - one.confidence) for one in bins) / max(1, images)


def most_confident_mistakes(
    probabilities: NDArray[np.float32], labels: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Return the positions of the wrong answers that were given with the highest probability, that one first.

    Args:
        probabilities: float32 (N, K).
        labels: int64 (N,).
        count: how many at most.
    """
    answers = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(answers != labels)
    order = np.argsort(-probabilities[wrong, answers[wrong]], kind="stable")
    return wrong[order][:count]
