"""Every epoch's figures of all candidates, as JSON."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from cultivar.v1 import state_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import files
from cultivar_trainer.loop.history import Epoch, Histories

FILE = "history.json"


def write_history(folder: Path, histories: Histories, metric: pb.SelectionMetric) -> None:
    """Write every epoch's figures as `history.json`, those of the selected candidate first."""
    best = histories.best
    body: dict[str, Any] = {
        "schema_version": 1,
        "selection_metric": pb.SelectionMetric.Name(metric),
        "best_epoch": best.best_epoch,
        "epochs": [_epoch(epoch) for epoch in best.epochs],
        "selected_candidate": histories.selected + 1,
        "candidates": [
            {
                "learning_rate": one.learning_rate,
                "weight_decay": one.weight_decay,
                "best_epoch": one.best_epoch,
                "value": one.best.value(metric) if one.best_epoch else None,
                "diverged": one.diverged,
                "epochs": [_epoch(epoch) for epoch in one.epochs],
            }
            for one in histories.candidates
        ],
    }
    files.write_json(folder / FILE, body)


def _epoch(epoch: Epoch) -> dict[str, Any]:
    return {**asdict(epoch), "phase": state_pb2.TrainingPhase.Name(epoch.phase).removeprefix("TRAINING_PHASE_")}
