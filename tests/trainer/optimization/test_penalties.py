from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.optimization.groups import parameter_groups
from cultivar_trainer.optimization.optimizers import build_optimizer
from cultivar_trainer.optimization.penalties import add_penalty_gradients, penalty_values, shrink

FIELDS: dict[str, Any] = {
    "learning_rate": 0.1,
    "momentum": 0.9,
    "nesterov": True,
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-8,
    "layer_decay": 1,
}


def problem(kind: pb.OptimizerKind = pb.OPTIMIZER_KIND_SGD, **fields: Any) -> tuple[Any, nn.Parameter, nn.Parameter]:
    """An optimiser over a weight and a bias."""
    weight = nn.Parameter(torch.tensor([[1.0, -2], [0, 4]]))
    bias = nn.Parameter(torch.tensor([3.0, -3]))
    spec = pb.OptimizerSpec(kind=kind, **FIELDS | fields)
    groups = parameter_groups([("weight", weight), ("bias", bias)], spec, {})
    return build_optimizer(groups, spec, fused=False), weight, bias


def train(optimizer: torch.optim.Optimizer, parameters: tuple[nn.Parameter, ...], before: Callable[[], None]) -> None:
    for step in range(4):
        for parameter in parameters:
            parameter.grad = torch.cos(torch.arange(parameter.numel()) + step).reshape(parameter.shape)
        before()
        optimizer.step()


@pytest.mark.parametrize(
    ("kind", "reference"),
    [
        (
            pb.OPTIMIZER_KIND_SGD,
            lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.3),
        ),
        (pb.OPTIMIZER_KIND_ADAM, lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.3)),
    ],
)
def test_decay_in_the_loss_is_torchs_weight_decay(kind: pb.OptimizerKind, reference: Any) -> None:
    optimizer, weight, bias = problem(kind)
    (_, same, _) = problem(kind)

    train(optimizer, (weight, bias), lambda: add_penalty_gradients(optimizer, l1=0, l2=0.3))
    train(reference([same]), (same,), lambda: None)

    assert torch.equal(weight, same)


def test_decay_beside_the_update_is_adamws() -> None:
    optimizer, weight, bias = problem(pb.OPTIMIZER_KIND_ADAMW)
    (_, same, _) = problem()

    train(optimizer, (weight, bias), lambda: shrink(optimizer, 0.3))
    train(torch.optim.AdamW([same], lr=0.1, weight_decay=0.3), (same,), lambda: None)

    assert torch.equal(weight, same)


def test_the_gradients_are_those_of_the_values() -> None:
    optimizer, weight, bias = problem()
    (0.3 * weight.abs().sum() + 0.7 / 2 * weight.square().sum()).backward()
    wanted, weight.grad, bias.grad = weight.grad, torch.zeros(2, 2), torch.zeros(2)

    add_penalty_gradients(optimizer, l1=0.3, l2=0.7)

    assert wanted is not None
    assert torch.allclose(weight.grad, wanted)
    assert weight.grad[1, 0] == 0  # the absolute value has no slope at zero
    assert torch.equal(bias.grad, torch.zeros(2))
    assert penalty_values(optimizer, l1=0.3, l2=0.7) == pytest.approx((0.3 * 7, 0.35 * 21))
    assert penalty_values(optimizer, l1=0, l2=0) == (0, 0)


def test_biases_are_penalised_where_that_is_asked_for() -> None:
    optimizer, weight, bias = problem(decay_all=True)
    weight.grad, bias.grad = torch.zeros(2, 2), torch.zeros(2)

    add_penalty_gradients(optimizer, l1=0, l2=0.5)
    shrink(optimizer, 0.5)

    assert torch.equal(bias.grad, torch.tensor([1.5, -1.5]))
    assert torch.allclose(bias, torch.tensor([3.0, -3]) * 0.95)
    assert penalty_values(optimizer, l1=1, l2=1) == pytest.approx((13 * 0.95, 39 / 2 * 0.95**2))


def test_shrinking_follows_each_groups_learning_rate() -> None:
    weight, far = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    spec = pb.OptimizerSpec(kind=pb.OPTIMIZER_KIND_ADAMW, **FIELDS | {"layer_decay": 0.5})
    optimizer = build_optimizer(parameter_groups([("near", weight), ("far", far)], spec, {"far": 1}), spec, fused=False)
    weight.grad, far.grad = torch.zeros(2, 2), torch.zeros(2, 2)

    shrink(optimizer, 0.5)

    assert torch.equal(weight, torch.full((2, 2), 0.95))
    assert torch.equal(far, torch.full((2, 2), 0.975))


def test_weights_that_took_no_part_in_a_batch_stay() -> None:
    optimizer, weight, _ = problem()

    add_penalty_gradients(optimizer, l1=0.5, l2=0.5)
    shrink(optimizer, 0.5)

    assert weight.grad is None
    assert weight[0, 0] == 1


def test_the_penalty_of_weights_whose_square_float32_can_not_hold_is_a_number() -> None:
    optimizer, weight, _ = problem()
    with torch.no_grad():
        weight.fill_(1e30)

    l1, l2 = penalty_values(optimizer, l1=0.5, l2=2)

    assert l1 == pytest.approx(2e30)
    assert l2 == pytest.approx(4e60)
