"""The life of training jobs: queued, run one after another by trainer processes, published, or ended otherwise."""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa
from google.protobuf import json_format

from cultivar.v1 import event_pb2, state_pb2, training_pb2, training_spec_pb2
from cultivar_contract import files
from cultivar_contract.run_directory import Result, RunDirectory
from cultivar_contract.tasks import TrainRequest, to_json
from cultivar_service.catalog import jobs, models
from cultivar_service.catalog.database import FULL_DISK_PAUSE_S, Catalog
from cultivar_service.catalog.datasets import find
from cultivar_service.catalog.models import Publication
from cultivar_service.catalog.references import (
    dataset_not_found,
    job_not_found,
    model_not_found,
    parse_dataset,
    parse_version,
)
from cultivar_service.catalog.storage import DataDirectory, new_identifier
from cultivar_service.config import Config
from cultivar_service.errors import AlreadyExists, CultivarError, FailedPrecondition, InsufficientDisk, QueueFull
from cultivar_service.telemetry.metrics import Metrics
from cultivar_service.training.disk_room import DiskRoom
from cultivar_service.training.executor import Executor, Trainer, launch
from cultivar_service.training.follower import Follower
from cultivar_service.training.signals import Signals

logger = logging.getLogger(__name__)

QUEUED = state_pb2.TRAINING_JOB_STATE_QUEUED
RUNNING = state_pb2.TRAINING_JOB_STATE_RUNNING
CANCELLING = state_pb2.TRAINING_JOB_STATE_CANCELLING
SUCCEEDED = state_pb2.TRAINING_JOB_STATE_SUCCEEDED
FAILED = state_pb2.TRAINING_JOB_STATE_FAILED
CANCELLED = state_pb2.TRAINING_JOB_STATE_CANCELLED
_MAX_MESSAGE = 2000
_MODELS = "models/"
"""How the weights of a recipe begin that come from a model version; members and files have no slash."""


class Publisher(Protocol):
    """Makes a model version of a finished job's package."""

    async def publish(self, job: training_pb2.TrainingJob, package: Path) -> Publication:
        """Publish a package; asking again gives the same answer."""


class Jobs:
    """The queue, and a task for each job that has a trainer."""

    def __init__(
        self,
        config: Config,
        catalog: Catalog,
        storage: DataDirectory,
        executor: Executor,
        publisher: Publisher,
        metrics: Metrics,
    ) -> None:
        self._config = config
        self._catalog = catalog
        self._storage = storage
        self._executor = executor
        self._publisher = publisher
        self._disk_room = DiskRoom(config, catalog, storage)
        self._metrics = metrics
        self.signals = Signals()
        """Say when a job has new events."""
        self._wake = asyncio.Event()
        self._cancels: dict[str, asyncio.Event] = {}
        self._failures: dict[str, event_pb2.Failure] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Find the trainers that outlived the service before, and begin to work off the queue."""
        for job in await self._catalog.read(lambda connection: jobs.in_states(connection, jobs.ACTIVE)):
            logger.info("job %s: found in state %s", job.name, _name(job.state))
            self._begin(job)
        await self._count()
        self._keep(asyncio.create_task(self._work_off_queue(), name="queue"))
        self._wake.set()

    async def close(self) -> None:
        """Stop following; trainers live on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def find_repeat(
        self, spec: training_spec_pb2.TrainingSpec, request_id: str
    ) -> training_pb2.TrainingJob | None:
        """Return the job that an earlier request with this request_id made.

        Raises:
            AlreadyExists: that request had another spec.
        """
        if not request_id:
            return None
        return await self._catalog.read(lambda connection: _repeat(connection, request_id, _digest(spec)))

    async def create(
        self,
        spec: training_spec_pb2.TrainingSpec,
        recipe: training_spec_pb2.TrainingSpec,
        warnings: Sequence[str],
        request_id: str,
        *,
        creator: str,
    ) -> training_pb2.TrainingJob:
        """Queue a job.

        Raises:
            TrainerNotInstalled, InsufficientDisk, QueueFull, AlreadyExists, NotFound: it can't be queued.
        """
        self._executor.check_installed()
        self._storage.check_free_space()
        job = training_pb2.TrainingJob(
            name=f"trainingJobs/{new_identifier()}",
            state=QUEUED,
            spec=spec,
            recipe=recipe,
            warnings=warnings,
            creator=creator,
        )
        job.create_time.GetCurrentTime()

        def insert(connection: sa.Connection) -> training_pb2.TrainingJob:
            if request_id and (first := _repeat(connection, request_id, _digest(spec))) is not None:
                return first
            if jobs.counts(connection).get(QUEUED, 0) >= self._config.max_queued_jobs:
                raise QueueFull(f"{self._config.max_queued_jobs} jobs wait already: cancel some", retry_after_s=60)
            if find(connection, parse_dataset(recipe.dataset)) is None:  # deleted a moment ago
                raise dataset_not_found(recipe.dataset, "spec.dataset")
            if recipe.weights.startswith(_MODELS):
                model, version = parse_version(recipe.weights, "spec.weights")
                if models.get_version(connection, model, version) is None:  # likewise
                    raise model_not_found(recipe.weights, "spec.weights")
            return jobs.insert(connection, job, request_id=request_id, request_digest=_digest(spec))

        queued = await self._catalog.write(insert)
        logger.info("job %s: queued, %s on %s", queued.name, recipe.architecture, recipe.dataset)
        await self._changed(queued)
        self._wake.set()
        return queued

    async def cancel(self, job_id: str) -> training_pb2.TrainingJob:
        """Ask a job to stop; a job that has ended, or was asked before, stays as it is.

        Raises:
            NotFound: there is no such job.
        """

        def request(connection: sa.Connection) -> training_pb2.TrainingJob:
            job = _get(connection, job_id)
            following = {QUEUED: CANCELLED, RUNNING: CANCELLING}.get(job.state)
            return job if following is None else jobs.append(connection, job_id, [jobs.state_event(following)])

        job = await self._catalog.write(request)
        logger.info("job %s: asked to cancel, now %s", job.name, _name(job.state))
        await self._changed(job)
        if job_id in self._cancels:
            self._cancels[job_id].set()
        return job

    async def fail_running(self, failure: event_pb2.Failure) -> None:
        """Stop every running trainer and end its job in FAILED; return when that is done."""
        for job_id, cancel in self._cancels.items():
            self._failures[job_id] = failure
            cancel.set()
        running = [task for task in self._tasks if task.get_name().startswith("job ")]
        await asyncio.gather(*running, return_exceptions=True)

    async def delete(self, job_id: str) -> None:
        """Delete a finished job's record and files.

        Raises:
            NotFound: there is no such job.
            FailedPrecondition: it is not finished.
        """

        def forget(connection: sa.Connection) -> None:
            job = _get(connection, job_id)
            if job.state not in jobs.FINAL:
                raise FailedPrecondition(
                    f"{job.name} is {_name(job.state)}: cancel it and wait for its end", reason="JOB_NOT_FINISHED"
                )
            jobs.delete(connection, job_id)

        await self._catalog.write(forget)
        await asyncio.to_thread(self._storage.discard, self._config.runs / job_id)
        await self._count()

    def directory(self, job_id: str) -> RunDirectory:
        """Return a job's run directory."""
        return RunDirectory(self._config.runs / job_id)

    async def _work_off_queue(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while len(self._cancels) < self._config.max_running_jobs:
                job = await self._catalog.record(_take_oldest)
                if job is None:
                    break
                self._metrics.queue_wait.observe(
                    (job.start_time.ToNanoseconds() - job.create_time.ToNanoseconds()) / 1e9
                )
                self._begin(job)
                await self._changed(job)

    def _begin(self, job: training_pb2.TrainingJob) -> None:
        job_id = jobs.identifier(job)
        self._cancels[job_id] = asyncio.Event()
        self._keep(asyncio.create_task(self._see_through(job_id), name=f"job {job_id}"))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _see_through(self, job_id: str) -> None:
        """Run a job to its end, whatever that is."""
        try:
            await self._run(job_id)
        except Exception:  # One job's failure, also an unforeseen one, must neither end the queue nor hang the job.
            logger.exception("job %s: internal error", job_id)
            failure = event_pb2.Failure(reason="INTERNAL", message="an internal error, which the service has logged")
            await self._append(job_id, [jobs.state_event(FAILED, failure)])
        finally:
            self._metrics.hide_job(job_id)
            del self._cancels[job_id]
            self._failures.pop(job_id, None)
            self._wake.set()

    async def _run(self, job_id: str) -> None:
        # Read after `_cancels` has the job: a cancellation is seen here, or it finds the event there.
        job = await self._catalog.read(lambda connection: _get(connection, job_id))
        cancel, directory = self._cancels[job_id], self.directory(job_id)
        if job.state == CANCELLING:
            cancel.set()
        self._show(job)
        if directory.log(job.attempt).exists():
            trainer = self._executor.attach(directory, job.attempt)
        elif cancel.is_set():
            await self._append(job_id, [jobs.state_event(CANCELLED)])
            return
        else:
            try:
                await self._disk_room.check(job)
                trainer = await launch(lambda: self._start_trainer(job, directory))
            except (OSError, InsufficientDisk, FailedPrecondition) as error:
                await self._append(job_id, [jobs.state_event(FAILED, _not_started(error))])
                return
        follower = Follower(self._catalog, directory, job_id, job.attempt)

        async def follow() -> None:
            changed = await follower.copy()
            if changed is not None:
                self._show(changed)
                self.signals.notify(job_id)

        async def follow_if_there_is_room() -> None:
            with contextlib.suppress(InsufficientDisk):  # what the trainer tells stays in its own file for now
                await follow()

        try:
            await trainer.supervise(cancel=cancel, on_tick=follow_if_there_is_room)
        except Exception:
            await trainer.kill()  # the job is about to fail; nobody would follow its trainer
            raise
        finally:
            trainer.release()
        while not await self._caught_up(follow):
            logger.error("job %s: its last events wait for disk space", job_id)
        await self._settle(job_id, directory, job.attempt, trainer)

    async def _caught_up(self, follow: Callable[[], Awaitable[None]]) -> bool:
        try:
            await follow()
        except InsufficientDisk:
            await asyncio.sleep(FULL_DISK_PAUSE_S)
            return False
        return True

    def _start_trainer(self, job: training_pb2.TrainingJob, directory: RunDirectory) -> Trainer:
        reference = parse_dataset(job.recipe.dataset)
        request = TrainRequest(
            job=job.name,
            recipe=json_format.MessageToDict(job.recipe),
            dataset=str((self._config.datasets / reference.dataset / str(reference.version)).resolve()),
            caches=str(self._config.caches.resolve()),
            cache_budget_bytes=self._config.cache_budget_bytes,
            weights=str(self._config.weights_dir.resolve()),
            downloads=str(self._config.downloads.resolve()),
            source=self._source(job.recipe.weights),
        )
        directory.write_request(job.attempt, to_json(request))
        return self._executor.start("train", directory, job.attempt)

    def _source(self, weights: str) -> str:
        """Return the package folder of the model version that a job starts from; empty where it starts from none.

        Raises:
            FailedPrecondition: it is gone.
        """
        if not weights.startswith(_MODELS):
            return ""
        model, version = parse_version(weights)
        folder = self._config.models / model / str(version)
        if not folder.is_dir():
            raise FailedPrecondition(
                f"{weights}, whose weights the job starts from, is gone: use another version",
                reason="SOURCE_VERSION_GONE",
            )
        return str(folder.resolve())

    async def _settle(self, job_id: str, directory: RunDirectory, attempt: int, trainer: Trainer) -> None:
        try:
            result = await asyncio.to_thread(directory.read_result, attempt)
        except ValueError:
            result = None
        if result is not None and result.outcome == "SUCCEEDED":
            await self._publish(job_id, directory)
            return

        def end(connection: sa.Connection) -> training_pb2.TrainingJob:
            # The state is read where it is changed: a cancellation may have come in between.
            if _get(connection, job_id).state == CANCELLING:
                return jobs.append(connection, job_id, [jobs.state_event(CANCELLED)])
            failure = self._failures.get(job_id) or _failure(result, trainer)
            return jobs.append(connection, job_id, [jobs.state_event(FAILED, failure)])

        await self._ended(await self._catalog.record(end))

    async def _publish(self, job_id: str, directory: RunDirectory) -> None:
        job = await self._catalog.read(lambda connection: _get(connection, job_id))
        if job.phase != state_pb2.TRAINING_PHASE_PUBLISHING:
            entered = event_pb2.JobEvent(phase_entered=state_pb2.TRAINING_PHASE_PUBLISHING)
            entered.time.GetCurrentTime()
            job = await self._append(job_id, [entered])
        publication = await self._publisher.publish(job, directory.package)
        if publication.error is not None:
            await self._ended(await self._append(job_id, [jobs.state_event(FAILED, publication.error)]))
            return
        published = event_pb2.JobEvent(
            version_published=event_pb2.VersionPublished(
                model_version=publication.model_version, live=publication.live, reason=publication.reason
            )
        )
        published.time.GetCurrentTime()
        await self._ended(await self._append(job_id, [published, jobs.state_event(SUCCEEDED)]))
        await asyncio.to_thread(self._storage.discard, directory.checkpoint)

    async def _append(self, job_id: str, events: Sequence[event_pb2.JobEvent]) -> training_pb2.TrainingJob:
        job = await self._catalog.record(lambda connection: jobs.append(connection, job_id, events))
        await self._changed(job)
        return job

    async def _ended(self, job: training_pb2.TrainingJob) -> None:
        logger.info("job %s: %s %s", job.name, _name(job.state), job.model_version or job.error.reason)
        await self._changed(job)

    async def _changed(self, job: training_pb2.TrainingJob) -> None:
        self.signals.notify(jobs.identifier(job))
        await self._count()

    async def _count(self) -> None:
        counts = await self._catalog.read(jobs.counts)
        self._metrics.set_job_counts(counts)
        self._metrics.queue_length.set(counts.get(QUEUED, 0))

    def _show(self, job: training_pb2.TrainingJob) -> None:
        latest = job.latest_epoch if job.HasField("latest_epoch") else None
        self._metrics.show_job(jobs.identifier(job), epochs=job.recipe.epochs, latest=latest)


def _take_oldest(connection: sa.Connection) -> training_pb2.TrainingJob | None:
    job = jobs.oldest_queued(connection)
    return None if job is None else jobs.append(connection, jobs.identifier(job), [jobs.state_event(RUNNING)])


def _get(connection: sa.Connection, job_id: str) -> training_pb2.TrainingJob:
    job = jobs.get(connection, job_id)
    if job is None:
        raise job_not_found(f"trainingJobs/{job_id}")
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


def _digest(spec: training_spec_pb2.TrainingSpec) -> str:
    return hashlib.sha256(spec.SerializeToString(deterministic=True)).hexdigest()


def _failure(result: Result | None, trainer: Trainer) -> event_pb2.Failure:
    if result is None:
        message = f"the trainer ended without a result ({trainer.describe_end()}): its log may say why"
        return event_pb2.Failure(reason="TRAINER_LOST", message=message)
    if result.outcome == "CANCELLED":
        message = "the trainer was told to stop by something else than this service: create the job again"
        return event_pb2.Failure(reason="TRAINER_STOPPED", message=message)
    return event_pb2.Failure(reason=result.reason or "TRAINER_FAILED", message=result.message[:_MAX_MESSAGE])


def _not_started(error: Exception) -> event_pb2.Failure:
    if isinstance(error, CultivarError):
        return event_pb2.Failure(reason=error.reason, message=error.message)
    reason = error.strerror if isinstance(error, OSError) else ""
    kind = "INSUFFICIENT_DISK" if files.is_disk_full(error) else "TRAINER_NOT_STARTED"
    return event_pb2.Failure(reason=kind, message=f"the trainer could not be started: {reason}")


def _name(state: state_pb2.TrainingJobState) -> str:
    return state_pb2.TrainingJobState.Name(state).removeprefix("TRAINING_JOB_STATE_")
