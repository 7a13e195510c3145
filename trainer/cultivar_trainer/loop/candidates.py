"""Learning rates and weight decays to try: trained one after the other, selected on validation data."""

from collections.abc import Callable, Iterator

from cultivar.v1 import state_pb2
from cultivar_trainer.checkpoint import Saved, copy_tensors, restore_tensors
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.loop.fit import fit
from cultivar_trainer.loop.history import Histories, is_selected
from cultivar_trainer.loop.job import Job, Phase
from cultivar_trainer.loop.saving import fail, finish
from cultivar_trainer.loop.telling import tell_candidate

Phases = Callable[[state_pb2.TrainingPhase | None], Iterator[Phase]]
"""Yields the phases of the candidate under way, each prepared when the one before is over; from the given one on."""


def search(job: Job, phases: Phases, saved: Saved | None = None) -> Histories:
    """Train every candidate from the same start; leave the selected one's best weights in the network.

    Args:
        job: its network is as before training.
        phases: of each candidate.
        saved: a checkpoint to go on from, whose progress the job has already; None: training begins.

    Raises:
        TaskFailed: LOSS_NOT_FINITE where every candidate diverges before its first epoch's end, or the only one at all.
    """
    state = None if saved is None else saved.state
    start = copy_tensors(job.network, job.movable)
    while True:
        try:
            for phase in phases(None if state is None else state["phase"]):
                fit(job, phase, state)
                state = None
        except TaskFailed as failure:
            if failure.reason != "LOSS_NOT_FINITE":
                raise
            if len(job.progress.histories) == 1:
                raise fail(job, failure) from None
            job.progress.history.diverged = failure.message
        state = None
        _judge(job)
        if job.progress.position == len(job.progress.histories):
            break
        restore_tensors(job.network, start)
    if job.progress.selected is None:
        raise fail(job, every_candidate_diverged(job))
    return finish(job)


def every_candidate_diverged(job: Job) -> TaskFailed:
    """Make the failure of a job none of whose candidates has a finite loss."""
    return TaskFailed("LOSS_NOT_FINITE", f"every candidate diverged; the last: {job.progress.histories[-1].diverged}")


def _judge(job: Job) -> None:
    """Close the candidate under way: it is the best so far, or its weights are let go of."""
    progress, position, before = job.progress, job.progress.position, job.progress.selected
    if is_selected(progress.histories, position, before, job.recipe.selection_metric):
        progress.selected = position
    dropped = before if progress.selected == position else position
    if dropped is not None:
        progress.bests.pop(dropped, None)
    if len(progress.histories) > 1:
        if progress.history.diverged:
            job.journal.warning(f"candidate {position + 1}: {progress.history.diverged}")
        tell_candidate(job, position, progress.selected)
    progress.position += 1
