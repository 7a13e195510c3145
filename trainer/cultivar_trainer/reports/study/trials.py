"""A study's trials with their figures of every epoch, as their jobs' history.json tells them."""

import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from cultivar.v1 import study_pb2
from cultivar_contract import files

FIGURES = ("train_loss", "val_loss", "train_accuracy", "val_accuracy")
"""The four curves."""
_COLUMNS = ("epoch", "learning_rate", *FIGURES, "train_seconds", "val_seconds", "step")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One trial and its history."""

    variant: str
    seed: int
    job: str
    best_epoch: int
    """The selected one; 0 where there is no history."""
    columns: Mapping[str, Sequence[float]]
    """Each figure over all epochs, the first epoch's first; all are as long."""

    @property
    def epochs(self) -> int:
        """How many there are; 0 where there is no history."""
        return len(self.columns["epoch"])

    def last(self, figure: str) -> float:
        """Return a figure of the last epoch."""
        return self.columns[figure][-1]

    def selected(self, figure: str) -> float:
        """Return a figure of the selected epoch."""
        return self.columns[figure][self.best_epoch - 1]


def read(study: study_pb2.TrainingStudy, runs: Mapping[str, str]) -> list[Trial]:
    """Return all trials of a study in its order.

    Args:
        study: with its trials.
        runs: run directory of each trial's job, by the job's name.
    """
    return [_read(trial, runs.get(trial.training_job)) for trial in study.trials]


def to_json(study: study_pb2.TrainingStudy, found: Sequence[Trial]) -> dict[str, Any]:
    """Return a study, its rows, and its trials with every epoch's figures, for programs."""
    told = json_format.MessageToDict(study, preserving_proto_field_name=True)
    rows, trials = told.pop("rows", []), told.pop("trials", [])
    histories = [{name: list(values) for name, values in one.columns.items()} for one in found]
    return {
        "schema_version": 1,
        "study": told,
        "rows": rows,
        "trials": [{**trial, "epochs": history} for trial, history in zip(trials, histories, strict=True)],
    }


def mean_and_std(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and the sample standard deviation (divisor n - 1), None for one value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def _read(trial: study_pb2.StudyTrial, run: str | None) -> Trial:
    columns: dict[str, list[float]] = {name: [] for name in _COLUMNS}
    best = 0
    if run is not None:
        # A trial that failed early has no history, and a file that something damaged shall not cost the whole report.
        with suppress(OSError, ValueError, KeyError, TypeError):
            columns, best = _history(Path(run) / "history.json")
    return Trial(variant=trial.variant, seed=trial.seed, job=trial.training_job, best_epoch=best, columns=columns)


def _history(path: Path) -> tuple[dict[str, list[float]], int]:
    history = files.read_json(path)
    columns = {name: [float(epoch[name]) for epoch in history["epochs"]] for name in _COLUMNS}
    best = int(history["best_epoch"])
    if not 1 <= best <= len(columns["epoch"]):
        raise ValueError(f"{path.name} selects epoch {best} of {len(columns['epoch'])}")
    return columns, best
