"""What training has shown so far, and which epoch and candidate are the best."""

from dataclasses import asdict, dataclass, field
from itertools import product
from typing import Any

from cultivar.v1 import state_pb2
from cultivar.v1 import training_spec_pb2 as pb


@dataclass(frozen=True, kw_only=True, slots=True)
class Epoch:
    """Figures of one epoch."""

    epoch: int
    """1 for the first of a candidate; counted over both phases of GRADUAL."""
    phase: state_pb2.TrainingPhase
    """HEAD_WARMUP or TRAINING."""
    learning_rate: float
    """Of its last update."""
    train_loss: float
    """Mean over the images as they were seen, penalties left out."""
    train_accuracy: float
    """Of the images as they were seen: mixed ones count for their larger part."""
    val_loss: float
    val_accuracy: float
    val_top5_accuracy: float
    val_macro_f1: float
    l1_penalty: float
    """At the epoch's end: l1 times the sum of absolute values of decaying weights."""
    l2_penalty: float
    """At the epoch's end: weight_decay / 2 times the sum of squares of decaying weights."""
    train_seconds: float
    val_seconds: float
    images_per_second: float
    step: int
    """Updates made so far by the candidate."""

    def value(self, metric: pb.SelectionMetric) -> float:
        """Return the figure that a selection metric names."""
        match metric:
            case pb.SELECTION_METRIC_LOSS:
                return self.val_loss
            case pb.SELECTION_METRIC_TOP5:
                return self.val_top5_accuracy
            case pb.SELECTION_METRIC_MACRO_F1:
                return self.val_macro_f1
        return self.val_accuracy


@dataclass(kw_only=True, slots=True)
class History:
    """All epochs of one candidate, and which of them is the best."""

    learning_rate: float = 0.0
    """The candidate's peak."""
    weight_decay: float = 0.0
    """The candidate's."""
    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    """Number of the selected epoch; 0 before the first."""
    diverged: str = ""
    """Why training of this candidate ended without a finite loss; empty where it did not."""

    @property
    def best(self) -> Epoch:
        """The selected epoch's figures."""
        return self.epochs[self.best_epoch - 1]

    def add(self, epoch: Epoch, metric: pb.SelectionMetric) -> bool:
        """Append an epoch; tell whether it is the best so far."""
        self.epochs.append(epoch)
        if self.best_epoch and not is_better(epoch.value(metric), self.best.value(metric), metric):
            return False
        self.best_epoch = epoch.epoch
        return True

    def to_json(self) -> dict[str, Any]:
        """Return the form that checkpoints keep."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "History":
        """Read the form that `to_json` gives."""
        return cls(**{**value, "epochs": [Epoch(**one) for one in value["epochs"]]})


def candidates(recipe: pb.TrainingSpec) -> list[History]:
    """Return an empty history for each pair of learning rate and weight decay, in the request's order."""
    spec = recipe.optimizer
    rates = list(spec.learning_rates) or [spec.learning_rate]
    decays = list(spec.weight_decays) or [spec.weight_decay]
    return [History(learning_rate=rate, weight_decay=decay) for rate, decay in product(rates, decays)]


@dataclass(kw_only=True, slots=True)
class Histories:
    """All candidates in the order of the request, and which of them is the best."""

    candidates: list[History]
    selected: int
    """Position of the selected candidate."""

    @property
    def best(self) -> History:
        """The selected candidate's history."""
        return self.candidates[self.selected]


def is_better(value: float, best: float, metric: pb.SelectionMetric, min_delta: float = 0.0) -> bool:
    """Compare two values of the selection metric; equal ones are not better, so ties go to the earliest.

    Args:
        value: the newer one.
        best: the best before it.
        metric: loss is better lower, all else higher.
        min_delta: the improvement has to be larger than this.
    """
    if metric == pb.SELECTION_METRIC_LOSS:
        return value < best - min_delta
    return value > best + min_delta


def is_selected(found: list[History], position: int, selected: int | None, metric: pb.SelectionMetric) -> bool:
    """Tell whether a candidate is better than the best before it; ties go to the earlier one."""
    history = found[position]
    if not history.best_epoch:
        return False
    return selected is None or is_better(history.best.value(metric), found[selected].best.value(metric), metric)
