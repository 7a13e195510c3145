"""Records of training jobs and their events. A job's record only ever changes by an event."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from cultivar.v1 import event_pb2, state_pb2, training_pb2
from cultivar_service.catalog.job_record import ACTIVE as ACTIVE
from cultivar_service.catalog.job_record import FINAL as FINAL
from cultivar_service.catalog.job_record import QUEUED, RUNNING, ProgressMark, apply, now, progress_mark
from cultivar_service.catalog.job_record import SUCCEEDED as SUCCEEDED
from cultivar_service.catalog.job_record import identifier as identifier
from cultivar_service.catalog.job_record import state_event as state_event
from cultivar_service.catalog.paging import Page, PageRequest, cut
from cultivar_service.catalog.tables import event_offsets, events, jobs

JOBS = "trainingJobs/"
"""How the names of jobs begin."""


def insert(
    connection: sa.Connection,
    job: training_pb2.TrainingJob,
    *,
    request_id: str,
    request_digest: str,
    waits_for: str = "",
) -> training_pb2.TrainingJob:
    """Add a job in state QUEUED, with its first event; where it waits for other jobs, held, and with what it says."""
    refused = event_pb2.PlacementRefused(reason=waits_for)
    rows = _happen(
        job, [state_event(QUEUED), *([now(event_pb2.JobEvent(placement_refused=refused))] if waits_for else [])]
    )
    connection.execute(
        jobs.insert().values(
            id=identifier(job),
            state=job.state,
            dataset=job.recipe.dataset,
            request_id=request_id or None,
            request_digest=request_digest,
            resource=job.SerializeToString(),
            creator=job.creator,
            priority=job.recipe.scheduling.priority,
            queued_ns=job.create_time.ToNanoseconds(),
            held=int(bool(waits_for)),
        )
    )
    connection.execute(events.insert(), rows)
    return job


def get(connection: sa.Connection, job_id: str) -> training_pb2.TrainingJob | None:
    """Return a job."""
    resource = connection.execute(sa.select(jobs.c.resource).where(jobs.c.id == job_id)).scalar()
    return None if resource is None else training_pb2.TrainingJob.FromString(resource)


def newest(connection: sa.Connection, job_id: str) -> tuple[int, int] | None:
    """Return a job's state and the number of its newest event, without reading the rest of its record."""
    last = sa.select(sa.func.max(events.c.number)).where(events.c.job == job_id).scalar_subquery()
    row = connection.execute(sa.select(jobs.c.state, last).where(jobs.c.id == job_id)).first()
    return None if row is None else (int(row[0]), int(row[1] or 0))


def states(connection: sa.Connection, job_ids: Collection[str]) -> dict[str, int]:
    """Return the states of those of these jobs that exist."""
    query = sa.select(jobs.c.id, jobs.c.state).where(jobs.c.id.in_(job_ids))
    return {str(row[0]): int(row[1]) for row in connection.execute(query)}


def by_request_id(connection: sa.Connection, request_id: str) -> tuple[training_pb2.TrainingJob, str] | None:
    """Return the job that a request made, and the request's digest."""
    query = sa.select(jobs.c.resource, jobs.c.request_digest).where(jobs.c.request_id == request_id)
    row = connection.execute(query).first()
    return None if row is None else (training_pb2.TrainingJob.FromString(row[0]), str(row[1]))


def page(
    connection: sa.Connection, request: PageRequest, states: Collection[int], creator: str
) -> Page[training_pb2.TrainingJob]:
    """Return a page of jobs, newest first: of all states where none is named, of all creators where none is."""
    query = sa.select(jobs.c.sequence, jobs.c.resource).order_by(jobs.c.sequence.desc()).limit(request.size + 1)
    if states:
        query = query.where(jobs.c.state.in_(states))
    if creator:
        query = query.where(jobs.c.creator == creator)
    if (before := request.number()) is not None:
        query = query.where(jobs.c.sequence < before)
    rows = ((str(row[0]), bytes(row[1])) for row in connection.execute(query))
    return cut(rows, request, training_pb2.TrainingJob.FromString)


def in_states(connection: sa.Connection, states: Collection[int]) -> list[training_pb2.TrainingJob]:
    """Return all jobs in these states, oldest first."""
    query = sa.select(jobs.c.resource).where(jobs.c.state.in_(states)).order_by(jobs.c.sequence)
    return [training_pb2.TrainingJob.FromString(row[0]) for row in connection.execute(query)]


def held(connection: sa.Connection) -> list[training_pb2.TrainingJob]:
    """Return the queued jobs that wait for other jobs, oldest first."""
    query = sa.select(jobs.c.resource).where(jobs.c.state == QUEUED, jobs.c.held == 1).order_by(jobs.c.sequence)
    return [training_pb2.TrainingJob.FromString(resource) for resource in connection.execute(query).scalars()]


def is_held(connection: sa.Connection, job_id: str) -> bool:
    """Tell whether a job waits for other jobs."""
    return bool(connection.execute(sa.select(jobs.c.held).where(jobs.c.id == job_id)).scalar())


def release(connection: sa.Connection, job_id: str) -> None:
    """Let a held job start."""
    connection.execute(jobs.update().where(jobs.c.id == job_id).values(held=0))


def newest_succeeded(connection: sa.Connection, limit: int) -> list[training_pb2.TrainingJob]:
    """Return the jobs that succeeded last, newest first."""
    query = sa.select(jobs.c.resource).where(jobs.c.state == SUCCEEDED).order_by(jobs.c.sequence.desc()).limit(limit)
    return [training_pb2.TrainingJob.FromString(resource) for resource in connection.execute(query).scalars()]


def newest_attempt(connection: sa.Connection, job_id: str) -> tuple[int, ProgressMark]:
    """Return when a job's newest attempt began, in Unix time, and how far its checkpoints were then.

    Both are read from its events: a service may find an attempt that another one began. 0 where there was none.
    """
    query = sa.select(events.c.payload).where(events.c.job == job_id).order_by(events.c.number)
    job, found = training_pb2.TrainingJob(), (0, progress_mark(training_pb2.TrainingJob()))
    for payload in connection.execute(query).scalars():
        event = event_pb2.JobEvent.FromString(payload)
        if event.state_changed.state == RUNNING:
            found = event.time.ToNanoseconds(), progress_mark(job)
        apply(job, event)
    return found


def identifiers(connection: sa.Connection) -> list[str]:
    """Return the bare identifiers of all jobs."""
    return [str(one) for one in connection.execute(sa.select(jobs.c.id).order_by(jobs.c.sequence)).scalars()]


def counts(connection: sa.Connection) -> dict[int, int]:
    """Return the number of jobs in each state that has any."""
    query = sa.select(jobs.c.state, sa.func.count()).group_by(jobs.c.state)
    return {int(row[0]): int(row[1]) for row in connection.execute(query)}


def user_of_dataset(connection: sa.Connection, dataset: str) -> str:
    """Return the name of an unfinished job that uses a data set version; empty where there is none."""
    query = sa.select(jobs.c.id).where(jobs.c.dataset == dataset, jobs.c.state.not_in(FINAL)).limit(1)
    job_id = connection.execute(query).scalar()
    return "" if job_id is None else f"trainingJobs/{job_id}"


def user_of_version(connection: sa.Connection, name: str) -> str:
    """Return the name of an unfinished job that starts from a model version, repeats or combines it, or any of a model.

    Empty where there is none.
    """
    for job in _unfinished(connection):
        used = (job.recipe.weights, job.reproduces, *member_versions(connection, job))
        if any(one == name or one.startswith(f"{name}/") for one in used):
            return job.name
    return ""


def user_of_job(connection: sa.Connection, name: str) -> str:
    """Return the name of an unfinished job that combines what another one has made; empty where there is none."""
    return next((job.name for job in _unfinished(connection) if name in job.combination.members), "")


def member_versions(connection: sa.Connection, job: training_pb2.TrainingJob) -> list[str]:
    """Return the versions that a job makes one of, in its order; empty texts for those that are not made yet."""
    found = []
    for member in job.combination.members:
        made_by = get(connection, member.removeprefix(JOBS)) if member.startswith(JOBS) else None
        found.append(member if not member.startswith(JOBS) else made_by.model_version if made_by is not None else "")
    return found


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


def append(
    connection: sa.Connection, job_id: str, happened: Sequence[event_pb2.JobEvent], *, ran_s: float = 0.0
) -> training_pb2.TrainingJob:
    """Number events, add them to the job's log and bring its record up to date.

    Args:
        connection: to the catalog.
        job_id: whose.
        happened: the events, in order.
        ran_s: seconds that the attempt has run which these events end.
    """
    job = get(connection, job_id)
    assert job is not None, job_id
    had_trainer = job.state in ACTIVE
    job.run_seconds += ran_s
    if happened:
        connection.execute(events.insert(), _happen(job, happened))
        values = {
            "state": job.state,
            "retry_ns": job.retry_time.ToNanoseconds() if job.HasField("retry_time") else 0,
            "resource": job.SerializeToString(),
        }
        if happened[-1].state_changed.state == QUEUED and not had_trainer:  # another try keeps its place in the queue
            values["queued_ns"] = happened[-1].time.ToNanoseconds()
        connection.execute(jobs.update().where(jobs.c.id == job_id).values(**values))
    return job


def _unfinished(connection: sa.Connection) -> list[training_pb2.TrainingJob]:
    return in_states(connection, set(state_pb2.TrainingJobState.values()) - FINAL)


def _happen(job: training_pb2.TrainingJob, happened: Sequence[event_pb2.JobEvent]) -> list[dict[str, object]]:
    """Number events, bring the job up to date, and return the events' rows."""
    rows: list[dict[str, object]] = []
    for event in happened:
        job.last_event += 1
        apply(job, event)
        event.number, event.attempt = job.last_event, job.attempt
        rows.append({"job": identifier(job), "number": event.number, "payload": event.SerializeToString()})
    return rows
