"""What training minimises, as a weighted sum and its weights: a mean over micro-batches is then exact."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cultivar.v1 import training_spec_pb2 as pb


def loss_terms(
    logits: Tensor, targets: Tensor, spec: pb.LossSpec, class_weights: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the loss of each sample times its weight, and the weights: an update's loss is the quotient of their sums.

    Cross-entropy: for int64 targets the quotient is torch's weighted, smoothed mean. Binary cross-entropy: each class
    by itself, summed over classes (Wightman et al. 2021). Both smooth targets once, mixed ones too (Szegedy et al.
    2016, section 7). Multi-class hinge: the sum over wrong classes of max(0, 1 + logit - right class's logit) (Weston &
    Watkins 1999, "Support vector machines for multi-class pattern recognition"), over K as torch has it.

    Args:
        logits: (..., N, K), float32; leading dimensions are heads that see the same samples.
        targets: int64 (N,), or probabilities (N, K) of mixed samples, which the hinge has no meaning for.
        spec: resolved.
        class_weights: (K,); None: all 1. A sample's weight is the mean of its classes' by its targets, unsmoothed.

    Returns:
        Numerators (..., N) and weights (N,).
    """
    classes = logits.shape[-1]
    soft, weights = targets.is_floating_point(), sample_weights(targets, class_weights)
    match spec.kind:
        case pb.LOSS_KIND_BINARY_CROSS_ENTROPY:
            wanted = targets.to(logits) if soft else F.one_hot(targets, classes).to(logits)
            wanted = _smoothed(wanted, spec.label_smoothing).expand(logits.shape)
            losses = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(-1)
            return losses * weights, weights
        case pb.LOSS_KIND_MULTI_CLASS_HINGE:
            assert not soft, "a hinge between right and wrong classes needs one right class"
            rows, labels = logits.reshape(-1, classes), targets.expand(logits.shape[:-1]).reshape(-1)
            losses = F.multi_margin_loss(rows, labels, reduction="none").reshape(logits.shape[:-1])
            return losses * weights, weights
    if soft:
        wanted = _smoothed(targets.to(logits), spec.label_smoothing)
        if class_weights is not None:
            wanted = wanted * class_weights
        return -(logits.log_softmax(-1) * wanted).sum(-1), weights
    rows, labels = logits.reshape(-1, classes), targets.expand(logits.shape[:-1]).reshape(-1)
    losses = F.cross_entropy(rows, labels, weight=class_weights, label_smoothing=spec.label_smoothing, reduction="none")
    return losses.reshape(logits.shape[:-1]), weights


def sample_weights(targets: Tensor, class_weights: Tensor | None) -> Tensor:
    """Return the weight of each sample, float32 (N,); targets and class_weights as in `loss_terms`."""
    if class_weights is None:
        return torch.ones(len(targets), dtype=torch.float32, device=targets.device)
    return targets @ class_weights if targets.is_floating_point() else class_weights[targets]


def class_weights(spec: pb.LossSpec, class_ids: Sequence[str], counts: Sequence[int]) -> Tensor | None:
    """Return the weight of each class, float32 (K,); None where all weigh 1.

    Args:
        spec: resolved. Balanced classes weigh N / (K * n), so that each class counts as much as any other and samples
            weigh 1 on average; explicit weights are factors of that.
        class_ids: in label order.
        counts: training images of each class that take part, above 0.
    """
    if not spec.balance_classes and not spec.class_weights:
        return None
    weights = torch.tensor([spec.class_weights.get(class_id, 1.0) for class_id in class_ids], dtype=torch.float32)
    if spec.balance_classes:
        weights *= sum(counts) / (len(counts) * torch.tensor(counts, dtype=torch.float32))
    return weights


def _smoothed(targets: Tensor, smoothing: float) -> Tensor:
    return targets * (1 - smoothing) + smoothing / targets.shape[-1] if smoothing else targets
