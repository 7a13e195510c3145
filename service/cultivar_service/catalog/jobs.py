"""Records of training jobs and their events. A job's record only ever changes by an event."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from cultivar.v1 import event_pb2, state_pb2, training_pb2, training_spec_pb2
from cultivar_service.catalog.paging import Page, PageRequest, cut
from cultivar_service.catalog.tables import event_offsets, events, jobs

FINAL = frozenset(
    (
        state_pb2.TRAINING_JOB_STATE_SUCCEEDED,
        state_pb2.TRAINING_JOB_STATE_FAILED,
        state_pb2.TRAINING_JOB_STATE_CANCELLED,
    )
)
ACTIVE = frozenset((state_pb2.TRAINING_JOB_STATE_RUNNING, state_pb2.TRAINING_JOB_STATE_CANCELLING))
"""States in which a job has a trainer."""
_MAX_WARNINGS = 100
_FIGURES = {
    training_spec_pb2.SELECTION_METRIC_TOP5: "val_top5_accuracy",
    training_spec_pb2.SELECTION_METRIC_MACRO_F1: "val_macro_f1",
}


def insert(
    connection: sa.Connection, job: training_pb2.TrainingJob, *, request_id: str, request_digest: str
) -> training_pb2.TrainingJob:
    """Add a job in state QUEUED, with its first event."""
    connection.execute(
        jobs.insert().values(
            id=identifier(job),
            state=job.state,
            dataset=job.recipe.dataset,
            request_id=request_id or None,
            request_digest=request_digest,
            resource=job.SerializeToString(),
        )
    )
    return append(connection, identifier(job), [state_event(state_pb2.TRAINING_JOB_STATE_QUEUED)])


def get(connection: sa.Connection, job_id: str) -> training_pb2.TrainingJob | None:
    """Return a job."""
    resource = connection.execute(sa.select(jobs.c.resource).where(jobs.c.id == job_id)).scalar()
    return None if resource is None else training_pb2.TrainingJob.FromString(resource)


def newest(connection: sa.Connection, job_id: str) -> tuple[int, int] | None:
    """Return a job's state and the number of its newest event, without reading the rest of its record."""
    last = sa.select(sa.func.max(events.c.number)).where(events.c.job == job_id).scalar_subquery()
    row = connection.execute(sa.select(jobs.c.state, last).where(jobs.c.id == job_id)).first()
    return None if row is None else (int(row[0]), int(row[1] or 0))


def by_request_id(connection: sa.Connection, request_id: str) -> tuple[training_pb2.TrainingJob, str] | None:
    """Return the job that a request made, and the request's digest."""
    query = sa.select(jobs.c.resource, jobs.c.request_digest).where(jobs.c.request_id == request_id)
    row = connection.execute(query).first()
    return None if row is None else (training_pb2.TrainingJob.FromString(row[0]), str(row[1]))


def page(connection: sa.Connection, request: PageRequest, states: Collection[int]) -> Page[training_pb2.TrainingJob]:
    """Return a page of jobs, newest first."""
    query = sa.select(jobs.c.sequence, jobs.c.resource).order_by(jobs.c.sequence.desc()).limit(request.size + 1)
    if states:
        query = query.where(jobs.c.state.in_(states))
    if (before := request.number()) is not None:
        query = query.where(jobs.c.sequence < before)
    rows = ((str(row[0]), bytes(row[1])) for row in connection.execute(query))
    return cut(rows, request, training_pb2.TrainingJob.FromString)


def in_states(connection: sa.Connection, states: Collection[int]) -> list[training_pb2.TrainingJob]:
    """Return all jobs in these states, oldest first."""
    query = sa.select(jobs.c.resource).where(jobs.c.state.in_(states)).order_by(jobs.c.sequence)
    return [training_pb2.TrainingJob.FromString(row[0]) for row in connection.execute(query)]


def identifiers(connection: sa.Connection) -> list[str]:
    """Return the bare identifiers of all jobs."""
    return [str(one) for one in connection.execute(sa.select(jobs.c.id).order_by(jobs.c.sequence)).scalars()]


def oldest_queued(connection: sa.Connection) -> training_pb2.TrainingJob | None:
    """Return the job whose turn it is."""
    query = (
        sa.select(jobs.c.resource)
        .where(jobs.c.state == state_pb2.TRAINING_JOB_STATE_QUEUED)
        .order_by(jobs.c.sequence)
        .limit(1)
    )
    resource = connection.execute(query).scalar()
    return None if resource is None else training_pb2.TrainingJob.FromString(resource)


def counts(connection: sa.Connection) -> dict[int, int]:
    """Return the number of jobs in each state that has any."""
    query = sa.select(jobs.c.state, sa.func.count()).group_by(jobs.c.state)
    return {int(row[0]): int(row[1]) for row in connection.execute(query)}


def user_of_dataset(connection: sa.Connection, dataset: str) -> str:
    """Return the name of an unfinished job that uses a data set version; empty where there is none."""
    query = sa.select(jobs.c.id).where(jobs.c.dataset == dataset, jobs.c.state.not_in(FINAL)).limit(1)
    job_id = connection.execute(query).scalar()
    return "" if job_id is None else f"trainingJobs/{job_id}"


def user_of_weights(connection: sa.Connection, name: str) -> str:
    """Return the name of an unfinished job that starts from a model version, or from any of a model; empty: none."""
    states = set(state_pb2.TrainingJobState.values()) - FINAL
    for job in in_states(connection, states):
        if job.recipe.weights == name or job.recipe.weights.startswith(f"{name}/"):
            return job.name
    return ""


def delete(connection: sa.Connection, job_id: str) -> None:
    """Delete a job and its events."""
    connection.execute(jobs.delete().where(jobs.c.id == job_id))


def events_after(connection: sa.Connection, job_id: str, number: int, limit: int) -> list[event_pb2.JobEvent]:
    """Return the next events after one, in order."""
    query = (
        sa.select(events.c.payload)
        .where(events.c.job == job_id, events.c.number > number)
        .order_by(events.c.number)
        .limit(limit)
    )
    return [event_pb2.JobEvent.FromString(row[0]) for row in connection.execute(query)]


def event_offset(connection: sa.Connection, job_id: str, attempt: int) -> int:
    """Return how many bytes of an attempt's events have been copied."""
    query = sa.select(event_offsets.c.offset).where(event_offsets.c.job == job_id, event_offsets.c.attempt == attempt)
    return int(connection.execute(query).scalar() or 0)


def set_event_offset(connection: sa.Connection, job_id: str, attempt: int, offset: int) -> None:
    """Remember how many bytes of an attempt's events have been copied."""
    connection.exec_driver_sql(
        "INSERT INTO event_offsets VALUES (?, ?, ?) ON CONFLICT (job, attempt) DO UPDATE SET offset = excluded.offset",
        (job_id, attempt, offset),
    )


def append(connection: sa.Connection, job_id: str, happened: Sequence[event_pb2.JobEvent]) -> training_pb2.TrainingJob:
    """Number events, add them to the job's log and bring its record up to date."""
    job = get(connection, job_id)
    assert job is not None, job_id
    rows = []
    for event in happened:
        job.last_event += 1
        _apply(job, event)
        event.number, event.attempt = job.last_event, job.attempt
        rows.append({"job": job_id, "number": event.number, "payload": event.SerializeToString()})
    if rows:
        connection.execute(events.insert(), rows)
        values = {"state": job.state, "resource": job.SerializeToString()}
        connection.execute(jobs.update().where(jobs.c.id == job_id).values(**values))
    return job


def state_event(state: state_pb2.TrainingJobState, error: event_pb2.Failure | None = None) -> event_pb2.JobEvent:
    """Make the event of a job's new state, now."""
    event = event_pb2.JobEvent(state_changed=event_pb2.StateChanged(state=state, error=error))
    event.time.GetCurrentTime()
    return event


def identifier(job: training_pb2.TrainingJob) -> str:
    """Return a job's bare identifier."""
    return job.name.removeprefix("trainingJobs/")


def _apply(job: training_pb2.TrainingJob, event: event_pb2.JobEvent) -> None:
    kind = event.WhichOneof("event")
    if kind not in ("progress", "warning"):
        job.ClearField("progress")
    if kind == "state_changed":
        _change_state(job, event)
    elif kind == "phase_entered":
        job.phase = event.phase_entered
    elif kind == "progress":
        job.progress.CopyFrom(event.progress)
    elif kind == "epoch_finished":
        job.latest_epoch.CopyFrom(event.epoch_finished)
        if _is_best(job, event.epoch_finished):
            job.best_epoch.CopyFrom(event.epoch_finished)
    elif kind == "export_verified":
        job.export_verified.CopyFrom(event.export_verified)
    elif kind == "split_evaluated":
        others = [one for one in job.metrics if one.split != event.split_evaluated.split]
        del job.metrics[:]
        job.metrics.extend([*others, event.split_evaluated])
    elif kind == "candidate_finished":
        before = [one for one in job.candidates if one.candidate != event.candidate_finished.candidate]
        del job.candidates[:]
        job.candidates.extend([*before, event.candidate_finished])
    elif kind == "version_published":
        job.model_version = event.version_published.model_version
    elif kind == "warning" and len(job.warnings) < _MAX_WARNINGS:
        job.warnings.append(event.warning)


def _is_best(job: training_pb2.TrainingJob, epoch: event_pb2.EpochFinished) -> bool:
    """Tell whether an epoch is the best of the whole job: the trainer says it of each candidate by itself."""
    if not epoch.best or not job.HasField("best_epoch") or job.best_epoch.candidate == epoch.candidate:
        return epoch.best
    metric = job.recipe.selection_metric
    if metric == training_spec_pb2.SELECTION_METRIC_LOSS:
        return epoch.val_loss < job.best_epoch.val_loss
    name = _FIGURES.get(metric, "val_accuracy")
    return bool(getattr(epoch, name) > getattr(job.best_epoch, name))


def _change_state(job: training_pb2.TrainingJob, event: event_pb2.JobEvent) -> None:
    job.state = event.state_changed.state
    if event.state_changed.HasField("error"):
        job.error.CopyFrom(event.state_changed.error)
    if job.state == state_pb2.TRAINING_JOB_STATE_RUNNING:
        job.attempt += 1
        if not job.HasField("start_time"):
            job.start_time.CopyFrom(event.time)
    if job.state in FINAL:
        job.end_time.CopyFrom(event.time)
        job.ClearField("phase")
