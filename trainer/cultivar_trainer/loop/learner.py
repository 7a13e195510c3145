"""One candidate's weights under way: update rule, learning rate, average, patience and history."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.evaluation import Metrics
from cultivar_trainer.execution import Plan
from cultivar_trainer.loop.history import Epoch, History, is_better
from cultivar_trainer.loop.job import Phase
from cultivar_trainer.optimization.averaging import WeightAverage
from cultivar_trainer.optimization.clipping import clip
from cultivar_trainer.optimization.groups import parameter_groups
from cultivar_trainer.optimization.optimizers import build_optimizer, set_learning_rate
from cultivar_trainer.optimization.penalties import add_penalty_gradients, penalty_values, shrink
from cultivar_trainer.optimization.schedules import Plateau, build_schedule


class Learner:
    """Turns gradients into updates, and epochs into a history."""

    def __init__(
        self,
        module: nn.Module,
        named: Mapping[str, nn.Parameter],
        *,
        depths: Mapping[str, int],
        recipe: pb.TrainingSpec,
        phase: Phase,
        plan: Plan,
        steps_per_epoch: int,
        history: History,
    ) -> None:
        self._recipe = recipe
        self._spec = spec = pb.OptimizerSpec()
        spec.CopyFrom(recipe.optimizer)
        spec.learning_rate = phase.learning_rate  # the candidate's
        self._phase = phase
        self._steps_per_epoch = steps_per_epoch
        self.history = history
        self.epoch = 0
        """Epochs of the phase that are over."""
        self.first_step = phase.first_epoch * steps_per_epoch
        """Updates before the phase."""
        self._parameters = list(named.values())
        self._optimizer = build_optimizer(
            parameter_groups(named.items(), spec, depths), spec, fused=plan.fused_optimizer
        )
        self._scaler = torch.amp.GradScaler(torch.device(plan.device).type, enabled=plan.autocast == "float16")
        self._average = None
        if spec.ema_share:
            module.train()  # the average is of what moves in training
            total_steps = phase.epochs * steps_per_epoch
            self._average = WeightAverage(module, ema_share=spec.ema_share, total_steps=total_steps)
        self._schedule = build_schedule(phase.schedule, epochs=phase.epochs, steps_per_epoch=steps_per_epoch)
        self._plateau = _plateau(phase.schedule)
        self._patience = _Patience(recipe)

    @property
    def over(self) -> bool:
        """Whether the phase has had its epochs, or early stopping has ended it."""
        return self.epoch >= self._phase.epochs or self.stopped

    @property
    def stopped(self) -> bool:
        """Whether patience is at its end."""
        return self._patience.over

    @property
    def step(self) -> int:
        """Updates that the candidate had made when the current epoch began."""
        return self.first_step + self.epoch * self._steps_per_epoch

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of an update, by its number among the candidate's."""
        steps_down = 1.0 if self._plateau is None else self._plateau.factor
        return self._phase.learning_rate * self._schedule.factor(step - self.first_step) * steps_down

    def backward(self, loss: Tensor) -> None:
        """Add a pass's gradients."""
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def update(self, step: int) -> None:
        """Turn the gradients of one update's passes into new weights."""
        spec, decay = self._spec, self._phase.weight_decay
        in_loss = spec.weight_decay_form == pb.WEIGHT_DECAY_FORM_IN_LOSS
        set_learning_rate(self._optimizer, self.learning_rate(step), spec)
        self._scaler.unscale_(self._optimizer)  # penalties and clipping are for true gradients
        add_penalty_gradients(self._optimizer, l1=spec.l1, l2=decay if in_loss else 0.0)
        clip(self._parameters, norm=spec.clip_norm, value=spec.clip_value)
        if not in_loss:
            shrink(self._optimizer, decay)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad(set_to_none=True)
        if self._average is not None:
            self._average.update()

    def weights_to_judge(self) -> AbstractContextManager[None]:
        """Put the weights in place that validation, selection and export use: the average, where there is one."""
        return nullcontext() if self._average is None else self._average.swapped()

    def finish_epoch(
        self, *, loss: float, accuracy: float, metrics: Metrics, train_seconds: float, val_seconds: float
    ) -> tuple[Epoch, bool]:
        """Note an epoch's figures; tell whether it is the candidate's best so far."""
        spec, phase = self._spec, self._phase
        last_step = self.step + self._steps_per_epoch
        l1, l2 = penalty_values(self._optimizer, l1=spec.l1, l2=phase.weight_decay)
        figures = Epoch(
            epoch=phase.first_epoch + self.epoch + 1,
            phase=phase.kind,
            learning_rate=self.learning_rate(last_step - 1),
            train_loss=loss,
            train_accuracy=accuracy,
            val_loss=metrics.loss,
            val_accuracy=metrics.accuracy,
            val_top5_accuracy=metrics.top5_accuracy,
            val_macro_f1=metrics.macro_f1,
            l1_penalty=l1,
            l2_penalty=l2,
            train_seconds=train_seconds,
            val_seconds=val_seconds,
            images_per_second=len(phase.train.labels) / train_seconds,
            step=last_step,
        )
        best = self.history.add(figures, self._recipe.selection_metric)
        improved = self._patience.observe(figures.value(self._recipe.selection_metric))
        if self._plateau is not None:
            self._plateau.observe(improved)
        self.epoch += 1
        return figures, best

    def state(self) -> dict[str, Any]:
        """Return all that a checkpoint needs beside the weights and the history."""
        return {
            "epoch": self.epoch,
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "average": None if self._average is None else self._average.state_dict(),
            "plateau": None if self._plateau is None else self._plateau.state(),
            "patience": self._patience.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go back to what `state` gave."""
        self.epoch = state["epoch"]
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        if self._plateau is not None:
            self._plateau.load(state["plateau"])
        self._patience.load(state["patience"])


def _plateau(spec: pb.ScheduleSpec) -> Plateau | None:
    if spec.kind != pb.SCHEDULE_KIND_PLATEAU:
        return None
    return Plateau(patience=spec.plateau_patience, step_factor=spec.step_factor)


class _Patience:
    """Counts epochs without improvement (Prechelt 1998)."""

    def __init__(self, recipe: pb.TrainingSpec) -> None:
        self._metric = recipe.selection_metric
        self._spec = recipe.early_stopping
        self._best: float | None = None
        self._waited = 0

    @property
    def over(self) -> bool:
        return 0 < self._spec.patience <= self._waited

    def observe(self, value: float) -> bool:
        """Tell whether an epoch's selection metric is an improvement."""
        if self._best is None or is_better(value, self._best, self._metric, self._spec.min_delta):
            self._best, self._waited = value, 0
            return True
        self._waited += 1
        return False

    def state(self) -> dict[str, Any]:
        return {"best": self._best, "waited": self._waited}

    def load(self, state: dict[str, Any]) -> None:
        self._best, self._waited = state["best"], state["waited"]
