"""Made-up histories: an epoch's losses and accuracies follow from its number."""

from collections.abc import Callable

from cultivar.v1 import state_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.loop.history import Epoch, History

TOP1 = pb.SELECTION_METRIC_TOP1
WARMUP, TRAINING = state_pb2.TRAINING_PHASE_HEAD_WARMUP, state_pb2.TRAINING_PHASE_TRAINING
Figures = tuple[float, float, float, float]
"""Training loss, training accuracy, validation loss, validation accuracy."""


def history(epochs: int, figures: Callable[[int], Figures], *, warmup: int = 0, rate: float = 1e-3) -> History:
    """Return a history whose first epochs are those of a head's warm-up, at a hundred times the learning rate."""
    made = History(learning_rate=rate, weight_decay=1e-4)
    for number in range(1, epochs + 1):
        train_loss, train_accuracy, val_loss, val_accuracy = figures(number)
        made.add(
            Epoch(
                epoch=number,
                phase=WARMUP if number <= warmup else TRAINING,
                learning_rate=rate * (100 if number <= warmup else 1) * (1 - (number - 1) / epochs),
                train_loss=train_loss,
                train_accuracy=train_accuracy,
                val_loss=val_loss,
                val_accuracy=val_accuracy,
                val_top5_accuracy=val_accuracy,
                val_macro_f1=val_accuracy,
                l1_penalty=0.0,
                l2_penalty=0.0,
                train_seconds=1.0,
                val_seconds=1.0,
                images_per_second=100.0,
                step=number,
            ),
            TOP1,
        )
    return made


def overfitted(epochs: int = 20, *, warmup: int = 0) -> History:
    """Return one whose validation loss is lowest after two fifths of the epochs, and whose accuracy stays at 0.7."""
    turn = epochs * 2 // 5

    def figures(number: int) -> Figures:
        seen = number / epochs
        return 2.3 * 0.01**seen, 1 - 0.8 * 0.01**seen, 1 + abs(number - turn) / epochs, 0.7 - 0.5 * 0.001**seen

    return history(epochs, figures, warmup=warmup)
