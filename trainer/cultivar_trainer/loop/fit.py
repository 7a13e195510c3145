"""One phase of training one candidate: epochs, validation, checkpoints, and recovery from lack of memory."""

import math
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from cultivar.v1 import event_pb2
from cultivar_trainer import evaluation, finetuning
from cultivar_trainer.checkpoint import Weights, copy_tensors, restore_tensors, tensors_of
from cultivar_trainer.errors import Cancelled, TaskFailed
from cultivar_trainer.loop import diagnosing, planning
from cultivar_trainer.loop.job import TRAINING, Job, Phase
from cultivar_trainer.loop.learner import Learner
from cultivar_trainer.loop.memory import make_room, tell_memory, use_smaller_passes
from cultivar_trainer.loop.saving import restore, save
from cultivar_trainer.loop.stopping import StopRequest, deferred
from cultivar_trainer.loop.telling import tell_epoch
from cultivar_trainer.loop.updates import EpochUnderWay, epoch_batches, not_finite, one_epoch


def fit(job: Job, phase: Phase, state: dict[str, Any] | None = None) -> None:
    """Train for a phase's epochs, or until early stopping; the job's progress says what came of it.

    On lack of GPU memory the last checkpoint is loaded and training goes on with half the micro-batch, the effective
    batch staying.

    Args:
        job: its network begins the phase, or is as before training where `state` is given.
        phase: the epochs.
        state: of a checkpoint from inside the phase, to go on from; None: the phase begins.

    Raises:
        TaskFailed: LOSS_NOT_FINITE, or OUT_OF_MEMORY where a micro-batch can't be halved.
        EpochsReached: the run that this one repeats was ended here.
        Cancelled: this process was asked to stop; a checkpoint is written.
    """
    with deferred() as stop:
        if state is None:
            learner, under_way = _learner(job, phase), None
            planning.begin(job, phase, learner.step)
            _save(job, phase, learner, under_way)
            if not phase.first_epoch:
                diagnosing.before_training(job, phase)
        else:
            learner, under_way = _restored(job, phase, state)
        while not learner.over:
            planning.check_end(job)
            try:
                _epoch(job, phase, learner, under_way, stop)
                under_way = None
                continue
            except torch.OutOfMemoryError:
                pass  # recovered from outside: the exception holds the frames that hold the tensors
            except TaskFailed:
                diagnosing.diverged(job, phase, phase.first_epoch + learner.epoch)
                raise
            del learner, under_way
            make_room(job)
            learner, under_way = _recover(job, phase)


def _learner(job: Job, phase: Phase) -> Learner:
    named = {
        name: one for name, one in job.network.named_tensors() if isinstance(one, nn.Parameter) and one.requires_grad
    }
    return Learner(
        job.network,
        named,
        depths=finetuning.depths(job.network),
        recipe=job.recipe,
        phase=phase,
        plan=job.plan,
        steps_per_epoch=len(epoch_batches(len(phase.train.labels), job.recipe, epoch=0)),
        history=job.progress.history,
    )


def _epoch(job: Job, phase: Phase, learner: Learner, under_way: EpochUnderWay | None, stop: StopRequest) -> None:
    number, total = phase.first_epoch + learner.epoch + 1, len(phase.train.labels)
    stage = f"{f'candidate {phase.candidate}, ' if phase.candidate else ''}epoch {number}/{job.recipe.epochs}"
    under_way = under_way or EpochUnderWay.begun(torch.device(job.plan.device))

    def between_updates() -> None:
        tell_memory(job)
        if under_way.images < total:  # the whole epoch has an event of its own
            job.journal.progress(stage, under_way.images, total, "images")
        _stop_or_save(job, phase, learner, under_way, stop)

    loss, accuracy = one_epoch(job, phase, learner, under_way, between_updates)
    trained = time.perf_counter()
    job.network.eval()
    try:
        with learner.weights_to_judge():
            batches = _until_asked(phase.validation.in_order(job.plan.evaluation_batch), stop)
            metrics = evaluation.evaluate(phase.forward, batches)
            if not math.isfinite(metrics.loss):
                last = learner.step + under_way.batches - 1
                raise not_finite(last, learner.learning_rate(last))
            figures, best = learner.finish_epoch(
                loss=loss,
                accuracy=accuracy,
                metrics=metrics,
                train_seconds=under_way.seconds,
                val_seconds=time.perf_counter() - trained,
            )
            if best:
                job.progress.bests[job.progress.position] = Weights(copy_tensors(job.network, job.movable))
    except Cancelled:
        _save(job, phase, learner, under_way)
        raise
    history = job.progress.history
    seconds = sum(one.train_seconds + one.val_seconds for one in history.epochs)
    eta = seconds / figures.epoch * (job.recipe.epochs - figures.epoch)
    tell_epoch(job, figures, best=best, candidate=phase.candidate, eta_seconds=eta)
    if learner.stopped and learner.epoch < phase.epochs and phase.kind == TRAINING:  # else the job goes on
        job.journal.early_stopped(event_pb2.EarlyStopped(epoch=figures.epoch, best_epoch=history.best_epoch))
    diagnosing.after_epoch(job, phase, figures, last=learner.over and phase.kind == TRAINING)
    # Told before it is saved: what a checkpoint knows of was told, unless the power went.
    _stop_or_save(job, phase, learner, None, stop)


def _until_asked(batches: Iterator[tuple[Tensor, Tensor]], stop: StopRequest) -> Iterator[tuple[Tensor, Tensor]]:
    for batch in batches:
        if stop.asked:
            raise Cancelled
        yield batch


def _stop_or_save(job: Job, phase: Phase, learner: Learner, under_way: EpochUnderWay | None, stop: StopRequest) -> None:
    """Write a checkpoint between two updates, where it is time for one or this process was asked to stop."""
    if stop.asked or job.checkpoints.due():
        _save(job, phase, learner, under_way)
    if stop.asked:
        raise Cancelled


def _save(job: Job, phase: Phase, learner: Learner, under_way: EpochUnderWay | None) -> None:
    save(
        job,
        phase=phase.kind,
        epoch=phase.first_epoch + learner.epoch,
        step=learner.step + (0 if under_way is None else under_way.batches),
        tensors=tensors_of(job.network, job.movable),
        learner=learner.state(),
        under_way=None if under_way is None else under_way.state(),
    )


def _restored(job: Job, phase: Phase, state: dict[str, Any]) -> tuple[Learner, EpochUnderWay | None]:
    """Return the learner and the epoch under way of a checkpoint whose progress the job has already."""
    restore_tensors(job.network, state["tensors"])
    learner = _learner(job, phase)
    learner.load(state["learner"])
    under_way = state["under_way"]
    return learner, None if under_way is None else EpochUnderWay.of(under_way, torch.device(job.plan.device))


def _recover(job: Job, phase: Phase) -> tuple[Learner, EpochUnderWay | None]:
    """Go back to the last checkpoint under a plan with half the micro-batch.

    Raises:
        TaskFailed: OUT_OF_MEMORY where nothing is left to halve.
    """
    saved, plan = job.checkpoints.load(job.journal), job.plan
    assert saved is not None, "each phase begins with a checkpoint"
    restore(job, saved)
    job.plan = plan
    batch_norms = finetuning.learning_batch_norms(job.network)
    use_smaller_passes(
        job,
        phase=phase.kind,
        candidate=phase.candidate,
        step=saved.state["step"],
        smallest=2 if batch_norms else 1,
    )
    if batch_norms:
        job.journal.warning(
            f"BatchNorm layers that learn take their statistics from {job.plan.micro_batch} images at a time from here "
            f"on, not {job.recipe.batch_size}: all else is as it would have been"
        )
    learner, under_way = _restored(job, phase, saved.state)
    _save(job, phase, learner, under_way)
    return learner, under_way
