"""Queues what a request makes, all of it or nothing: a job, an ensemble with its members, a study's trials."""

import hashlib
import logging
from collections.abc import Callable, Sequence

import sqlalchemy as sa

from cultivar.v1 import training_pb2, training_spec_pb2
from cultivar_service.catalog import jobs, models
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.datasets import find
from cultivar_service.catalog.job_record import QUEUED
from cultivar_service.catalog.references import dataset_not_found, model_not_found, parse_dataset, parse_version
from cultivar_service.catalog.storage import DataDirectory, new_identifier
from cultivar_service.config import Config
from cultivar_service.errors import AlreadyExists
from cultivar_service.trainers.executor import Executor
from cultivar_service.training import combinations, holds, transitions
from cultivar_service.training.job_log import JobLog
from cultivar_service.training.train_request import MODELS

logger = logging.getLogger(__name__)


class JobCreation:
    """Makes jobs that wait for the scheduler."""

    def __init__(
        self,
        config: Config,
        catalog: Catalog,
        storage: DataDirectory,
        executor: Executor,
        log: JobLog,
        on_queued: Callable[[], None],
    ) -> None:
        self._config = config
        self._catalog = catalog
        self._storage = storage
        self._executor = executor
        self._log = log
        self._on_queued = on_queued

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
        self._on_queued()
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
        self._on_queued()


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
