"""Many heads trained at once on cached features: one batched product for all learning rates and weight decays."""

import copy
import math
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from cultivar_trainer import evaluation
from cultivar_trainer.checkpoint import Saved, Weights
from cultivar_trainer.errors import Cancelled
from cultivar_trainer.loop import diagnosing, planning
from cultivar_trainer.loop.candidates import every_candidate_diverged
from cultivar_trainer.loop.history import Histories, is_selected
from cultivar_trainer.loop.job import Job, Phase
from cultivar_trainer.loop.learner import Learner
from cultivar_trainer.loop.memory import tell_memory
from cultivar_trainer.loop.saving import fail, finish, save
from cultivar_trainer.loop.stopping import StopRequest, deferred
from cultivar_trainer.loop.telling import tell_candidate, tell_epoch
from cultivar_trainer.loop.updates import EpochUnderWay, epoch_batches, not_finite, seed_dropout
from cultivar_trainer.losses import loss_terms, sample_weights


class HeadStack(nn.Module):
    """Copies of one head whose parameters lie behind each other, so that one product serves all."""

    def __init__(self, head: nn.Module, feature_shape: tuple[int, ...], count: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(copy.deepcopy(head) for _ in range(count))
        """Each head's parameters are views of the stacked ones."""
        self._feature_shape = feature_shape
        self.stacked = {
            name: torch.stack([one.detach()] * count).requires_grad_() for name, one in head.named_parameters()
        }
        """(count, *shape) by name."""
        for number, one in enumerate(self.heads):
            for name, parameter in one.named_parameters():
                parameter.data = self.stacked[name].data[number]

    def forward(self, features: Tensor) -> Tensor:
        """Map flat features (N, F) to the logits of all heads (count, N, K); dropout masks are the same for all."""
        first, shaped = self.heads[0], features.reshape(-1, *self._feature_shape)

        def one(parameters: dict[str, Tensor]) -> Tensor:
            return torch.flatten(functional_call(first, parameters, (shaped,)), 1)

        logits: Tensor = vmap(one, randomness="same")(self.stacked)
        return logits

    def backward(self, loss: Tensor) -> None:
        """Give each head its gradients of a sum over heads.

        `Tensor.backward` lays gradients out as their parameters are, which fused optimisers take for granted.
        """
        for stacked in self.stacked.values():
            stacked.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        for name, stacked in self.stacked.items():
            assert stacked.grad is not None
            for number, head in enumerate(self.heads):
                head.get_parameter(name).grad = stacked.grad[number]


def search_heads(job: Job, phase: Phase, saved: Saved | None = None) -> Histories:
    """Train all candidates' heads at once, each as it would be trained by itself; leave the best in the network.

    Args:
        job: in mode HEAD.
        phase: the epochs, on cached features; each candidate has its own learning rate and weight decay.
        saved: a checkpoint to go on from, whose progress the job has already; None: training begins.

    Raises:
        TaskFailed: LOSS_NOT_FINITE where every candidate diverges before its first epoch's end.
        EpochsReached: the run that this one repeats was ended here.
        Cancelled: this process was asked to stop; a checkpoint is written.
    """
    heads, under_way = _Heads(job, phase), None
    with deferred() as stop:
        if saved is None:
            planning.begin(job, phase, 0)
            heads.save(under_way)
            for position in heads.running:
                diagnosing.before_training(job, phase, heads.head(position), candidate=position + 1)
        else:
            under_way = heads.load(saved.state)
        while heads.running:
            planning.check_end(job)
            heads.one_epoch(under_way or heads.epoch_begun(), stop)
            under_way = None
    progress = job.progress
    progress.position = len(progress.histories)
    for position in range(progress.position):
        if is_selected(progress.histories, position, progress.selected, job.recipe.selection_metric):
            progress.selected = position
    for position, history in enumerate(progress.histories):
        if history.diverged:
            job.journal.warning(f"candidate {position + 1}: {history.diverged}")
        tell_candidate(job, position, progress.selected)
    if progress.selected is None:
        raise fail(job, every_candidate_diverged(job), at_once=True)
    return finish(job, at_once=True)


class _Heads:
    """All candidates' heads under way."""

    def __init__(self, job: Job, phase: Phase) -> None:
        found = job.progress.histories
        self._job = job
        self._phase = phase
        self._histories = found
        self._stack = HeadStack(job.network.head, job.network.feature_shape, len(found)).to(job.plan.device)
        self._steps_per_epoch = len(epoch_batches(len(phase.train.labels), job.recipe, epoch=0))
        self._epoch = 0
        self._learners = [
            Learner(
                head,
                {name: one for name, one in head.named_parameters()},
                depths=dict.fromkeys((name for name, _ in head.named_parameters()), 0),
                recipe=job.recipe,
                phase=replace(phase, learning_rate=history.learning_rate, weight_decay=history.weight_decay),
                plan=job.plan,
                steps_per_epoch=self._steps_per_epoch,
                history=history,
            )
            for head, history in zip(self._stack.heads, found, strict=True)
        ]

    @property
    def running(self) -> list[int]:
        """Positions of the candidates that have epochs to come."""
        return [at for at, one in enumerate(self._learners) if not one.over and not self._histories[at].diverged]

    def head(self, position: int) -> nn.Module:
        """Return a candidate's head."""
        return self._stack.heads[position]

    def epoch_begun(self) -> EpochUnderWay:
        """Return an epoch that has seen nothing."""
        return EpochUnderWay.begun(torch.device(self._job.plan.device), (len(self._learners),))

    def save(self, under_way: EpochUnderWay | None) -> None:
        """Write a checkpoint."""
        save(
            self._job,
            phase=self._phase.kind,
            epoch=self._epoch,
            step=self._epoch * self._steps_per_epoch + (0 if under_way is None else under_way.batches),
            at_once=True,
            stacked={name: one.detach() for name, one in self._stack.stacked.items()},
            learners=[one.state() for one in self._learners],
            under_way=None if under_way is None else under_way.state(),
        )

    def load(self, state: dict[str, Any]) -> EpochUnderWay | None:
        """Go back to what `save` wrote; return the epoch under way, if there is one."""
        self._epoch = state["epoch"]
        for name, stacked in self._stack.stacked.items():
            stacked.data.copy_(state["stacked"][name])  # in place: the heads' parameters are views of it
        for learner, one in zip(self._learners, state["learners"], strict=True):
            learner.load(one)
        under_way = state["under_way"]
        return None if under_way is None else EpochUnderWay.of(under_way, torch.device(self._job.plan.device))

    def one_epoch(self, under_way: EpochUnderWay, stop: StopRequest) -> None:
        """Train, judge and tell what is left of an epoch."""
        job, phase, running = self._job, self._phase, self.running
        self._update(under_way, running, stop)
        trained = time.perf_counter()
        self._stack.eval()
        with ExitStack() as judged:
            for position in running:
                judged.enter_context(self._learners[position].weights_to_judge())
            logits, labels = _validate(phase, self._stack, job.plan.evaluation_batch)
            for position in running:
                self._finish(position, logits[position], labels, under_way, len(running), time.perf_counter() - trained)
        for position in running:
            if not self._histories[position].diverged:
                diagnosing.after_epoch(
                    job,
                    phase,
                    self._histories[position].epochs[-1],
                    self.head(position),
                    candidate=position + 1,
                    last=self._learners[position].over,
                )
        self._epoch += 1
        self._stop_or_save(None, stop)

    def _update(self, under_way: EpochUnderWay, running: list[int], stop: StopRequest) -> None:
        job, phase = self._job, self._phase
        self._stack.train()
        started = time.perf_counter() - under_way.seconds
        batches = epoch_batches(len(phase.train.labels), job.recipe, epoch=self._epoch)
        for number in range(under_way.batches, len(batches)):
            indices, step = batches[number], self._epoch * self._steps_per_epoch + number
            seed_dropout(job.recipe, step)
            targets = phase.train.labels[indices.to(phase.train.labels.device)]
            logits = self._stack(phase.train.inputs(indices, self._epoch))
            total = sample_weights(targets, job.class_weights).sum()
            losses = loss_terms(logits, targets, job.recipe.loss, job.class_weights)[0].sum(dim=1) / total
            self._stack.backward(losses.sum())
            for position in running:
                self._learners[position].update(step)
            under_way.loss_sum += losses.detach() * len(indices)
            under_way.correct += (logits.detach().argmax(2) == targets).sum(dim=1)
            under_way.images += len(indices)
            under_way.batches += 1
            under_way.seconds = time.perf_counter() - started
            tell_memory(job)
            self._stop_or_save(under_way, stop)

    def _finish(
        self, position: int, logits: Tensor, labels: Tensor, under_way: EpochUnderWay, shares: int, val_seconds: float
    ) -> None:
        """Note a candidate's epoch, and tell it; the time is shared by those that train."""
        learner, history, job = self._learners[position], self._histories[position], self._job
        metrics = evaluation.measure(logits, labels)
        loss_sum, last = float(under_way.loss_sum[position]), learner.step + under_way.batches - 1
        if not math.isfinite(loss_sum) or not math.isfinite(metrics.loss):
            history.diverged = not_finite(last, learner.learning_rate(last)).message
            diagnosing.diverged(job, self._phase, learner.epoch, self.head(position), candidate=position + 1)
            return
        figures, best = learner.finish_epoch(
            loss=loss_sum / under_way.images,
            accuracy=int(under_way.correct[position]) / under_way.images,
            metrics=metrics,
            train_seconds=under_way.seconds / shares,
            val_seconds=val_seconds / shares,
        )
        if best:
            head = self._stack.heads[position].state_dict()
            tensors = {f"head.{name}": one.detach().to("cpu", copy=True) for name, one in head.items()}
            job.progress.bests[position] = Weights(tensors)
        eta = (under_way.seconds + val_seconds) * (self._phase.epochs - self._epoch - 1)
        tell_epoch(job, figures, best=best, candidate=position + 1, eta_seconds=eta)

    def _stop_or_save(self, under_way: EpochUnderWay | None, stop: StopRequest) -> None:
        """Write a checkpoint between two updates, where it is time for one or this process was asked to stop."""
        if stop.asked or self._job.checkpoints.due():
            self.save(under_way)
        if stop.asked:
            raise Cancelled


@torch.no_grad()
def _validate(phase: Phase, stack: HeadStack, batch_size: int) -> tuple[Tensor, Tensor]:
    """Return the logits of all heads (count, N, K) and the labels (N,), on the CPU."""
    logits, labels = [], []
    for rows, targets in phase.validation.in_order(batch_size):
        logits.append(stack(rows).cpu())
        labels.append(targets.cpu())
    return torch.cat(logits, dim=1), torch.cat(labels)
