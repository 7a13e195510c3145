from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.optimization.groups import parameter_groups
from cultivar_trainer.optimization.optimizers import build_optimizer, set_learning_rate

FIELDS: dict[str, Any] = {
    "learning_rate": 0.1,
    "momentum": 0.9,
    "nesterov": True,
    "beta1": 0.8,
    "beta2": 0.95,
    "epsilon": 1e-3,
    "layer_decay": 1,
    "other_learning_rate": 0.4,
}
TORCHS: dict[pb.OptimizerKind, Callable[[list[nn.Parameter]], torch.optim.Optimizer]] = {
    pb.OPTIMIZER_KIND_SGD: lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    pb.OPTIMIZER_KIND_ADAGRAD: lambda p: torch.optim.Adagrad(p, lr=0.1, eps=1e-3),
    pb.OPTIMIZER_KIND_RMSPROP: lambda p: torch.optim.RMSprop(p, lr=0.1, alpha=0.95, eps=1e-3, momentum=0.9),
    pb.OPTIMIZER_KIND_ADAM: lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.8, 0.95), eps=1e-3),
    pb.OPTIMIZER_KIND_ADAMW: lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=0),
}
RULES = [pytest.param(kind, id=pb.OptimizerKind.Name(kind)) for kind in TORCHS]


def optimizer_of(parameters: list[nn.Parameter], spec: pb.OptimizerSpec, *, fused: bool = False) -> Any:
    named = [(str(number), one) for number, one in enumerate(parameters)]
    return build_optimizer(parameter_groups(named, spec, {}), spec, fused=fused)


def moves(optimizer: torch.optim.Optimizer, parameter: nn.Parameter, updates: int = 4) -> list[torch.Tensor]:
    """What each update adds to a parameter whose gradients are drawn by the update's number."""
    made = []
    for number in range(updates):
        parameter.grad = torch.randn(
            parameter.shape, generator=torch.Generator().manual_seed(number), dtype=parameter.dtype
        )
        before = parameter.detach().clone()
        optimizer.step()
        made.append(parameter.detach() - before)
    return made


@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("fused", [False, True])
def test_updates_are_those_of_torchs_optimisers(kind: pb.OptimizerKind, fused: bool) -> None:
    ours, theirs = (nn.Parameter(torch.ones(3, 2)) for _ in range(2))

    moves(optimizer_of([ours], pb.OptimizerSpec(kind=kind, **FIELDS), fused=fused), ours)
    moves(TORCHS[kind]([theirs]), theirs)

    assert torch.allclose(ours, theirs, rtol=1e-6)
    assert not torch.allclose(ours, torch.ones(3, 2), atol=0.1)


@pytest.mark.parametrize("kind", RULES)
def test_updates_are_the_learning_rate_times_what_depends_on_gradients_alone(kind: pb.OptimizerKind) -> None:
    # The search over heads trains candidates with different learning rates as one parameter with a rate of 1.
    def moved(start: float, rate: float) -> torch.Tensor:
        parameter = nn.Parameter(torch.full((3, 2), start, dtype=torch.float64))
        spec = pb.OptimizerSpec(kind=kind, **FIELDS)
        optimizer = optimizer_of([parameter], spec)
        set_learning_rate(optimizer, rate, spec)
        return torch.stack(moves(optimizer, parameter))

    reference = moved(0.0, 1.0)

    assert torch.allclose(moved(5.0, 1.0), reference)
    assert torch.allclose(moved(0.0, 0.01), 0.01 * reference)


@pytest.mark.parametrize("kind", RULES)
def test_a_saved_state_goes_on_as_if_nothing_had_happened(kind: pb.OptimizerKind) -> None:
    spec = pb.OptimizerSpec(kind=kind, **FIELDS)
    whole, halves = (nn.Parameter(torch.ones(3, 2)) for _ in range(2))
    first, second = optimizer_of([whole], spec), optimizer_of([halves], spec)
    moves(first, whole)
    moves(second, halves)
    resumed = optimizer_of([halves], spec)
    resumed.load_state_dict(second.state_dict())

    moves(first, whole)
    moves(resumed, halves)

    assert torch.equal(whole, halves)
    assert [group["decays"] for group in resumed.param_groups] == [True]


def test_each_group_learns_at_its_share_of_the_rate() -> None:
    parameters = [nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))]
    spec = pb.OptimizerSpec(kind=pb.OPTIMIZER_KIND_SGD, learning_rate=0.1, layer_decay=0.5)
    groups = parameter_groups([("far", parameters[0]), ("near", parameters[1])], spec, {"far": 3})
    optimizer = build_optimizer(groups, spec, fused=False)

    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1 / 8, 0.1])
    set_learning_rate(optimizer, 0.04, spec)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.04 / 8, 0.04])


def test_what_muon_leaves_to_sgd_has_a_learning_rate_of_its_own() -> None:
    spec = pb.OptimizerSpec(kind=pb.OPTIMIZER_KIND_MUON, **FIELDS)
    parameters = [nn.Parameter(torch.ones(2, 2, 3, 3)), nn.Parameter(torch.ones(2))]
    optimizer = optimizer_of(parameters, spec)

    set_learning_rate(optimizer, 0.05, spec)

    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05, 0.2])
