import math

import pytest
import torch
from torch import nn

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.optimization import Schedule, build_optimizer, build_schedule


def schedule(kind: pb.ScheduleKind, **changes: float) -> Schedule:
    spec = pb.ScheduleSpec(kind=kind, warmup_epochs=changes.get("warmup", 0), step_epochs=2, step_factor=0.1)
    return build_schedule(spec, peak=1.0, epochs=6, steps_per_epoch=10)


def test_cosine_falls_from_the_peak_to_zero_like_torchs() -> None:
    ours = schedule(pb.SCHEDULE_KIND_COSINE)
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=60)

    for step in range(60):
        assert ours.learning_rate(step) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        theirs.step()
    assert ours.learning_rate(60) == pytest.approx(0)


def test_steps_multiply_the_learning_rate() -> None:
    ours = schedule(pb.SCHEDULE_KIND_STEP)

    assert [ours.learning_rate(step) for step in (0, 19, 20, 39, 40, 59)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_constant_stays() -> None:
    assert {schedule(pb.SCHEDULE_KIND_CONSTANT).learning_rate(step) for step in range(60)} == {1.0}


def test_warmup_rises_linearly_to_the_peak() -> None:
    ours = schedule(pb.SCHEDULE_KIND_COSINE, warmup=1.5)

    assert [ours.learning_rate(step) for step in (0, 7, 14)] == pytest.approx([1 / 15, 8 / 15, 1])
    assert ours.learning_rate(15) == 1.0
    assert ours.learning_rate(59) == pytest.approx(0.5 * (1 + math.cos(math.pi * 44 / 45)))


@pytest.mark.parametrize("kind", [pb.OPTIMIZER_KIND_SGD, pb.OPTIMIZER_KIND_ADAMW])
def test_weights_decay_and_biases_and_normalisation_do_not(kind: pb.OptimizerKind) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    spec = pb.OptimizerSpec(kind=kind, learning_rate=0.1, momentum=0.9, nesterov=True, weight_decay=0.5)
    optimizer = build_optimizer(list(model.parameters()), spec, fused=False)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)

    optimizer.step()

    moved = [not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True)]
    assert moved == [True, False, False, False]


def test_updates_are_those_of_torchs_optimisers() -> None:
    for kind, reference in (
        (pb.OPTIMIZER_KIND_SGD, lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.5)),
        (pb.OPTIMIZER_KIND_ADAMW, lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.5)),
    ):
        ours, theirs = (nn.Parameter(torch.ones(2, 2)) for _ in range(2))
        spec = pb.OptimizerSpec(kind=kind, learning_rate=0.1, momentum=0.9, nesterov=True, weight_decay=0.5)
        for parameter, optimizer in ((ours, build_optimizer([ours], spec, fused=False)), (theirs, reference([theirs]))):
            for step in range(3):
                parameter.grad = torch.full((2, 2), 1.0 + step)
                optimizer.step()
        assert torch.equal(ours, theirs)
