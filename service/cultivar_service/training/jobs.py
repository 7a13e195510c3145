"""What can be asked of training jobs that are there: to be cancelled, paused, resumed, exported, deleted."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

import sqlalchemy as sa

from cultivar.v1 import event_pb2, training_pb2
from cultivar_contract.run_directory import RunDirectory
from cultivar_service.catalog import jobs
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.job_record import ACTIVE, CANCELLING, PAUSING, QUEUED, state_name
from cultivar_service.catalog.storage import DataDirectory
from cultivar_service.config import Config
from cultivar_service.errors import InsufficientDisk
from cultivar_service.placement.placement import Placement
from cultivar_service.telemetry.metrics import Metrics
from cultivar_service.trainers.executor import Executor
from cultivar_service.training import transitions
from cultivar_service.training.disk_room import DiskRoom
from cultivar_service.training.holds import Holds
from cultivar_service.training.job_creation import JobCreation
from cultivar_service.training.job_log import JobLog
from cultivar_service.training.outlook import Outlook
from cultivar_service.training.reproductions import Reproductions
from cultivar_service.training.results import Publisher, Results
from cultivar_service.training.runner import Runner
from cultivar_service.training.scheduler import Scheduler

logger = logging.getLogger(__name__)


class Jobs:
    """Training jobs, from the queue to their end."""

    def __init__(
        self,
        config: Config,
        catalog: Catalog,
        storage: DataDirectory,
        executor: Executor,
        publisher: Publisher,
        metrics: Metrics,
        placement: Placement,
        reproductions: Reproductions,
    ) -> None:
        self._config = config
        self._catalog = catalog
        self._storage = storage
        self._executor = executor
        self._log = log = JobLog(catalog, metrics)
        results = Results(log, publisher, reproductions)
        self._runner = runner = Runner(config, catalog, storage, executor, log, placement, results, metrics)
        self._scheduler = Scheduler(
            config, catalog, DiskRoom(config, catalog, storage), executor, log, placement, runner, metrics
        )
        self._outlook = Outlook(catalog, log, runner, ageing=config.priority_ageing)
        self._holds = Holds(catalog, log, self._scheduler.wake)
        self.creation = JobCreation(config, catalog, storage, executor, log, self._scheduler.wake)
        """Queues new ones."""
        self._tasks: list[asyncio.Task[None]] = []
        self.signals = log.signals
        """Say when a job has new events, and by a study's name when something was done to one of its trials."""

    async def start(self) -> None:
        """Find the trainers that outlived the service before, and begin to work off the queue."""
        for job in await self._catalog.read(lambda connection: jobs.in_states(connection, ACTIVE)):
            logger.info("job %s: found in state %s", job.name, state_name(job.state))
            self._runner.adopt(job)
        await self._log.count()
        self._tasks = [
            asyncio.create_task(self._scheduler.work(), name="queue"),
            asyncio.create_task(self._holds.work(), name="held jobs"),
            asyncio.create_task(self._log.keep_counting(), name="job counts"),
        ]

    async def close(self) -> None:
        """Stop following; trainers live on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._runner.close()

    async def get(self, job_id: str) -> training_pb2.TrainingJob:
        """Return a job, with its place in the queue where it waits.

        Raises:
            NotFound: there is no such job.
        """
        job = await self._log.get(job_id)
        await self._outlook.tell([job])
        return job

    async def tell_places(self, found: Sequence[training_pb2.TrainingJob]) -> None:
        """Set the place in the queue of those jobs that wait."""
        await self._outlook.tell(found)

    async def cancel(self, job_id: str) -> training_pb2.TrainingJob:
        """Ask a job to stop; a job that has ended, or was asked before, stays as it is.

        The members that were queued with an ensemble stop with it.

        Raises:
            NotFound: there is no such job.
        """
        members: list[training_pb2.TrainingJob] = []

        def cancel(connection: sa.Connection, job_id: str) -> training_pb2.TrainingJob:
            job = transitions.cancel(connection, job_id)
            members[:] = transitions.cancel_members(connection, job)
            return job

        job = await self._change(job_id, cancel)
        for member in members:
            self._log.tell(jobs.identifier(member))
            self._runner.stop(jobs.identifier(member))
        return job

    async def pause(self, job_id: str) -> training_pb2.TrainingJob:
        """Ask a job to give its device back until it is resumed; one that was asked before stays as it is.

        Raises:
            NotFound: there is no such job.
            FailedPrecondition: it has ended, or is about to.
        """
        return await self._change(job_id, transitions.pause)

    async def resume(self, job_id: str) -> training_pb2.TrainingJob:
        """Queue a paused job again; one that waits or runs already stays as it is.

        Raises:
            NotFound: there is no such job.
            FailedPrecondition, QueueFull, TrainerNotInstalled: it can't be resumed.
        """
        self._executor.check_installed()
        return await self._change(job_id, partial(transitions.resume, max_queued=self._config.max_queued_jobs))

    async def export(self, job_id: str) -> training_pb2.TrainingJob:
        """Queue a cancelled or failed job again, to export its best epoch; one that does so already stays as it is.

        Raises:
            NotFound: there is no such job.
            FailedPrecondition, QueueFull, TrainerNotInstalled: it can't be exported.
        """
        self._executor.check_installed()
        folder = self.directory(job_id).path
        return await self._change(
            job_id, partial(transitions.export, max_queued=self._config.max_queued_jobs, folder=folder)
        )

    async def fail_running(self, failure: event_pb2.Failure) -> None:
        """Stop every running trainer and end its job in FAILED; return when that is done."""
        await self._runner.fail_all(failure)

    async def delete(self, job_id: str) -> None:
        """Delete a finished job's record and files.

        Raises:
            NotFound: there is no such job.
            FailedPrecondition: it is not finished, or a study needs it.
            InsufficientDisk: the disk is full, and the job has no files whose room would do.
        """
        folder = self._config.runs / job_id
        try:
            await self._catalog.write(lambda connection: transitions.forget(connection, job_id))
        except InsufficientDisk:
            # Its files are the room that forgetting it takes. They may go first: ended jobs can be without.
            await self._catalog.read(lambda connection: transitions.check_ended(connection, job_id))
            await asyncio.to_thread(self._storage.discard, folder)
            await self._catalog.write(lambda connection: transitions.forget(connection, job_id))
        await asyncio.to_thread(self._storage.discard, folder)
        await self._log.count()

    def directory(self, job_id: str) -> RunDirectory:
        """Return a job's run directory."""
        return self._runner.directory(job_id)

    async def _change(
        self, job_id: str, transition: Callable[[sa.Connection, str], training_pb2.TrainingJob]
    ) -> training_pb2.TrainingJob:
        job = await self._log.change(lambda connection: transition(connection, job_id))
        logger.info("job %s: %s on request", job.name, state_name(job.state))
        if job.state in (CANCELLING, PAUSING):
            self._runner.stop(job_id)
        elif job.state == QUEUED:
            self._scheduler.wake()
        return job
