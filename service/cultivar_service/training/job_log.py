"""The one way to change a job: an event into its log, a sign to those who wait for it, its state counted."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import sqlalchemy as sa

from cultivar.v1 import event_pb2, training_pb2
from cultivar_service.catalog import jobs
from cultivar_service.catalog.database import FULL_DISK_PAUSE_S, Catalog
from cultivar_service.catalog.job_record import QUEUED
from cultivar_service.catalog.references import job_not_found
from cultivar_service.errors import InsufficientDisk
from cultivar_service.telemetry.metrics import Metrics
from cultivar_service.training.signals import Signals

logger = logging.getLogger(__name__)

T = TypeVar("T")
Changed = TypeVar("Changed", training_pb2.TrainingJob, training_pb2.TrainingJob | None)
ANY_JOB = ""
"""Key of the signal that some job's state has changed."""
_COUNT_INTERVAL_S = 0.05
"""Shortest time between two counts: a thousand jobs that come at once are not counted a thousand times."""


class JobLog:
    """Jobs' records and events."""

    def __init__(self, catalog: Catalog, metrics: Metrics) -> None:
        self._catalog = catalog
        self._metrics = metrics
        self.signals = Signals()
        """Say when a job has new events, and by a study's name when something was done to one of its trials."""
        self.changes = 0
        """How often a job's state has changed, here."""
        self._uncounted = asyncio.Event()

    async def get(self, job_id: str) -> training_pb2.TrainingJob:
        """Return a job.

        Raises:
            NotFound: there is none.
        """
        return await self._catalog.read(lambda connection: existing(connection, job_id))

    async def change(self, function: Callable[[sa.Connection], Changed]) -> Changed:
        """Run a transaction that appends to one job's log, or to none, and tell of it."""
        job = await self._catalog.write(function)
        if job is not None:
            self.changes += 1
            self.signals.notify(ANY_JOB)
            self.tell(jobs.identifier(job))
            if job.study:
                self.signals.notify(job.study)
            self.count_soon()
        return job

    async def append(
        self, job_id: str, events: Sequence[event_pb2.JobEvent], *, ran_s: float = 0.0
    ) -> training_pb2.TrainingJob:
        """Append events to a job's log, however full the disk is just now."""
        return await persist(
            lambda: self.change(lambda connection: jobs.append(connection, job_id, events, ran_s=ran_s))
        )

    def tell(self, job_id: str) -> None:
        """Wake those who wait for a job's events."""
        self.signals.notify(job_id)

    def count_soon(self) -> None:
        """Say that the number of jobs in some state has changed."""
        self._uncounted.set()

    async def count(self) -> None:
        """Show the number of jobs in every state."""
        counts = await self._catalog.read(jobs.counts)
        self._metrics.set_job_counts(counts)
        self._metrics.queue_length.set(counts.get(QUEUED, 0))

    async def keep_counting(self) -> None:
        """Count again after every change."""
        while True:
            await self._uncounted.wait()
            self._uncounted.clear()
            await persist(self.count)
            await asyncio.sleep(_COUNT_INTERVAL_S)


def existing(connection: sa.Connection, job_id: str) -> training_pb2.TrainingJob:
    """Return a job.

    Raises:
        NotFound: there is none.
    """
    job = jobs.get(connection, job_id)
    if job is None:
        raise job_not_found(f"trainingJobs/{job_id}")
    return job


async def persist(act: Callable[[], Awaitable[T]]) -> T:
    """Do what must be done to keep a job's record true; while the disk is too full for that, try again."""
    while True:
        try:
            return await act()
        except InsufficientDisk as error:
            logger.error("a job's record can't be written, trying again: %s", error)
            await asyncio.sleep(FULL_DISK_PAUSE_S)
