"""What is made of a trained package: a model version, or a comparison with the one that it repeats."""

import logging
from pathlib import Path
from typing import Protocol

from cultivar.v1 import event_pb2, state_pb2, training_pb2
from cultivar_service.catalog import jobs
from cultivar_service.catalog.job_record import FAILED, SUCCEEDED, now, state_event
from cultivar_service.catalog.models import Publication
from cultivar_service.errors import CultivarError
from cultivar_service.training.job_log import JobLog, persist
from cultivar_service.training.reproductions import Course, Reproductions

logger = logging.getLogger(__name__)


class Publisher(Protocol):
    """Makes a model version of a finished job's package."""

    async def publish(self, job: training_pb2.TrainingJob, package: Path) -> Publication:
        """Publish a package; asking again gives the same answer."""


class Results:
    """Makes of a package what its job is there for."""

    def __init__(self, log: JobLog, publisher: Publisher, reproductions: Reproductions) -> None:
        self._log = log
        self._publisher = publisher
        self._reproductions = reproductions

    async def course(self, job: training_pb2.TrainingJob) -> Course | None:
        """Return how the training went that a job has to repeat; None where it reproduces nothing.

        Raises:
            CultivarError: it can't be had.
        """
        if not job.reproduces:
            return None
        return await self._reproductions.course(job.reproduces)

    async def make(self, job: training_pb2.TrainingJob, package: Path, *, ran_s: float) -> training_pb2.TrainingJob:
        """End a job whose trainer succeeded. A service that was killed in between does it again, with the same outcome.

        Args:
            job: its record.
            package: what the trainer left.
            ran_s: seconds that its last attempt ran.
        """
        job_id = jobs.identifier(job)
        if job.reproduces:
            return await self._log.append(job_id, await self._compare(job, package), ran_s=ran_s)
        if job.phase != state_pb2.TRAINING_PHASE_PUBLISHING:
            entered = now(event_pb2.JobEvent(phase_entered=state_pb2.TRAINING_PHASE_PUBLISHING))
            job = await self._log.append(job_id, [entered])
        publication = await persist(lambda: self._publisher.publish(job, package))
        if publication.error is not None:
            return await self._log.append(job_id, [state_event(FAILED, publication.error)], ran_s=ran_s)
        published = event_pb2.VersionPublished(
            model_version=publication.model_version, live=publication.live, reason=publication.reason
        )
        events = [now(event_pb2.JobEvent(version_published=published)), state_event(SUCCEEDED)]
        return await self._log.append(job_id, events, ran_s=ran_s)

    async def _compare(self, job: training_pb2.TrainingJob, package: Path) -> list[event_pb2.JobEvent]:
        try:
            reproduction = await self._reproductions.compare(job, package)
        except CultivarError as error:
            return [state_event(FAILED, event_pb2.Failure(reason=error.reason, message=error.message))]
        return [now(event_pb2.JobEvent(reproduced=reproduction)), state_event(SUCCEEDED)]
