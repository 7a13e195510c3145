"""Holds jobs back that combine what other jobs make, until all of these have ended."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from cultivar.v1 import event_pb2, training_pb2
from cultivar_service.catalog import jobs
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.job_record import FAILED, FINAL, QUEUED, SUCCEEDED, now, state_event, state_name
from cultivar_service.training.combinations import waits_for
from cultivar_service.training.job_log import ANY_JOB, JobLog, persist

logger = logging.getLogger(__name__)

MEMBER_FAILED = "MEMBER_FAILED"
_INTERVAL_S = 0.05
"""Shortest time between two looks: jobs that end together are looked at together."""
_RETRY_S = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Members:
    """How far the members of a held job are."""

    waiting: list[str]
    """Jobs that have not ended."""
    failure: event_pb2.Failure | None
    """Why there is nothing to wait for any more."""


class Holds:
    """Releases held jobs, or fails them."""

    def __init__(self, catalog: Catalog, log: JobLog, on_release: Callable[[], None]) -> None:
        self._catalog = catalog
        self._log = log
        self._on_release = on_release

    async def work(self) -> None:
        """Look at held jobs, now and whenever the state of any job has changed."""
        while True:
            changed = self._log.signals.next(ANY_JOB)  # before the look, so that no change is missed
            try:
                await self.look()
            except Exception:  # One look that went wrong, for whatever reason, must not be the last.
                logger.exception("held jobs can't be looked at just now")
                await asyncio.sleep(_RETRY_S)
                continue
            await changed.wait()
            await asyncio.sleep(_INTERVAL_S)

    async def look(self) -> None:
        """Release the jobs whose members have all been made, fail those that will never have them, tell the others."""
        found = await self._catalog.read(
            lambda connection: [(job, _members(connection, job)) for job in jobs.held(connection)]
        )
        for job, members in found:
            if members.waiting and not members.failure and waits_for(members.waiting) == job.waiting_reason:
                continue
            settled = await persist(lambda: self._log.change(lambda connection: _settle(connection, job)))  # noqa: B023  awaited
            if settled is not None and settled.state == QUEUED and not members.waiting:
                logger.info("job %s: released", job.name)
                self._on_release()


def waiting(connection: sa.Connection, job: training_pb2.TrainingJob) -> str:
    """Say which jobs a new job that combines models has to wait for; empty where none."""
    return waits_for(_members(connection, job).waiting)


def _settle(connection: sa.Connection, job: training_pb2.TrainingJob) -> training_pb2.TrainingJob | None:
    job_id = jobs.identifier(job)
    current = jobs.get(connection, job_id)
    if current is None or current.state != QUEUED or not jobs.is_held(connection, job_id):
        return None  # cancelled, paused or deleted a moment ago
    members = _members(connection, current)
    if members.failure is not None:
        return jobs.append(connection, job_id, [state_event(FAILED, members.failure)])
    if members.waiting:
        refused = event_pb2.PlacementRefused(reason=waits_for(members.waiting))
        return jobs.append(connection, job_id, [now(event_pb2.JobEvent(placement_refused=refused))])
    jobs.release(connection, job_id)
    return current


def _members(connection: sa.Connection, job: training_pb2.TrainingJob) -> _Members:
    waiting: list[str] = []
    for name in job.combination.members:
        if not name.startswith(jobs.JOBS):
            continue
        member = jobs.get(connection, name.removeprefix(jobs.JOBS))
        if member is None or (member.state in FINAL and member.state != SUCCEEDED):
            return _Members(waiting=[], failure=_failure(name, member))
        if member.state not in FINAL:
            waiting.append(name)
    return _Members(waiting=waiting, failure=None)


def _failure(name: str, member: training_pb2.TrainingJob | None) -> event_pb2.Failure:
    if member is None:
        fact = f"{name}, one of its members, is gone"
    else:
        why = f" ({member.error.reason})" if member.error.reason else ""
        fact = f"{name}, one of its members, is {state_name(member.state)}{why}"
    return event_pb2.Failure(reason=MEMBER_FAILED, message=f"{fact}: combine the others, or train it again")
