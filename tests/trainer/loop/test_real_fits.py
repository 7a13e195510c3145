"""The verdicts on trainings that really underfit, fit and overfit: a linear head on features of five classes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from training_jobs import train

from cultivar.v1 import event_pb2 as ev
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.reports.course import Setting, follow
from cultivar_trainer.reports.fit import judge

SETTING = Setting(train_images=101, val_images=50, chance=0.2)


@pytest.mark.parametrize(
    ("spread", "fields", "expected"),
    [
        (1.0, {"epochs": 12, "optimizer": {"learningRate": 0.05}}, ev.FIT_VERDICT_GOOD),
        (5.0, {"epochs": 12, "optimizer": {"learningRate": 0.05}}, ev.FIT_VERDICT_OVERFITTING),
        (1.0, {"epochs": 6, "optimizer": {"learningRate": 1e-7}}, ev.FIT_VERDICT_UNDERFITTING),
    ],
)
def test_the_verdict_is_that_of_the_teacher(
    spread: float,
    fields: dict[str, Any],
    expected: ev.FitVerdict,
    resolved: Callable[..., pb.TrainingSpec],
    tmp_path: Path,
) -> None:
    _, histories = train(resolved(batchSize=10, **fields), tmp_path, spread=spread)

    found = judge(follow(histories.best, SETTING), SETTING)

    assert found.verdict == expected, found.reason
