"""How far a job is, as checkpoints hold it: written, read back, and closed when training is over."""

from collections.abc import Mapping
from typing import Any

from cultivar.v1 import event_pb2, state_pb2
from cultivar_trainer import finetuning
from cultivar_trainer.checkpoint import Saved, Weights, restore_tensors
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.execution import Plan
from cultivar_trainer.loop.history import Histories, History, is_selected
from cultivar_trainer.loop.job import TRAINING, Job, PlanRecord, Progress
from cultivar_trainer.loop.telling import tell_lost


def save(
    job: Job, *, phase: state_pb2.TrainingPhase, epoch: int, step: int, at_once: bool = False, **learning: Any
) -> None:
    """Write a checkpoint.

    Args:
        job: how far its candidates are, and under which plan.
        phase: the one under way.
        epoch: whole epochs of the candidate before.
        step: updates of the candidate before.
        at_once: whether candidates train at once: their best weights, heads alone, are many and small, and so lie in
            the state and not in files of their own.
        learning: what goes on: tensors, learners, an epoch under way; or the outcome.
    """
    progress = job.progress
    bests = {str(position): one for position, one in progress.bests.items()}
    state = {
        "origin": job.origin,
        "plan": job.plan.to_json(),
        "plans": [one.to_json() for one in job.plans],
        "histories": [one.to_json() for one in progress.histories],
        "position": progress.position,
        "selected": progress.selected,
        "bests": {position: one.tensors for position, one in bests.items()} if at_once else {},
        "phase": int(phase),
        "epoch": epoch,
        "step": step,
        "at_once": at_once,
        **learning,
    }
    size = job.checkpoints.save(state, {} if at_once else bests)
    job.journal.checkpoint_written(event_pb2.CheckpointWritten(epoch=epoch, step=step, size_bytes=size))


def restore(job: Job, saved: Saved) -> None:
    """Go back to what `save` wrote, except for what is learning."""
    state = saved.state
    job.plan = Plan.from_json(state["plan"])
    job.plans = [PlanRecord.from_json(one) for one in state["plans"]]
    inside = {position: Weights(tensors) for position, tensors in state["bests"].items()}
    job.progress = Progress(
        histories=[History.from_json(one) for one in state["histories"]],
        position=state["position"],
        selected=state["selected"],
        bests={int(position): one for position, one in {**inside, **saved.weights}.items()},
    )


def resume(job: Job, saved: Saved) -> None:
    """Go on from an earlier attempt's checkpoint, and tell what that attempt could not any more.

    Args:
        job: as it would begin, under the checkpoint's plan for this host's devices.
        saved: the checkpoint.

    Raises:
        TaskFailed: CHECKPOINT_DOES_NOT_FIT where the network was another before training.
    """
    state, plan = saved.state, job.plan
    if state["origin"] != job.origin:
        raise TaskFailed(
            "CHECKPOINT_DOES_NOT_FIT",
            f"the network's weights before training have sha256 {job.origin[:12]}, and had {state['origin'][:12]} when "
            "the checkpoint was written: bring back the weights file and the release of then, or create the job anew",
        )
    restore(job, saved)
    job.plan = plan
    job.journal.training_resumed(
        event_pb2.TrainingResumed(
            phase=state["phase"], candidate=_candidate(job, state), epoch=state["epoch"], step=state["step"]
        )
    )
    tell_lost(job)


def finish(job: Job, *, at_once: bool = False) -> Histories:
    """Close training: the network gets the selected candidate's best weights; a later attempt only exports them."""
    histories = _take(job, job.progress.selected)
    last = histories.best.epochs[-1]
    job.progress.bests = {histories.selected: job.progress.bests[histories.selected]}
    save(job, phase=TRAINING, epoch=last.epoch, step=last.step, at_once=at_once, outcome={})
    return histories


def fail(job: Job, failure: TaskFailed, *, at_once: bool = False) -> TaskFailed:
    """Close training that can't go on: a later attempt fails alike, or exports the best epoch so far."""
    epochs = job.progress.histories[min(job.progress.position, len(job.progress.histories) - 1)].epochs
    epoch, step = (epochs[-1].epoch, epochs[-1].step) if epochs else (0, 0)
    outcome = {"reason": failure.reason, "message": failure.message}
    save(job, phase=TRAINING, epoch=epoch, step=step, at_once=at_once, outcome=outcome)
    return failure


def closed(job: Job, state: Mapping[str, Any]) -> Histories | None:
    """Return what an earlier attempt's training came to, its weights in the network; None while it goes on.

    Raises:
        TaskFailed: it failed.
    """
    outcome = state.get("outcome")
    if outcome is None:
        return None
    if outcome:
        raise TaskFailed(outcome["reason"], outcome["message"])
    return _take(job, job.progress.selected)


def best_so_far(job: Job) -> Histories:
    """Return what training had come to when it was stopped, the best epoch's weights in the network.

    Raises:
        TaskFailed: NOTHING_TO_EXPORT.
    """
    progress, selected = job.progress, None
    for position in sorted(progress.bests):
        if is_selected(progress.histories, position, selected, job.recipe.selection_metric):
            selected = position
    if selected is None:
        raise TaskFailed(
            "NOTHING_TO_EXPORT",
            "the job ended before a checkpoint had a whole epoch: create it anew, and let it run for longer",
        )
    return _take(job, selected)


def _take(job: Job, selected: int | None) -> Histories:
    assert selected is not None
    restore_tensors(job.network, job.progress.bests[selected].tensors)
    finetuning.freeze(job.network, job.recipe)  # GRADUAL may have ended while the head learned alone
    job.network.eval()
    return Histories(candidates=job.progress.histories, selected=selected)


def _candidate(job: Job, state: Mapping[str, Any]) -> int:
    """Return the number of the candidate under way, 0 where there is one or all train at once or all are over."""
    return 0 if state["at_once"] or "outcome" in state else job.progress.number
