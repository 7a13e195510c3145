"""What can be asked of training jobs: to be queued, cancelled, paused, resumed, exported, deleted."""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Sequence
from functools import partial

import sqlalchemy as sa

from cultivar.v1 import event_pb2, training_pb2, training_spec_pb2
from cultivar_contract.run_directory import RunDirectory
from cultivar_service.catalog import jobs, models
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.datasets import find
from cultivar_service.catalog.job_record import ACTIVE, CANCELLING, PAUSING, QUEUED, state_name
from cultivar_service.catalog.references import dataset_not_found, model_not_found, parse_dataset, parse_version
from cultivar_service.catalog.storage import DataDirectory, new_identifier
from cultivar_service.config import Config
from cultivar_service.errors import AlreadyExists, InsufficientDisk
from cultivar_service.placement.placement import Placement
from cultivar_service.telemetry.metrics import Metrics
from cultivar_service.trainers.executor import Executor
from cultivar_service.training import combinations, holds, transitions
from cultivar_service.training.disk_room import DiskRoom
from cultivar_service.training.job_log import JobLog
from cultivar_service.training.outlook import Outlook
from cultivar_service.training.reproductions import Reproductions
from cultivar_service.training.results import Publisher, Results
from cultivar_service.training.runner import Runner
from cultivar_service.training.scheduler import Scheduler
from cultivar_service.training.train_request import MODELS

logger = logging.getLogger(__name__)


class Jobs:
    """Training jobs, from the request to their end."""

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
        self._holds = holds.Holds(catalog, log, self._scheduler.wake)
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

    async def find_repeat(
        self, spec: training_spec_pb2.TrainingSpec, request_id: str
    ) -> training_pb2.TrainingJob | None:
        """Return the job that an earlier request with this request_id made.

        Raises:
            AlreadyExists: that request had another spec.
        """
        return await self.find_made(_digest(spec, ""), request_id)

    async def find_made(self, digest: str, request_id: str) -> training_pb2.TrainingJob | None:
        """Return the job that an earlier request with this request_id made.

        Raises:
            AlreadyExists: that request had another digest.
        """
        if not request_id:
            return None
        return await self._catalog.read(lambda connection: _repeat(connection, request_id, digest))

    async def create(
        self,
        spec: training_spec_pb2.TrainingSpec,
        recipe: training_spec_pb2.TrainingSpec,
        warnings: Sequence[str],
        request_id: str,
        *,
        creator: str,
        reproduces: str = "",
        combination: training_pb2.Combination | None = None,
        digest: str = "",
    ) -> training_pb2.TrainingJob:
        """Queue a job.

        Args:
            spec: as it was sent.
            recipe: the spec with every field resolved.
            warnings: about the recipe.
            request_id: makes a retry answer with the first job; empty: nothing does.
            creator: name of the caller's token.
            reproduces: `models/flowers/versions/3`, where the job repeats that version's training to compare both.
            combination: what it makes one model of, where it trains none; members that are jobs hold it back.
            digest: of the request, where spec and `reproduces` are not all of it.

        Raises:
            TrainerNotInstalled, InsufficientDisk, QueueFull, AlreadyExists, NotFound: it can't be queued.
        """
        job = _new(spec, recipe, creator, warnings=warnings, reproduces=reproduces, combination=combination)
        return await self._queue([job], request_id, digest or _digest(spec, reproduces))

    async def create_ensemble(
        self,
        spec: training_spec_pb2.TrainingSpec,
        recipe: training_spec_pb2.TrainingSpec,
        warnings: Sequence[str],
        request_id: str,
        *,
        creator: str,
        parameters: int,
    ) -> training_pb2.TrainingJob:
        """Queue the members of an ensemble and the job that combines them, all or none; return the latter.

        Args:
            spec: as it was sent.
            recipe: the spec with every field resolved; it asks for members.
            warnings: about the recipe.
            request_id: as for `create`.
            creator: name of the caller's token.
            parameters: of all members together.

        Raises:
            InvalidRequest: their seeds would be too large.
            TrainerNotInstalled, InsufficientDisk, QueueFull, AlreadyExists, NotFound: they can't be queued.
        """
        members = [_new(theirs, resolved, creator) for theirs, resolved in combinations.member_specs(spec, recipe)]
        combination = combinations.of_jobs(members, parameters)
        job = _new(spec, recipe, creator, warnings=warnings, combination=combination)
        return await self._queue([*members, job], request_id, _digest(spec, ""))

    async def _queue(
        self, new: Sequence[training_pb2.TrainingJob], request_id: str, digest: str
    ) -> training_pb2.TrainingJob:
        """Queue jobs, all or none; return the last, which the request made."""
        self.check_ready()
        last = new[-1]
        recipe, reproduces = last.recipe, last.reproduces

        def insert(connection: sa.Connection) -> training_pb2.TrainingJob:
            if request_id and (first := _repeat(connection, request_id, digest)) is not None:
                return first
            transitions.check_queue(connection, self._config.max_queued_jobs, adding=len(new))
            _check_sources(connection, new[0])
            if reproduces:
                _check_version(connection, reproduces, "name")
            for member in new[:-1]:
                jobs.insert(connection, member, request_id="", request_digest="")
            for number, name in enumerate(last.combination.members):
                if not name.startswith(jobs.JOBS):
                    _check_version(connection, name, f"members[{number}]")
            return jobs.insert(
                connection,
                last,
                request_id=request_id,
                request_digest=digest,
                waits_for=holds.waiting(connection, last),
            )

        queued = await self._log.change(insert)
        logger.info("job %s: queued, %s on %s", queued.name, recipe.architecture, recipe.dataset)
        self._scheduler.wake()
        return queued

    def check_ready(self) -> None:
        """Check that jobs can be queued at all.

        Raises:
            TrainerNotInstalled, InsufficientDisk: they can't.
        """
        self._executor.check_installed()
        self._storage.check_free_space()

    def insert_trials(self, connection: sa.Connection, trials: Sequence[training_pb2.TrainingJob]) -> None:
        """Queue a study's jobs, in the transaction that makes the study: all of them or none. `wake` comes after it.

        Raises:
            QueueFull, NotFound: they can't be queued.
        """
        transitions.check_queue(connection, self._config.max_queued_jobs, adding=len(trials))
        for job in trials:
            _check_sources(connection, job)
            jobs.insert(connection, job, request_id="", request_digest=_digest(job.spec, ""))

    def wake(self) -> None:
        """Say that jobs were queued by `insert_trials`."""
        self._log.count_soon()
        self._scheduler.wake()

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


def _new(
    spec: training_spec_pb2.TrainingSpec,
    recipe: training_spec_pb2.TrainingSpec,
    creator: str,
    *,
    warnings: Sequence[str] = (),
    reproduces: str = "",
    combination: training_pb2.Combination | None = None,
) -> training_pb2.TrainingJob:
    job = training_pb2.TrainingJob(
        name=f"trainingJobs/{new_identifier()}",
        state=QUEUED,
        spec=spec,
        recipe=recipe,
        warnings=warnings,
        creator=creator,
        reproduces=reproduces,
        combination=combination,
    )
    job.create_time.GetCurrentTime()
    return job


def _repeat(connection: sa.Connection, request_id: str, digest: str) -> training_pb2.TrainingJob | None:
    found = jobs.by_request_id(connection, request_id)
    if found is None:
        return None
    job, first_digest = found
    if first_digest != digest:
        raise AlreadyExists(
            "training job",
            job.name,
            f"request_id {request_id!r} made {job.name} of another spec: use a new request_id",
            reason="REQUEST_ID_REUSED",
        )
    return job


def _check_sources(connection: sa.Connection, job: training_pb2.TrainingJob) -> None:
    """Check that what a job learns from was not deleted a moment ago."""
    recipe = job.recipe
    if find(connection, parse_dataset(recipe.dataset)) is None:
        raise dataset_not_found(recipe.dataset, "spec.dataset")
    if recipe.weights.startswith(MODELS) and not job.HasField("combination"):
        _check_version(connection, recipe.weights, "spec.weights")


def _check_version(connection: sa.Connection, name: str, field: str) -> None:
    model, version = parse_version(name, field)
    if models.get_version(connection, model, version) is None:  # deleted a moment ago
        raise model_not_found(name, field)


def _digest(spec: training_spec_pb2.TrainingSpec, reproduces: str) -> str:
    return hashlib.sha256(spec.SerializeToString(deterministic=True) + reproduces.encode()).hexdigest()
