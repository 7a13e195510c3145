"""Answers of an imagined model, to draw and tell."""

import io

import numpy as np
from PIL import Image

from cultivar_trainer import evaluation
from cultivar_trainer.datasets.version import DatasetClass, Sample
from cultivar_trainer.reports.evaluation.split import Answers
from cultivar_trainer.reports.evaluation.subject import Subject


def answers(num_classes: int, count: int, *, path: str = "rose/{}.jpg") -> Answers:
    """Make answers that are right more often than not."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, num_classes, count)
    logits = rng.normal(size=(count, num_classes))
    logits[np.arange(count), labels] += 2
    probabilities = np.exp(logits)
    probabilities = (probabilities / probabilities.sum(axis=1, keepdims=True)).astype(np.float32)
    return Answers(
        samples=[
            Sample(path=path.format(number), label=int(label), split="val", sha256="0" * 64, offset=0, size=0)
            for number, label in enumerate(labels)
        ],
        labels=labels,
        probabilities=probabilities,
        metrics=evaluation.measure_probabilities(probabilities, labels),
    )


def subject(names: list[str]) -> Subject:
    return Subject(
        model="flowers",
        architecture="resnet18",
        classes=[DatasetClass(id=name, display_name=name) for name in names],
        dataset="datasets/flowers/versions/1",
        dataset_digest="d" * 64,
        split_protocol="official",
        dataset_report={
            "classes": [{"id": name, "displayName": name} for name in names],
            "splits": [{"split": "SPLIT_TRAIN", "classCounts": ["10"] * len(names)}],
            "warnings": ["2 look alike"],
            "duplicates": {"nearAcross": "2"},
        },
        recipe={"architecture": "resnet18", "dataset": names[0]},
        commands=["cultivar reproduce flowers/versions/N"],
    )


def photo(size: tuple[int, int] = (400, 300)) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize(size).save(buffer, "JPEG")
    return buffer.getvalue()
