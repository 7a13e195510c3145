"""Sees attempts at jobs through: starts a trainer or finds it, follows it, stops it, and settles what came of it."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import sqlalchemy as sa

from cultivar.v1 import event_pb2, training_pb2
from cultivar_contract import files
from cultivar_contract.run_directory import Result, RunDirectory
from cultivar_contract.tasks import TaskRequest, to_json
from cultivar_service.catalog import jobs
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.job_record import (
    ACTIVE,
    CANCELLING,
    FAILED,
    PAUSING,
    SUCCEEDED,
    progress_mark,
    state_event,
    state_name,
)
from cultivar_service.catalog.storage import DataDirectory
from cultivar_service.config import Config
from cultivar_service.errors import CultivarError, InsufficientDisk
from cultivar_service.placement.placement import Placement
from cultivar_service.telemetry.metrics import Metrics
from cultivar_service.trainers.executor import Executor, Trainer, launch
from cultivar_service.training.aftermath import TRAINER_NOT_STARTED, End, events_after, failure_of, internal_error
from cultivar_service.training.attempt import Attempt
from cultivar_service.training.follower import Follower
from cultivar_service.training.job_log import JobLog, existing, persist
from cultivar_service.training.results import Results
from cultivar_service.training.train_request import combine_request, train_request

logger = logging.getLogger(__name__)

_NO_ENVIRONMENT: Mapping[str, str] = MappingProxyType({})


class Runner:
    """The attempts that are under way, a task for each."""

    def __init__(
        self,
        config: Config,
        catalog: Catalog,
        storage: DataDirectory,
        executor: Executor,
        log: JobLog,
        placement: Placement,
        results: Results,
        metrics: Metrics,
    ) -> None:
        self._config = config
        self._catalog = catalog
        self._storage = storage
        self._executor = executor
        self._log = log
        self._placement = placement
        self._results = results
        self._metrics = metrics
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.attempts: dict[str, Attempt] = {}
        """By job."""
        self.on_end: Callable[[], None] = lambda: None
        """Called when a device has become free, and when a job may be queued again."""

    def adopt(self, job: training_pb2.TrainingJob) -> None:
        """Go on with an attempt that the service before began."""
        self._placement.adopt(job)
        self._begin(Attempt(job, None))

    def begin(self, job: training_pb2.TrainingJob, environment: Mapping[str, str] = _NO_ENVIRONMENT) -> None:
        """Start the trainer of a job that has just become RUNNING and has a device."""
        self._begin(Attempt(job, environment))

    def stop(self, job_id: str) -> None:
        """End a job's trainer, where it has one; the job's state says what for."""
        if job_id in self.attempts:
            self.attempts[job_id].stop.set()

    async def fail_all(self, failure: event_pb2.Failure) -> None:
        """End every trainer, and its job in FAILED; return when that is done."""
        for attempt in self.attempts.values():
            attempt.fail(failure)
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def close(self) -> None:
        """Stop following; trainers live on."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def directory(self, job_id: str) -> RunDirectory:
        """Return a job's run directory."""
        return RunDirectory(self._config.runs / job_id)

    def _begin(self, attempt: Attempt) -> None:
        job_id = jobs.identifier(attempt.job)
        self.attempts[job_id] = attempt
        self._tasks[job_id] = asyncio.create_task(self._see_through(job_id, attempt), name=f"job {job_id}")

    async def _see_through(self, job_id: str, attempt: Attempt) -> None:
        try:
            job = await self._work(job_id, attempt)
            logger.info("job %s: %s %s", job.name, state_name(job.state), job.model_version or job.error.reason)
        except Exception:  # One job's failure, also an unforeseen one, must neither end the queue nor hang the job.
            logger.exception("job %s: internal error", job_id)
            await persist(lambda: self._log.change(lambda connection: _fail_internally(connection, job_id)))
        finally:
            self._metrics.hide_job(job_id)
            del self.attempts[job_id], self._tasks[job_id]
            self.on_end()

    async def _work(self, job_id: str, attempt: Attempt) -> training_pb2.TrainingJob:
        try:
            # Read after `attempts` has the job: a stop that was asked for is seen here, or it finds the attempt there.
            attempt.job, (attempt.start_ns, attempt.begun_at) = await self._catalog.read(
                lambda connection: (existing(connection, job_id), jobs.newest_attempt(connection, job_id))
            )
            if attempt.job.state in (CANCELLING, PAUSING):
                attempt.stop.set()
            self._show(attempt, attempt.job)
            result, end = await self._train(job_id, attempt)
        finally:
            self._placement.release(job_id)
            self.on_end()
        if result is not None and result.outcome == "SUCCEEDED":
            directory = self.directory(job_id)
            made = await self._results.make(await self._log.get(job_id), directory.package, ran_s=end.ran_s)
            if made.state == SUCCEEDED:  # nobody resumes it any more
                await asyncio.to_thread(self._storage.discard, directory.checkpoint)
            return made

        def settle(connection: sa.Connection) -> training_pb2.TrainingJob:
            # The state is read where it is changed: a cancellation may have come in between.
            events = events_after(existing(connection, job_id), end, retry_delay_s=self._config.retry_delay_s)
            return jobs.append(connection, job_id, events, ran_s=end.ran_s)

        return await persist(lambda: self._log.change(settle))

    async def _train(self, job_id: str, attempt: Attempt) -> tuple[Result | None, End]:
        """Return what the trainer left, and how the attempt ended where that is nothing to publish."""
        directory = self.directory(job_id)
        if attempt.environment is None:
            if not directory.log(attempt.job.attempt).exists():
                ended = _not_started(attempt, "the service ended before")
                return None, replace(ended, never_ran=True, delay=False)
            trainer = self._executor.attach(directory, attempt.job.attempt)
        else:
            attempt.check_time()
            if attempt.stop.is_set():
                return None, _not_started(attempt, "stopped before")
            try:
                trainer = await self._start(directory, attempt, attempt.environment)
            except OSError as error:
                ended = _not_started(attempt, error.strerror or type(error).__name__)
                if files.is_disk_full(error):
                    ended = replace(ended, failure=_full_disk(ended.failure), demanded=True)
                return None, ended
            except CultivarError as error:
                return None, End(failure=event_pb2.Failure(reason=error.reason, message=error.message), demanded=True)
        await self._follow(trainer, directory, attempt)
        try:
            result = await asyncio.to_thread(directory.read_result, attempt.job.attempt)
        except ValueError:  # damaged: another attempt writes another
            result = None
        return result, End(
            failure=attempt.demand or failure_of(result, trainer.describe_end()),
            ran_s=max(0, trainer.end_ns() - attempt.start_ns) / 1e9,
            demanded=attempt.demand is not None,
            made_progress=progress_mark(attempt.job) > attempt.begun_at,
            # Where it died while no service watched, both died together: of a restart of the host, which is over.
            delay=trainer.seen_alive,
        )

    async def _start(self, directory: RunDirectory, attempt: Attempt, environment: Mapping[str, str]) -> Trainer:
        """Start a trainer.

        Raises:
            OSError, CultivarError: it can't be started.
        """
        task, request = await self._task(attempt.job)
        # None is known of. If there is one all the same, it must not write beside the new one.
        await self._executor.attach(directory, attempt.job.attempt).kill()

        def start() -> Trainer:
            directory.write_request(attempt.job.attempt, to_json(request))
            return self._executor.start(task, directory, attempt.job.attempt, environment)

        return await launch(start)

    async def _task(self, job: training_pb2.TrainingJob) -> tuple[str, TaskRequest]:
        """Return which task a job is, and its request.

        Raises:
            CultivarError: something that it needs is gone.
        """
        if job.HasField("combination"):
            versions = await self._catalog.read(lambda connection: jobs.member_versions(connection, job))
            return "combine", await asyncio.to_thread(combine_request, self._config, job, versions)
        course = await self._results.course(job)
        return "train", await asyncio.to_thread(train_request, self._config, job, course)

    async def _follow(self, trainer: Trainer, directory: RunDirectory, attempt: Attempt) -> None:
        job_id = jobs.identifier(attempt.job)
        follower = Follower(self._catalog, directory, job_id, attempt.job.attempt)

        async def follow() -> None:
            if trainer.alive():
                attempt.check_time()
            with contextlib.suppress(
                InsufficientDisk
            ):  # a full disk: what the trainer tells stays in its own file for now
                await take(await follower.copy())

        async def take(changed: training_pb2.TrainingJob | None) -> None:
            if changed is None:
                return
            # Later epochs may take more: those of GRADUAL do, where all weights learn.
            measured = changed.HasField("memory") and (
                changed.memory != attempt.job.memory or changed.latest_epoch != attempt.job.latest_epoch
            )
            self._show(attempt, changed)
            self._log.tell(job_id)
            if measured:
                with contextlib.suppress(InsufficientDisk):  # what later jobs would gain by it is no reason to fail
                    await self._placement.learn(changed)

        try:
            await trainer.supervise(cancel=attempt.stop, on_tick=follow)
            await take(await persist(follower.copy))
        except Exception:
            await trainer.kill()  # the job is about to fail; nobody would follow its trainer
            raise
        finally:
            trainer.release()

    def _show(self, attempt: Attempt, job: training_pb2.TrainingJob) -> None:
        attempt.show(job)
        latest = job.latest_epoch if job.HasField("latest_epoch") else None
        self._metrics.show_job(jobs.identifier(job), epochs=job.recipe.epochs, latest=latest)


def _fail_internally(connection: sa.Connection, job_id: str) -> training_pb2.TrainingJob:
    job = existing(connection, job_id)
    return jobs.append(connection, job_id, [state_event(FAILED, internal_error())] if job.state in ACTIVE else [])


def _full_disk(failure: event_pb2.Failure) -> event_pb2.Failure:
    return event_pb2.Failure(reason="INSUFFICIENT_DISK", message=failure.message)


def _not_started(attempt: Attempt, why: str) -> End:
    failure = event_pb2.Failure(reason=TRAINER_NOT_STARTED, message=f"the trainer could not be started: {why}")
    return End(failure=attempt.demand or failure, demanded=attempt.demand is not None)
