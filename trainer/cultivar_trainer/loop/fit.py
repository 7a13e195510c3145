"""One phase of training one candidate: epochs, validation, checkpoints, and recovery from lack of memory."""

import math
import resource
import time
from pathlib import Path

import torch
from torch import nn

from cultivar.v1 import event_pb2
from cultivar_trainer import evaluation, finetuning
from cultivar_trainer.checkpoint import copy_tensors, restore_tensors
from cultivar_trainer.loop.history import Epoch, History
from cultivar_trainer.loop.job import TRAINING, Job, Phase
from cultivar_trainer.loop.learner import Learner
from cultivar_trainer.loop.memory import make_room, use_smaller_passes
from cultivar_trainer.loop.updates import epoch_batches, not_finite, one_epoch


def fit(job: Job, phase: Phase, history: History) -> None:
    """Train for a phase's epochs, or until early stopping; `history` and the best checkpoint say what came of it.

    On lack of GPU memory the last end-of-epoch state is loaded and training goes on with half the micro-batch, the
    effective batch staying.

    Raises:
        TaskFailed: LOSS_NOT_FINITE, or OUT_OF_MEMORY where a micro-batch can't be halved.
    """
    learner = _learner(job, phase, history)
    _save(job, phase, learner)
    while not learner.over:
        try:
            _epoch(job, phase, learner)
            continue
        except torch.OutOfMemoryError:
            pass  # recovered from outside: the exception holds the frames that hold the tensors
        del learner
        make_room(job)
        learner = _recover(job, phase, history)


def epoch_event(figures: Epoch, *, job: Job, best: bool, candidate: int, eta_seconds: float) -> event_pb2.EpochFinished:
    """Return an epoch's figures as an event."""
    names = {one.name for one in event_pb2.EpochFinished.DESCRIPTOR.fields}
    event = event_pb2.EpochFinished(
        **{name: getattr(figures, name) for name in Epoch.__slots__ if name in names},
        epochs=job.recipe.epochs,
        best=best,
        candidate=candidate,
        eta_seconds=eta_seconds,
        host_memory_bytes=_resident_bytes(),
    )
    if job.plan.device.startswith("cuda"):
        event.gpu_memory_bytes = torch.cuda.max_memory_reserved(torch.device(job.plan.device))
    return event


def _learner(job: Job, phase: Phase, history: History) -> Learner:
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
        history=history,
    )


def _epoch(job: Job, phase: Phase, learner: Learner) -> None:
    number, total = phase.first_epoch + learner.epoch + 1, len(phase.train.labels)
    stage = f"{f'candidate {phase.candidate}, ' if phase.candidate else ''}epoch {number}/{job.recipe.epochs}"

    def tell(seen: int) -> None:
        if seen < total:  # the whole epoch has an event of its own
            job.journal.progress(stage, seen, total, "images")

    started = time.perf_counter()
    loss, accuracy = one_epoch(job, phase, learner, tell)
    trained = time.perf_counter()
    job.network.eval()
    with learner.weights_to_judge():
        metrics = evaluation.evaluate(phase.forward, phase.validation.in_order(job.plan.evaluation_batch))
        if not math.isfinite(metrics.loss):
            last = learner.step + len(epoch_batches(total, job.recipe, epoch=0)) - 1
            raise not_finite(last, learner.learning_rate(last))
        figures, best = learner.finish_epoch(
            loss=loss,
            accuracy=accuracy,
            metrics=metrics,
            train_seconds=trained - started,
            val_seconds=time.perf_counter() - trained,
        )
        if best:
            tensors = copy_tensors(job.network, job.movable)
            job.checkpoints.save_best({"epoch": figures.epoch, "candidate": phase.candidate, "tensors": tensors})
    _save(job, phase, learner)
    seconds = sum(one.train_seconds + one.val_seconds for one in learner.history.epochs)
    eta = seconds / figures.epoch * (job.recipe.epochs - figures.epoch)
    job.journal.epoch_finished(epoch_event(figures, job=job, best=best, candidate=phase.candidate, eta_seconds=eta))
    if learner.stopped and learner.epoch < phase.epochs and phase.kind == TRAINING:  # else the job goes on
        job.journal.early_stopped(event_pb2.EarlyStopped(epoch=figures.epoch, best_epoch=learner.history.best_epoch))


def _save(job: Job, phase: Phase, learner: Learner) -> None:
    """Write the state at the end of an epoch, or at the phase's start."""
    job.checkpoints.save(
        {
            "phase": int(phase.kind),
            "candidate": phase.candidate,
            "step": learner.step,
            "tensors": copy_tensors(job.network, job.movable),
            "learner": learner.state(),
            "plan": job.plan.to_json(),
        }
    )


def _recover(job: Job, phase: Phase, history: History) -> Learner:
    """Go back to the last end of an epoch under a plan with half the micro-batch.

    Raises:
        TaskFailed: OUT_OF_MEMORY where nothing is left to halve.
    """
    state, batch_norms = job.checkpoints.load(), finetuning.learning_batch_norms(job.network)
    use_smaller_passes(
        job, phase=phase.kind, candidate=phase.candidate, step=state["step"], smallest=2 if batch_norms else 1
    )
    if batch_norms:
        job.journal.warning(
            f"BatchNorm layers that learn take their statistics from {job.plan.micro_batch} images at a time from here "
            f"on, not {job.recipe.batch_size}: all else is as it would have been"
        )
    restore_tensors(job.network, state["tensors"])
    learner = _learner(job, phase, history)
    learner.load(state["learner"])
    return learner


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
