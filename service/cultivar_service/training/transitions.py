"""Which state a job may be asked into from which. Each function is one transaction; repeating it changes nothing."""

from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa

from cultivar.v1 import state_pb2, training_pb2
from cultivar_service.catalog import jobs, models, queue, studies
from cultivar_service.catalog.datasets import find
from cultivar_service.catalog.job_record import (
    CANCELLED,
    CANCELLING,
    FAILED,
    FINAL,
    PAUSED,
    PAUSING,
    QUEUED,
    RUNNING,
    state_event,
    state_name,
)
from cultivar_service.catalog.references import parse_dataset, parse_version
from cultivar_service.errors import FailedPrecondition, QueueFull
from cultivar_service.training.job_log import existing
from cultivar_service.training.train_request import MODELS

_CANCELS: Mapping[int, state_pb2.TrainingJobState] = {
    QUEUED: CANCELLED,
    PAUSED: CANCELLED,
    RUNNING: CANCELLING,
    PAUSING: CANCELLING,
}
"""What a cancellation makes of a state; others stay."""
_PAUSES: Mapping[int, state_pb2.TrainingJobState] = {QUEUED: PAUSED, RUNNING: PAUSING}


def cancel(connection: sa.Connection, job_id: str) -> training_pb2.TrainingJob:
    """Ask a job to stop.

    Raises:
        NotFound: there is no such job.
    """
    job = existing(connection, job_id)
    following = _CANCELS.get(job.state)
    return job if following is None else jobs.append(connection, job_id, [state_event(following)])


def cancel_members(connection: sa.Connection, job: training_pb2.TrainingJob) -> list[training_pb2.TrainingJob]:
    """Ask the members to stop that were queued with an ensemble; return those that this has changed."""
    if job.spec.ensemble.members < 2 or not job.HasField("combination"):
        return []
    changed = []
    for name in job.combination.members:
        member = jobs.get(connection, name.removeprefix(jobs.JOBS))
        if member is not None and member.state in _CANCELS:
            changed.append(cancel(connection, jobs.identifier(member)))
    return changed


def pause(connection: sa.Connection, job_id: str) -> training_pb2.TrainingJob:
    """Ask a job to give its device back.

    Raises:
        NotFound: there is no such job.
        FailedPrecondition: it has ended, or is about to.
    """
    job = existing(connection, job_id)
    if job.state in (PAUSING, PAUSED):
        return job
    if job.state not in _PAUSES:
        raise FailedPrecondition(
            f"{job.name} is {state_name(job.state)}: only a queued or running job can be paused",
            reason="JOB_NOT_PAUSABLE",
        )
    return jobs.append(connection, job_id, [state_event(_PAUSES[job.state])])


def resume(connection: sa.Connection, job_id: str, *, max_queued: int) -> training_pb2.TrainingJob:
    """Queue a paused job again.

    Raises:
        NotFound: there is no such job.
        FailedPrecondition, QueueFull: it is not paused, or `max_queued` jobs wait.
    """
    job = existing(connection, job_id)
    if job.state in (QUEUED, RUNNING):
        return job
    if job.state != PAUSED:
        remedy = "wait until it is PAUSED" if job.state == PAUSING else "only a paused job can be resumed"
        raise FailedPrecondition(f"{job.name} is {state_name(job.state)}: {remedy}", reason="JOB_NOT_PAUSED")
    check_queue(connection, max_queued)
    return jobs.append(connection, job_id, [state_event(QUEUED)])


def export(connection: sa.Connection, job_id: str, *, max_queued: int, folder: Path) -> training_pb2.TrainingJob:
    """Queue a cancelled or failed job again, to export its best epoch.

    Args:
        connection: to the catalog.
        job_id: whose.
        max_queued: most jobs that may wait.
        folder: its run directory, which retention may have removed.

    Raises:
        NotFound: there is no such job.
        FailedPrecondition, QueueFull: it has nothing that can be exported, or `max_queued` jobs wait.
    """
    job = existing(connection, job_id)
    if job.export_only and job.state not in (CANCELLED, FAILED):
        return job
    _check_exportable(connection, job, folder)
    check_queue(connection, max_queued)
    return jobs.append(connection, job_id, [state_event(QUEUED)])


def forget(connection: sa.Connection, job_id: str) -> None:
    """Delete a finished job's record.

    Raises:
        NotFound: there is no such job.
        FailedPrecondition: it is not finished, another one combines what it has made, or a study needs it.
    """
    check_ended(connection, job_id)
    name = f"{jobs.JOBS}{job_id}"
    if user := jobs.user_of_job(connection, name):
        raise FailedPrecondition(f"{name} is what {user} combines: wait for its end, or cancel it", reason="JOB_IN_USE")
    jobs.delete(connection, job_id)


def check_ended(connection: sa.Connection, job_id: str) -> None:
    """Check that a job is finished, and no study under way needs it.

    Raises:
        NotFound: there is no such job.
        FailedPrecondition: it is not finished, or a study needs it.
    """
    job = existing(connection, job_id)
    if job.state not in FINAL:
        raise FailedPrecondition(
            f"{job.name} is {state_name(job.state)}: cancel it and wait for its end", reason="JOB_NOT_FINISHED"
        )
    if job.study and studies.is_under_way(connection, job.study):
        raise FailedPrecondition(
            f"{job.name} is a trial of {job.study}, which is not over: wait for its end, or cancel it",
            reason="TRIAL_OF_STUDY",
        )


def check_queue(connection: sa.Connection, max_queued: int, *, adding: int = 1) -> None:
    """Check that another job, or several, may wait.

    Raises:
        QueueFull: `max_queued` jobs do already, or would.
    """
    waiting = queue.length(connection)
    if waiting + adding <= max_queued:
        return
    if adding == 1:
        raise QueueFull(f"{max_queued} jobs wait already: cancel some", retry_after_s=60)
    raise QueueFull(
        f"{waiting} of at most {max_queued} jobs wait already, {adding} more are too many: cancel some or ask for less",
        retry_after_s=60,
    )


def _check_exportable(connection: sa.Connection, job: training_pb2.TrainingJob, folder: Path) -> None:
    if job.state not in (CANCELLED, FAILED):
        remedy = "it has its version" if job.state in FINAL else "cancel it first"
        raise FailedPrecondition(f"{job.name} is {state_name(job.state)}: {remedy}", reason="JOB_NOT_EXPORTABLE")
    if job.reproduces:
        raise FailedPrecondition(
            f"{job.name} was to repeat {job.reproduces}, and makes no version: reproduce it again",
            reason="JOB_NOT_EXPORTABLE",
        )
    if job.HasField("combination"):
        raise FailedPrecondition(f"{job.name} trains nothing: combine its members again", reason="JOB_NOT_EXPORTABLE")
    if not job.HasField("best_epoch"):
        raise FailedPrecondition(
            f"{job.name} ended before its first epoch did: create it again", reason="NOTHING_TO_EXPORT"
        )
    if not folder.is_dir():
        raise FailedPrecondition(
            f"{job.name} ended so long ago that its files were removed: create it again", reason="NOTHING_TO_EXPORT"
        )
    if (version := models.version_of_job(connection, job.name)) is not None:
        raise FailedPrecondition(
            f"{job.name} made {version}, which was rejected, and makes no other: create it again",
            reason="JOB_NOT_EXPORTABLE",
        )
    if find(connection, parse_dataset(job.recipe.dataset)) is None:
        raise FailedPrecondition(
            f"{job.recipe.dataset}, which {job.name} learned from, is gone: import it again", reason="DATASET_GONE"
        )
    if job.recipe.weights.startswith(MODELS):
        model, number = parse_version(job.recipe.weights)
        if models.get_version(connection, model, number) is None:
            raise FailedPrecondition(
                f"{job.recipe.weights}, whose frozen weights {job.name} shares, is gone: create it again from another",
                reason="SOURCE_VERSION_GONE",
            )
