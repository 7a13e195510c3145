"""Made-up studies with the histories of their trials."""

import json
import math
import random
from dataclasses import dataclass
from pathlib import Path

from cultivar.v1 import state_pb2, study_pb2

NAMES = ("baseline", "head", "lr-high", "no-augmentation", "label-smoothing-0.1", "mixup", "cosine", "sgd")


@dataclass(frozen=True)
class DrawnStudy:
    study: study_pb2.TrainingStudy
    runs: dict[str, str]


def drawn_study(
    folder: Path, *, variants: int = 2, seeds: int = 3, epochs: int = 6, exploding: str = "", title: str = "Which?"
) -> DrawnStudy:
    """A finished study whose second seed ends an epoch early."""
    study = study_pb2.TrainingStudy(
        name="trainingStudies/7",
        state=study_pb2.TRAINING_STUDY_STATE_SUCCEEDED,
        winner=NAMES[1],
        conclusion="head wins.",
        warnings=["budgets differ"],
    )
    study.spec.title = title
    study.spec.base.dataset = "flowers"
    names = [*NAMES, *(f"a-variant-whose-name-has-40-characters-{number:02d}" for number in range(24))][:variants]
    runs = {}
    for place, name in enumerate(names):
        variant = study.spec.variants.add(variant=name)
        row = study.rows.add(variant=name, principle="It learns. It costs time.", succeeded=seeds)
        row.validation_accuracy.CopyFrom(study_pb2.StudyStatistic(mean=0.5 + place / 100, std=0.0125, count=seeds))
        if place:
            variant.changes.optimizer.learning_rate = place / 10
            row.changes.append(f"optimizer.learning_rate: 0.001 -> {place / 10}")
            row.difference.CopyFrom(study_pb2.PairedDifference(mean=0.01, low=-0.02, high=0.04, pairs=3, method="t"))
        for seed in range(1, seeds + 1):
            job = f"trainingJobs/{place}-{seed}"
            study.trials.add(
                variant=name, seed=seed, training_job=job, state=state_pb2.TRAINING_JOB_STATE_SUCCEEDED, best_epoch=1
            )
            runs[job] = str(folder / str(place) / str(seed))
            Path(runs[job]).mkdir(parents=True)
            factor = 1e6 if name == exploding else 1.0
            history = _history(place, seed, epochs - (seed == 2 and epochs > 1), factor)
            (Path(runs[job]) / "history.json").write_text(json.dumps(history))
    return DrawnStudy(study, runs)


def _history(place: int, seed: int, epochs: int, factor: float) -> dict[str, object]:
    noise = random.Random(100 * place + seed)
    losses = [2 * math.exp(-0.2 * epoch) + 0.2 + noise.uniform(0, 0.1) for epoch in range(1, epochs + 1)]
    return {
        "best_epoch": epochs,
        "epochs": [
            {
                "epoch": epoch,
                "learning_rate": 0.1,
                "train_loss": loss * factor,
                "val_loss": (loss + 0.1) * factor,
                "train_accuracy": 1 - loss / 2.5,
                "val_accuracy": 0.96 - loss / 2.5,
                "train_seconds": 1.0,
                "val_seconds": 0.5,
                "step": 10 * epoch,
            }
            for epoch, loss in enumerate(losses, 1)
        ],
    }
