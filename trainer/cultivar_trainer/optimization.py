"""Optimisers and learning-rate schedules."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from cultivar.v1 import training_spec_pb2 as pb


def build_optimizer(
    parameters: Sequence[nn.Parameter], spec: pb.OptimizerSpec, *, fused: bool
) -> torch.optim.Optimizer:
    """Build the update rule over parameters that learn; weights decay, biases and normalisation (1-d) don't.

    SGD: Sutskever et al. 2013, weight decay as L2 in the loss. AdamW: Loshchilov & Hutter 2019, decoupled decay.
    """
    assert parameters, "an optimiser without parameters trains nothing"
    groups = [
        {"params": [one for one in parameters if one.ndim > 1], "weight_decay": spec.weight_decay},
        {"params": [one for one in parameters if one.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if spec.kind == pb.OPTIMIZER_KIND_SGD:
        return torch.optim.SGD(
            groups,
            lr=spec.learning_rate,
            momentum=spec.momentum,
            nesterov=spec.nesterov,
            fused=fused,
        )
    return torch.optim.AdamW(groups, lr=spec.learning_rate, fused=fused)


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """The learning rate as a function of the update's number."""

    kind: pb.ScheduleKind
    peak: float
    total_steps: int
    warmup_steps: int
    step_length: int
    """Updates between two steps of STEP."""
    step_factor: float

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of update `step`, 0 for the first.

        Linear warm-up (Goyal et al. 2017) ends on the peak; COSINE then reaches zero one update after the last
        (Loshchilov & Hutter 2017); STEP counts from the start of training.
        """
        if step < self.warmup_steps:
            return self.peak * (step + 1) / self.warmup_steps
        if self.kind == pb.SCHEDULE_KIND_STEP:
            return self.peak * self.step_factor ** (step // self.step_length)
        if self.kind == pb.SCHEDULE_KIND_COSINE:
            progress = (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps)
            return self.peak * 0.5 * (1 + math.cos(math.pi * progress))
        return self.peak


def build_schedule(spec: pb.ScheduleSpec, *, peak: float, epochs: int, steps_per_epoch: int) -> Schedule:
    """Turn epochs into updates."""
    return Schedule(
        kind=spec.kind,
        peak=peak,
        total_steps=epochs * steps_per_epoch,
        warmup_steps=round(spec.warmup_epochs * steps_per_epoch),
        step_length=spec.step_epochs * steps_per_epoch,
        step_factor=spec.step_factor,
    )
