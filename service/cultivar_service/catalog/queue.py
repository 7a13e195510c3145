"""The order of jobs that wait. Waiting raises a job's priority, of all of them alike: their order never changes."""

import sqlalchemy as sa

from cultivar.v1 import training_pb2
from cultivar_service.catalog.job_record import QUEUED
from cultivar_service.catalog.tables import jobs

_MINUTE_NS = 60e9


def length(connection: sa.Connection) -> int:
    """Return how many jobs wait, those among them that are held."""
    return int(connection.execute(sa.select(sa.func.count()).where(jobs.c.state == QUEUED)).scalar_one())


def in_order(
    connection: sa.Connection, ageing: float, *, ready_ns: int | None = None, limit: int | None = None, offset: int = 0
) -> list[training_pb2.TrainingJob]:
    """Return waiting jobs, the next one first; those that are held are left out.

    Args:
        connection: to the catalog.
        ageing: points of priority for each minute of waiting.
        ready_ns: leave out jobs that are not tried before a time later than this one; None: leave out none.
        limit: return at most so many.
        offset: pass over so many first.
    """
    # Priority now is priority + ageing * (now - queued). `now` is the same for all jobs, and so left out.
    rank = jobs.c.priority - sa.bindparam("ageing", ageing) * (jobs.c.queued_ns / _MINUTE_NS)
    query = sa.select(jobs.c.resource).where(jobs.c.state == QUEUED, jobs.c.held == 0)
    query = query.order_by(rank.desc(), jobs.c.sequence)
    query = query.limit(limit).offset(offset)
    if ready_ns is not None:
        query = query.where(jobs.c.retry_ns <= ready_ns)
    return [training_pb2.TrainingJob.FromString(resource) for resource in connection.execute(query).scalars()]


def next_retry_ns(connection: sa.Connection, after_ns: int) -> int | None:
    """Return when the next job that waits for another try may start; None: there is none after this time."""
    query = sa.select(sa.func.min(jobs.c.retry_ns)).where(jobs.c.state == QUEUED, jobs.c.retry_ns > after_ns)
    found = connection.execute(query).scalar()
    return None if found is None else int(found)
