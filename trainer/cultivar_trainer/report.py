"""What a person reads of a finished training: its history and its curves."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from cultivar.v1 import state_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import files
from cultivar_trainer.loop.history import Epoch, Histories, History

_TRAIN, _VAL = "#0072B2", "#D55E00"  # blue and vermilion of Okabe & Ito: told apart by the colour-blind


def write_history(path: Path, histories: Histories, metric: pb.SelectionMetric) -> None:
    """Write every epoch's figures as JSON, those of the selected candidate first."""
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
    files.write_json(path, body)


def _epoch(epoch: Epoch) -> dict[str, Any]:
    return {**asdict(epoch), "phase": state_pb2.TrainingPhase.Name(epoch.phase).removeprefix("TRAINING_PHASE_")}


def write_curves(path: Path, history: History) -> None:
    """Draw loss and accuracy over epochs, the selected epoch marked, as SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot
    from matplotlib.ticker import MaxNLocator

    epochs = [one.epoch for one in history.epochs]
    with mpl.rc_context({"svg.hashsalt": "cultivar", "svg.fonttype": "none", "font.size": 11}):
        figure, (loss, accuracy) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
        loss.plot(epochs, [one.train_loss for one in history.epochs], color=_TRAIN, marker=".", label="training")
        loss.plot(epochs, [one.val_loss for one in history.epochs], color=_VAL, marker=".", label="validation")
        loss.set_ylabel("loss (nats)")
        accuracy.plot(
            epochs, [one.train_accuracy for one in history.epochs], color=_TRAIN, marker=".", label="training"
        )
        accuracy.plot(epochs, [one.val_accuracy for one in history.epochs], color=_VAL, marker=".", label="validation")
        accuracy.set_ylabel("top-1 accuracy")
        for axes in (loss, accuracy):
            axes.axvline(history.best_epoch, color="0.6", linestyle="--", label=f"selected epoch {history.best_epoch}")
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axes.grid(alpha=0.3)
            axes.legend()
        figure.savefig(path, format="svg", metadata={"Date": None})
        pyplot.close(figure)
