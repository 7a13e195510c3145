"""How good answers are: loss, top-1, top-5 and macro-F1 over a whole split, in fp32."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

TOP_K = 5
_EVALUATION_BATCH = 64
_EVALUATION_SIZE = 224


@dataclass(frozen=True, kw_only=True, slots=True)
class Metrics:
    """Figures of one split."""

    image_count: int
    loss: float
    """Mean cross-entropy in nats, without label smoothing."""
    accuracy: float
    """Top-1, 0 to 1."""
    top5_accuracy: float
    """0 to 1; 1 where there are five classes or fewer."""
    macro_f1: float
    """Mean of F1 over the classes that occur among labels or answers, 0 to 1."""


def evaluation_batch(input_size: int) -> int:
    """Return the images per forward pass in evaluation: 64 at 224 px, fewer of larger ones for the same memory."""
    return max(1, min(_EVALUATION_BATCH, _EVALUATION_BATCH * _EVALUATION_SIZE**2 // input_size**2))


@torch.no_grad()
def evaluate(forward: Callable[[Tensor], Tensor], batches: Iterable[tuple[Tensor, Tensor]]) -> Metrics:
    """Measure logits against labels, each image once.

    Args:
        forward: maps a batch of inputs to logits (N, K).
        batches: inputs and int64 labels (N,).
    """
    logits, labels = [], []
    for inputs, targets in batches:
        logits.append(forward(inputs).float().cpu())
        labels.append(targets.cpu())
    return measure(torch.cat(logits), torch.cat(labels))


def measure(logits: Tensor, labels: Tensor) -> Metrics:
    """Measure logits (N, K) against int64 labels (N,).

    A tie counts for the label only where it stands first, as in a sorted answer; equal scores can't inflate top-k.
    """
    order = torch.argsort(logits, dim=1, descending=True, stable=True)[:, :TOP_K]
    hits = order == labels[:, None]
    return Metrics(
        image_count=len(labels),
        loss=float(F.cross_entropy(logits.double(), labels)),
        accuracy=float(hits[:, 0].double().mean()),
        top5_accuracy=float(hits.any(dim=1).double().mean()),
        macro_f1=_macro_f1(order[:, 0], labels, logits.shape[1]),
    )


def _macro_f1(answers: Tensor, labels: Tensor, classes: int) -> float:
    """Average F1 = 2 TP / (2 TP + FP + FN) over classes, as scikit-learn's f1_score(average="macro") does.

    A class that is neither a label nor an answer has no F1 and is left out; one that is never answered right has 0.
    """
    right = torch.bincount(labels[answers == labels], minlength=classes)
    either = torch.bincount(labels, minlength=classes) + torch.bincount(answers, minlength=classes)
    occurs = either > 0
    return float((2 * right[occurs] / either[occurs].double()).mean())


def measure_probabilities(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> Metrics:
    """Measure probabilities (N, K) against labels (N,); a probability of zero counts as float32's smallest."""
    logits = torch.from_numpy(np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)))
    return measure(logits, torch.from_numpy(labels))
