"""What the loop tells of epochs and candidates, also of those whose events a power cut has taken."""

import torch

from cultivar.v1 import event_pb2
from cultivar_trainer.loop.history import Epoch, History, is_better, is_selected
from cultivar_trainer.loop.job import Job
from cultivar_trainer.loop.memory import resident_bytes


def tell_epoch(job: Job, figures: Epoch, *, best: bool, candidate: int, eta_seconds: float) -> None:
    """Tell an epoch's figures."""
    names = {one.name for one in event_pb2.EpochFinished.DESCRIPTOR.fields}
    event = event_pb2.EpochFinished(
        **{name: getattr(figures, name) for name in Epoch.__slots__ if name in names},
        epochs=job.recipe.epochs,
        best=best,
        candidate=candidate,
        eta_seconds=eta_seconds,
        host_memory_bytes=resident_bytes(),
    )
    if job.plan.device.startswith("cuda"):
        event.gpu_memory_bytes = torch.cuda.max_memory_reserved(torch.device(job.plan.device))
    job.journal.epoch_finished(event)


def tell_candidate(job: Job, position: int, selected: int | None) -> None:
    """Tell how a candidate did.

    Args:
        job: has its history.
        position: the candidate's.
        selected: that of the best so far.
    """
    history = job.progress.histories[position]
    event = event_pb2.CandidateFinished(
        candidate=position + 1,
        candidates=len(job.progress.histories),
        learning_rate=history.learning_rate,
        weight_decay=history.weight_decay,
        best_epoch=history.best_epoch,
        best=position == selected,
    )
    if history.best_epoch:
        event.value = history.best.value(job.recipe.selection_metric)
    job.journal.candidate_finished(event)


def tell_lost(job: Job) -> None:
    """Tell what a checkpoint knows of and no earlier attempt's events do; the journal leaves out what was told."""
    progress, selected = job.progress, None
    several = len(progress.histories) > 1
    for position, history in enumerate(progress.histories):
        for figures in history.epochs:
            best = _was_best(job, history, figures)
            tell_epoch(job, figures, best=best, candidate=position + 1 if several else 0, eta_seconds=0.0)
        if several and position < progress.position:
            if is_selected(progress.histories, position, selected, job.recipe.selection_metric):
                selected = position
            tell_candidate(job, position, selected)


def _was_best(job: Job, history: History, figures: Epoch) -> bool:
    metric = job.recipe.selection_metric
    before = history.epochs[: figures.epoch - 1]
    return all(is_better(figures.value(metric), one.value(metric), metric) for one in before)
