from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.losses import class_weights, loss_terms

N, K = 6, 5
LOGITS = torch.randn(N, K, generator=torch.Generator().manual_seed(0)) * 3
HARD = torch.arange(N) % K
SOFT = torch.rand(N, K, generator=torch.Generator().manual_seed(1)).softmax(1)
WEIGHTS = torch.tensor([0.5, 1, 2, 3, 0.25])
KINDS = [pb.LOSS_KIND_CROSS_ENTROPY, pb.LOSS_KIND_BINARY_CROSS_ENTROPY, pb.LOSS_KIND_MULTI_CLASS_HINGE]


def mean(logits: Tensor, targets: Tensor, weights: Tensor | None = None, **fields: Any) -> Tensor:
    numerators, denominators = loss_terms(logits, targets, pb.LossSpec(**fields), weights)
    return numerators.sum(-1) / denominators.sum()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_cross_entropy_of_labels_is_torchs(smoothing: float, weights: Tensor | None) -> None:
    ours = mean(LOGITS, HARD, weights, kind=pb.LOSS_KIND_CROSS_ENTROPY, label_smoothing=smoothing)

    assert torch.allclose(ours, F.cross_entropy(LOGITS, HARD, weight=weights, label_smoothing=smoothing))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_of_mixed_targets_is_torchs(smoothing: float) -> None:
    ours = mean(LOGITS, SOFT, kind=pb.LOSS_KIND_CROSS_ENTROPY, label_smoothing=smoothing)

    assert torch.allclose(ours, F.cross_entropy(LOGITS, SOFT, label_smoothing=smoothing))


@pytest.mark.parametrize("kind", KINDS[:2])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_a_label_is_a_mixture_of_one_class(kind: pb.LossKind, smoothing: float, weights: Tensor | None) -> None:
    hard, soft = (
        loss_terms(LOGITS, targets, pb.LossSpec(kind=kind, label_smoothing=smoothing), weights)
        for targets in (HARD, F.one_hot(HARD, K).float())
    )

    assert torch.allclose(hard[0], soft[0], atol=1e-6)
    assert torch.allclose(hard[1], soft[1])


@pytest.mark.parametrize("targets", [HARD, SOFT], ids=["labels", "mixed"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_binary_cross_entropy_sums_over_classes_that_stand_by_themselves(targets: Tensor, smoothing: float) -> None:
    ours = mean(LOGITS, targets, kind=pb.LOSS_KIND_BINARY_CROSS_ENTROPY, label_smoothing=smoothing)

    wanted = targets if targets.is_floating_point() else F.one_hot(targets, K).float()
    wanted = wanted * (1 - smoothing) + smoothing / K
    theirs = F.binary_cross_entropy_with_logits(LOGITS, wanted, reduction="sum") / N
    assert torch.allclose(ours, theirs)
    probabilities = LOGITS.sigmoid()
    by_hand = -(wanted * probabilities.log() + (1 - wanted) * (1 - probabilities).log()).sum(1).mean()
    assert torch.allclose(ours, by_hand, rtol=1e-4)


def test_the_hinge_is_torchs_and_its_definition() -> None:
    ours = mean(LOGITS, HARD, kind=pb.LOSS_KIND_MULTI_CLASS_HINGE)

    assert torch.allclose(ours, F.multi_margin_loss(LOGITS, HARD))
    by_hand = [
        sum(max(0.0, 1 + float(row[k] - row[label])) for k in range(K) if k != label) / K
        for row, label in zip(LOGITS, HARD.tolist(), strict=True)
    ]
    assert float(ours) == pytest.approx(sum(by_hand) / N)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_weighs_as_its_classes_do(kind: pb.LossKind) -> None:
    plain, _ = loss_terms(LOGITS, HARD, pb.LossSpec(kind=kind), None)

    numerators, weights = loss_terms(LOGITS, HARD, pb.LossSpec(kind=kind), WEIGHTS)

    assert torch.equal(weights, WEIGHTS[HARD])
    assert torch.allclose(numerators, plain * weights)


def test_a_mixed_sample_weighs_the_mean_of_its_classes() -> None:
    for kind in KINDS[:2]:
        _, weights = loss_terms(LOGITS, SOFT, pb.LossSpec(kind=kind, label_smoothing=0.3), WEIGHTS)
        assert torch.allclose(weights, SOFT @ WEIGHTS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("targets", [HARD, SOFT], ids=["labels", "mixed"])
def test_heads_side_by_side_have_the_loss_and_gradient_of_each_alone(kind: pb.LossKind, targets: Tensor) -> None:
    if kind == pb.LOSS_KIND_MULTI_CLASS_HINGE:
        targets = HARD
    heads = torch.stack([LOGITS, -LOGITS, 2 * LOGITS]).requires_grad_()

    together = mean(heads, targets, WEIGHTS, kind=kind)
    together.sum().backward()  # type: ignore[no-untyped-call]

    assert together.shape == (3,)
    for number in range(3):
        alone = heads[number].detach().clone().requires_grad_()
        loss = mean(alone, targets, WEIGHTS, kind=kind)
        loss.backward()  # type: ignore[no-untyped-call]
        assert torch.allclose(together[number], loss)
        assert heads.grad is not None
        assert torch.allclose(heads.grad[number], alone.grad, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_micro_batches_of_any_sizes_add_up_to_the_whole(kind: pb.LossKind) -> None:
    whole = mean(LOGITS, HARD, WEIGHTS, kind=kind)

    parts = [
        loss_terms(LOGITS[part], HARD[part], pb.LossSpec(kind=kind), WEIGHTS) for part in (slice(0, 4), slice(4, 6))
    ]

    assert torch.allclose(sum(one.sum() for one, _ in parts) / sum(one.sum() for _, one in parts), whole)


def test_balanced_classes_count_alike_and_samples_weigh_one_on_average() -> None:
    counts = [10, 40, 50]

    weights = class_weights(pb.LossSpec(balance_classes=True), ["a", "b", "c"], counts)

    assert weights is not None
    assert (weights * torch.tensor(counts)).tolist() == pytest.approx([100 / 3] * 3)


def test_explicit_weights_are_factors_and_others_weigh_one() -> None:
    spec = pb.LossSpec(class_weights={"b": 3.0})
    balanced = pb.LossSpec(class_weights={"b": 3.0}, balance_classes=True)

    explicit, both = (class_weights(one, ["a", "b"], [10, 30]) for one in (spec, balanced))

    assert explicit is not None
    assert both is not None
    assert explicit.tolist() == [1, 3]
    assert both.tolist() == pytest.approx([40 / 20, 3 * 40 / 60])


def test_no_weights_are_none() -> None:
    assert class_weights(pb.LossSpec(), ["a", "b"], [10, 30]) is None
