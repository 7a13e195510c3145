"""One split as the report shows it: computed once, told as JSON for programs and as a section for people."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cultivar_trainer.datasets.version import DatasetClass, Sample
from cultivar_trainer.evaluation import Metrics
from cultivar_trainer.reports.evaluation import measures
from cultivar_trainer.reports.evaluation.measures import Bin, ClassFigures, Confusion, Interval

MAX_MISTAKES = 24
"""Mistakes that are shown as pictures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What a model answered to the images of a split."""

    samples: Sequence[Sample]
    """The images."""
    labels: NDArray[np.int64]
    """Their classes as the model counts them, (N,)."""
    probabilities: NDArray[np.float32]
    """(N, K)."""
    metrics: Metrics
    """Their chief figures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mistake:
    """An image that was answered wrong."""

    sample: Sample
    label: int
    answer: int
    probability: float
    """Of the answer."""
    label_probability: float
    """Of its class."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitFigures:
    """All figures of a split."""

    name: str
    """`train`, `val` or `test`."""
    metrics: Metrics
    accuracy_interval: Interval
    top5_interval: Interval
    chance: float
    """Expected top-1 accuracy of guessing: 1 / K."""
    majority: ClassFigures
    """The class with most images: who always answers it reaches its share."""
    classes: list[ClassFigures]
    confusions: list[Confusion]
    bins: list[Bin]
    mistakes: list[Mistake]
    labels: NDArray[np.int64] = field(repr=False)
    """(N,)."""
    answers: NDArray[np.int64] = field(repr=False)
    """(N,)."""

    @property
    def calibration_error(self) -> float:
        """Expected calibration error, 0 to 1."""
        return measures.calibration_error(self.bins)

    @property
    def majority_accuracy(self) -> float:
        """Top-1 accuracy of always answering the class with most images."""
        return self.majority.image_count / self.metrics.image_count

    @classmethod
    def of(cls, name: str, given: Answers) -> "SplitFigures":
        """Measure the answers to a split that has images."""
        num_classes = given.probabilities.shape[1]
        answers = given.probabilities.argmax(axis=1).astype(np.int64)
        classes = measures.by_class(given.labels, answers, num_classes)
        confidences = given.probabilities[np.arange(len(answers)), answers].astype(np.float64)
        count = given.metrics.image_count
        return cls(
            name=name,
            metrics=given.metrics,
            accuracy_interval=measures.wilson(round(given.metrics.accuracy * count), count),
            top5_interval=measures.wilson(round(given.metrics.top5_accuracy * count), count),
            chance=1 / num_classes,
            majority=max(classes, key=lambda one: one.image_count),
            classes=classes,
            confusions=measures.confusions(given.labels, answers, num_classes),
            bins=measures.reliability(confidences, answers == given.labels),
            mistakes=[
                Mistake(
                    sample=given.samples[position],
                    label=int(given.labels[position]),
                    answer=int(answers[position]),
                    probability=float(confidences[position]),
                    label_probability=float(given.probabilities[position, given.labels[position]]),
                )
                for position in measures.most_confident_mistakes(given.probabilities, given.labels, MAX_MISTAKES)
            ],
            labels=given.labels,
            answers=answers,
        )

    def to_json(self, classes: Sequence[DatasetClass]) -> dict[str, Any]:
        """Return the form that programs read; classes are named by their ids."""
        return {
            "image_count": self.metrics.image_count,
            "loss": self.metrics.loss,
            "accuracy": self.metrics.accuracy,
            "accuracy_interval": self.accuracy_interval,
            "top5_accuracy": self.metrics.top5_accuracy,
            "top5_interval": self.top5_interval,
            "macro_f1": self.metrics.macro_f1,
            "chance_accuracy": self.chance,
            "majority_accuracy": self.majority_accuracy,
            "majority_class": classes[self.majority.label].id,
            "calibration_error": self.calibration_error,
            "reliability": [
                {
                    "low": one.low,
                    "high": one.high,
                    "image_count": one.image_count,
                    "confidence": one.confidence,
                    "accuracy": one.accuracy,
                }
                for one in self.bins
            ],
            "classes": [
                {
                    "id": classes[one.label].id,
                    "image_count": one.image_count,
                    "right": one.right,
                    "answered": one.answered,
                    "accuracy": one.accuracy if one.image_count else None,
                    "interval": measures.wilson(one.right, one.image_count),
                    "f1": one.f1,
                }
                for one in self.classes
            ],
            "confusions": [
                {
                    "class": classes[one.label].id,
                    "taken_for": classes[one.answer].id,
                    "count": one.count,
                    "image_count": one.image_count,
                }
                for one in self.confusions
            ],
            "mistakes": [
                {
                    "path": one.sample.path,
                    "sha256": one.sample.sha256,
                    "class": classes[one.label].id,
                    "answer": classes[one.answer].id,
                    "probability": one.probability,
                    "class_probability": one.label_probability,
                }
                for one in self.mistakes
            ],
        }
