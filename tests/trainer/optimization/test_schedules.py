from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.optimization.schedules import Plateau, Schedule, build_schedule

EPOCHS, STEPS = 6, 10
KINDS = [pytest.param(number, id=name) for name, number in pb.ScheduleKind.items() if number]
FIELDS: dict[str, Any] = {
    "step_epochs": 2,
    "step_factor": 0.1,
    "milestones": [1, 4],
    "final_factor": 0.02,
    "start_factor": 0.1,
    "cycle_epochs": 2.0,
    "rise": 0.3,
}


def schedule(kind: pb.ScheduleKind, **changes: Any) -> Schedule:
    return build_schedule(pb.ScheduleSpec(kind=kind, **FIELDS | changes), epochs=EPOCHS, steps_per_epoch=STEPS)


def factors(kind: pb.ScheduleKind, **changes: Any) -> list[float]:
    return [schedule(kind, **changes).factor(step) for step in range(EPOCHS * STEPS)]


@pytest.mark.parametrize(
    ("kind", "theirs"),
    [
        (pb.SCHEDULE_KIND_CONSTANT, lambda o: lr_scheduler.ConstantLR(o, factor=1)),
        (pb.SCHEDULE_KIND_STEP, lambda o: lr_scheduler.StepLR(o, 20, gamma=0.1)),
        (pb.SCHEDULE_KIND_MULTISTEP, lambda o: lr_scheduler.MultiStepLR(o, [10, 40], gamma=0.1)),
        (pb.SCHEDULE_KIND_EXPONENTIAL, lambda o: lr_scheduler.ExponentialLR(o, gamma=0.02 ** (1 / 60))),
        (pb.SCHEDULE_KIND_COSINE, lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=60)),
        (pb.SCHEDULE_KIND_LINEAR, lambda o: lr_scheduler.LinearLR(o, 1.0, 0.02, total_iters=60)),
        (
            pb.SCHEDULE_KIND_CYCLIC,
            lambda o: lr_scheduler.CyclicLR(o, base_lr=0.1, max_lr=1.0, step_size_up=10, cycle_momentum=False),
        ),
        (
            pb.SCHEDULE_KIND_ONE_CYCLE,
            lambda o: lr_scheduler.OneCycleLR(
                o, 1.0, total_steps=60, pct_start=0.3, div_factor=10, final_div_factor=5, cycle_momentum=False
            ),
        ),
    ],
)
def test_shapes_are_those_of_torchs_schedulers(kind: pb.ScheduleKind, theirs: Callable[[Any], Any]) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = theirs(optimizer)
    wanted = []
    for _ in range(EPOCHS * STEPS):
        wanted.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(wanted) < EPOCHS * STEPS:  # a one-cycle schedule refuses to be asked further
            scheduler.step()

    assert factors(kind) == pytest.approx(wanted, abs=1e-9)


def test_falling_shapes_end_one_update_after_the_last_and_one_cycle_in_it() -> None:
    for kind, end in (
        (pb.SCHEDULE_KIND_COSINE, 0),
        (pb.SCHEDULE_KIND_LINEAR, 0.02),
        (pb.SCHEDULE_KIND_EXPONENTIAL, 0.02),
    ):
        assert schedule(kind).factor(60) == pytest.approx(end, abs=1e-12)
        assert schedule(kind).factor(59) > end
    assert schedule(pb.SCHEDULE_KIND_ONE_CYCLE).factor(59) == pytest.approx(0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_warmup_rises_by_step_in_a_line_to_the_shapes_beginning(kind: pb.ScheduleKind) -> None:
    made = factors(kind, warmup_epochs=1.5)

    begin = made[15]
    rises = {pb.SCHEDULE_KIND_CYCLIC: 0.1, pb.SCHEDULE_KIND_ONE_CYCLE: 0.1, pb.SCHEDULE_KIND_MULTISTEP: 0.1}
    assert begin == pytest.approx(rises.get(kind, 1.0))
    assert made[:15] == pytest.approx([begin * (step + 1) / 15 for step in range(15)])


def test_shapes_span_what_warmup_leaves_but_steps_count_from_the_start() -> None:
    for kind in (pb.SCHEDULE_KIND_COSINE, pb.SCHEDULE_KIND_LINEAR, pb.SCHEDULE_KIND_ONE_CYCLE):
        rest = build_schedule(pb.ScheduleSpec(kind=kind, **FIELDS), epochs=5, steps_per_epoch=STEPS)
        assert factors(kind, warmup_epochs=1)[10:] == pytest.approx([rest.factor(step) for step in range(50)])
    for kind in (pb.SCHEDULE_KIND_STEP, pb.SCHEDULE_KIND_MULTISTEP):
        assert factors(kind, warmup_epochs=1)[10:] == factors(kind)[10:]


@pytest.mark.parametrize("kind", KINDS)
def test_every_factor_is_between_zero_and_one_however_odd_the_lengths(kind: pb.ScheduleKind) -> None:
    odd: tuple[dict[str, Any], ...] = (
        {"warmup_epochs": 1, "rise": 1.0},
        {"rise": 1e-6, "cycle_epochs": 0.01},
        {"warmup_epochs": 0.34, "cycle_epochs": 0.7, "final_factor": 0.0},
    )
    for changes in odd:
        for epochs, steps_per_epoch in ((1, 1), (1, 2), (3, 1), (2, 3)):
            made = build_schedule(
                pb.ScheduleSpec(kind=kind, **FIELDS | changes), epochs=epochs, steps_per_epoch=steps_per_epoch
            )
            values = [made.factor(step) for step in range(epochs * steps_per_epoch)]
            assert all(0 <= one <= 1 for one in values)
            assert values[0] > 0


def test_a_cycle_rises_to_the_peak_and_falls_again() -> None:
    made = factors(pb.SCHEDULE_KIND_CYCLIC, cycle_epochs=1.0)

    assert made[:11] == pytest.approx([0.1, 0.28, 0.46, 0.64, 0.82, 1, 0.82, 0.64, 0.46, 0.28, 0.1])


def test_one_cycle_peaks_where_its_rise_ends() -> None:
    made = factors(pb.SCHEDULE_KIND_ONE_CYCLE, rise=0.5)

    assert made.index(max(made)) == 29
    assert made[0] == pytest.approx(0.1)


def test_a_plateau_steps_as_torchs_does() -> None:
    history = [5.0, 4, 4, 4, 4, 4, 4, 3, 3.5, 3.2, 2, 2, 2, 2, 2, 2, 2, 2]
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=2, threshold=0, eps=0)
    ours, best = Plateau(patience=3, step_factor=0.1), float("inf")
    for loss in history:
        ours.observe(improved=loss < best)
        best = min(best, loss)
        theirs.step(loss)
        assert ours.factor == pytest.approx(optimizer.param_groups[0]["lr"])
    assert ours.factor == pytest.approx(1e-3)


def test_a_plateau_goes_on_from_its_saved_state() -> None:
    before = Plateau(patience=2, step_factor=0.5)
    for improved in (True, False, False, False):
        before.observe(improved)
    after = Plateau(patience=2, step_factor=0.5)

    after.load(before.state())

    assert after.factor == 0.5
    after.observe(False)
    assert after.factor == 0.25
