"""The learning rate over time, as a share of its peak."""

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

from cultivar.v1 import training_spec_pb2 as pb


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """The learning rate as a function of the update's number; linear warm-up (Goyal et al. 2017), then a shape.

    Warm-up ends on the shape's beginning: its last update has the rate that the first one after it has.
    """

    kind: pb.ScheduleKind
    total_steps: int
    """Updates in all."""
    warmup_steps: int
    steps_at: tuple[int, ...] = ()
    """Updates from which STEP's and MULTISTEP's factor counts once more, rising."""
    step_factor: float = 1.0
    start_factor: float = 1.0
    """Share of the peak that CYCLIC and ONE_CYCLE begin on."""
    final_factor: float = 0.0
    """Share of the peak that EXPONENTIAL, LINEAR and ONE_CYCLE end on."""
    cycle_steps: float = 2.0
    """Updates of one rise and fall of CYCLIC."""
    rise: float = 0.0
    """Share of the updates in which ONE_CYCLE rises."""

    def factor(self, step: int) -> float:
        """Return the share of the peak in update `step`, 0 for the first.

        COSINE, LINEAR and EXPONENTIAL reach their end one update after the last, so that the last one still learns;
        ONE_CYCLE reaches it in the last, as torch's does. STEP and MULTISTEP count from the start of training, the
        others from the end of warm-up. PLATEAU stays: `Plateau` has its factor.
        """
        if step < self.warmup_steps:
            return self._shape(0, self.warmup_steps) * (step + 1) / self.warmup_steps
        return self._shape(step - self.warmup_steps, step)

    def _shape(self, step: int, since_start: int) -> float:
        length = max(1, self.total_steps - self.warmup_steps)
        progress = step / length
        match self.kind:
            case pb.SCHEDULE_KIND_STEP | pb.SCHEDULE_KIND_MULTISTEP:
                return math.pow(self.step_factor, bisect.bisect_right(self.steps_at, since_start))
            case pb.SCHEDULE_KIND_EXPONENTIAL:
                return math.pow(self.final_factor, progress)
            case pb.SCHEDULE_KIND_COSINE:
                return _cosine(1.0, 0.0, progress)
            case pb.SCHEDULE_KIND_LINEAR:
                return 1.0 + (self.final_factor - 1.0) * progress
            case pb.SCHEDULE_KIND_CYCLIC:
                height = 1.0 - abs(2.0 * math.fmod(step / self.cycle_steps, 1.0) - 1.0)
                return self.start_factor + (1.0 - self.start_factor) * height
            case pb.SCHEDULE_KIND_ONE_CYCLE:
                return self._one_cycle(step, length)
        return 1.0

    def _one_cycle(self, step: int, length: int) -> float:
        top, last = max(0.0, self.rise * length - 1), length - 1
        if step < top:
            return _cosine(self.start_factor, 1.0, step / top)
        return _cosine(1.0, self.final_factor, (step - top) / max(1.0, last - top))


def build_schedule(spec: pb.ScheduleSpec, *, epochs: int, steps_per_epoch: int) -> Schedule:
    """Turn epochs into updates.

    Args:
        spec: resolved.
        epochs: that the schedule spans.
        steps_per_epoch: updates in each.
    """
    steps_at: Sequence[int] = spec.milestones if spec.kind == pb.SCHEDULE_KIND_MULTISTEP else ()
    if spec.kind == pb.SCHEDULE_KIND_STEP:
        steps_at = range(spec.step_epochs, epochs, spec.step_epochs)
    return Schedule(
        kind=spec.kind,
        total_steps=epochs * steps_per_epoch,
        warmup_steps=round(spec.warmup_epochs * steps_per_epoch),
        steps_at=tuple(epoch * steps_per_epoch for epoch in steps_at),
        step_factor=spec.step_factor,
        start_factor=spec.start_factor,
        final_factor=spec.final_factor,
        # A cycle of one update would never leave its beginning.
        cycle_steps=max(2.0, spec.cycle_epochs * steps_per_epoch),
        rise=spec.rise,
    )


class Plateau:
    """The factor of schedule PLATEAU: it shrinks when the selection metric stops getting better.

    As torch's ReduceLROnPlateau with a patience of one less: ours counts the epochs without a better one after which it
    steps, as early stopping does, not those that it ignores.
    """

    def __init__(self, *, patience: int, step_factor: float) -> None:
        self._patience = patience
        self._step_factor = step_factor
        self._epochs_without = 0
        self.factor = 1.0
        """Share of the peak learning rate."""

    def observe(self, improved: bool) -> None:
        """Take note of whether an epoch was the best so far."""
        self._epochs_without = 0 if improved else self._epochs_without + 1
        if self._epochs_without >= self._patience:
            self.factor *= self._step_factor
            self._epochs_without = 0

    def state(self) -> dict[str, float]:
        """Return what a checkpoint keeps."""
        return {"factor": self.factor, "epochs_without": self._epochs_without}

    def load(self, state: dict[str, float]) -> None:
        """Go on from what `state` returned."""
        self.factor = state["factor"]
        self._epochs_without = int(state["epochs_without"])


def _cosine(start: float, end: float, progress: float) -> float:
    """Go from start to end along half a cosine; progress 0 to 1."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * progress))
