"""Training studies, from the request to their end: made, followed, stopped, deleted."""

import asyncio
import hashlib
import logging
from collections.abc import Sequence

import sqlalchemy as sa

from cultivar.v1 import event_pb2, state_pb2, study_pb2, training_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_service.catalog import jobs, studies
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.job_record import CANCELLING as JOB_CANCELLING
from cultivar_service.catalog.references import study_not_found
from cultivar_service.catalog.storage import new_identifier
from cultivar_service.catalog.study_record import (
    CANCELLED,
    CANCELLING,
    EVALUATING,
    FAILED,
    FINAL,
    RUNNING,
    STATE_NAMES,
    STUDIES,
    UNDER_WAY,
    enter,
    identifier,
    now,
)
from cultivar_service.config import Config
from cultivar_service.errors import AlreadyExists, FailedPrecondition
from cultivar_service.studies import figures, results
from cultivar_service.studies.comparison import Variant
from cultivar_service.studies.evaluating import Evaluating, Promoter
from cultivar_service.studies.readings import Readings
from cultivar_service.studies.reports import Reports
from cultivar_service.studies.variants import seeds_of
from cultivar_service.telemetry.metrics import Metrics
from cultivar_service.training.aftermath import internal_error
from cultivar_service.training.jobs import Jobs
from cultivar_service.training.signals import Signals

logger = logging.getLogger(__name__)

Study = study_pb2.TrainingStudy


class Studies:
    """Studies, each followed by a task while it is under way."""

    def __init__(
        self,
        config: Config,
        catalog: Catalog,
        runner: Jobs,
        promoter: Promoter,
        readings: Readings,
        reports: Reports,
        metrics: Metrics,
    ) -> None:
        self._catalog = catalog
        self._jobs = runner
        self._reports = reports
        self._metrics = metrics
        self._evaluating = Evaluating(config, catalog, promoter, readings, reports, self._change)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.signals = Signals()
        """Say by a study's identifier when it has new events."""

    async def start(self) -> None:
        """Take up the studies that the service before left under way; after the jobs were."""
        for study in await self._catalog.read(lambda connection: studies.in_states(connection, UNDER_WAY)):
            logger.info("study %s: found in state %s", study.name, STATE_NAMES[study.state])
            self._follow(identifier(study))
        await self._count()

    async def close(self) -> None:
        """Stop following; jobs live on."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def find_repeat(self, spec: study_pb2.TrainingStudySpec, request_id: str) -> Study | None:
        """Return the study that an earlier request with this request_id made.

        Raises:
            AlreadyExists: that request had another spec.
        """
        if not request_id:
            return None
        return await self._catalog.read(lambda connection: _repeat(connection, request_id, _digest(spec)))

    async def create(self, study: Study, variants: Sequence[Variant], request_id: str, *, creator: str) -> Study:
        """Queue a study's trials.

        Args:
            study: spec, warnings and rows; the rest is filled in.
            variants: resolved, in the spec's order.
            request_id: makes a retry answer with the first study; empty: nothing does.
            creator: name of the caller's token.

        Raises:
            TrainerNotInstalled, InsufficientDisk, QueueFull, AlreadyExists, NotFound: nothing is queued.
        """
        self._jobs.check_ready()
        study.name, study.creator = f"{STUDIES}{new_identifier()}", creator
        study.create_time.GetCurrentTime()
        pairs = [(variant, seed) for variant in variants for seed in seeds_of(study.spec)]
        trials = [_trial(study, job_id, *pair) for job_id, pair in zip(_identifiers(len(pairs)), pairs, strict=True)]
        digest = _digest(study.spec)

        def insert(connection: sa.Connection) -> Study:
            if request_id and (first := _repeat(connection, request_id, digest)) is not None:
                return first
            self._jobs.insert_trials(connection, trials)
            return studies.insert(connection, study, request_id=request_id, request_digest=digest)

        made = await self._catalog.write(insert)
        if made.name == study.name:
            logger.info("study %s: %d trials queued", made.name, len(trials))
            self._jobs.wake()
            self._follow(identifier(made))
            await self._count()
        return made

    async def get(self, study_id: str) -> Study:
        """Return a study, with its trials as they are now.

        Raises:
            NotFound: there is no such study.
        """

        def read(connection: sa.Connection) -> Study:
            study = _existing(connection, study_id)
            for trial in study.trials if study.state in UNDER_WAY else ():
                job = jobs.get(connection, trial.training_job.rpartition("/")[2])
                if job is not None and job.state not in jobs.FINAL:
                    figures.take(connection, trial, job)
            return study

        return await self._catalog.read(read)

    async def cancel(self, study_id: str) -> Study:
        """Ask a study and its trials to stop; one that has ended, or was asked before, stays as it is.

        Raises:
            NotFound: there is no such study.
        """

        def ask(connection: sa.Connection) -> tuple[Study, bool]:
            is_new = _existing(connection, study_id).state in (RUNNING, EVALUATING)
            return studies.change(connection, study_id, lambda one: [enter(one, CANCELLING)] if is_new else []), is_new

        study, is_new = await self._catalog.write(ask)
        if is_new:
            await self._told(study_id)
            logger.info("study %s: cancelled on request", study.name)
            # What goes on for it ends here: a reading of test images, or the drawing of the report.
            if (task := self._tasks.get(study_id)) is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            self._follow(study_id)
        return study

    async def delete(self, study_id: str) -> None:
        """Delete a finished study's record and report.

        Raises:
            NotFound: there is no such study.
            FailedPrecondition: it is not finished.
        """

        def forget(connection: sa.Connection) -> None:
            study = _existing(connection, study_id)
            if study.state not in FINAL:
                raise FailedPrecondition(
                    f"{study.name} is {STATE_NAMES[study.state]}: cancel it and wait for its end",
                    reason="STUDY_NOT_FINISHED",
                )
            studies.delete(connection, study_id)

        await self._catalog.write(forget)
        await asyncio.to_thread(self._reports.forget, study_id)
        self.signals.notify(study_id)
        await self._count()

    def _follow(self, study_id: str) -> None:
        task = asyncio.create_task(self._see_through(study_id), name=f"study {study_id}")
        self._tasks[study_id] = task
        task.add_done_callback(lambda done: self._tasks.pop(study_id) if self._tasks.get(study_id) is done else None)

    async def _see_through(self, study_id: str) -> None:
        try:
            study = await self._wait_for_trials(study_id)
            if study.state == EVALUATING:
                await self._evaluating.run(study)
        except Exception:  # One study that can't be judged, for whatever reason, must not look as if it went on.
            logger.exception("study %s%s: internal error", STUDIES, study_id)
            await self._change(study_id, _fail_internally)

    async def _wait_for_trials(self, study_id: str) -> Study:
        while True:
            changed = self._jobs.signals.next(f"{STUDIES}{study_id}")
            study = await self._catalog.record(lambda connection: _look(connection, study_id))
            await self._told(study_id)
            if study.state not in (RUNNING, CANCELLING):
                return study
            if study.state == CANCELLING:
                for trial in study.trials:
                    if trial.state not in (*jobs.FINAL, JOB_CANCELLING):
                        await self._jobs.cancel(trial.training_job.rpartition("/")[2])
            await changed.wait()

    async def _change(self, study_id: str, edit: studies.Edit) -> Study:
        study = await self._catalog.record(lambda connection: studies.change(connection, study_id, edit))
        await self._told(study_id)
        return study

    async def _told(self, study_id: str) -> None:
        self.signals.notify(study_id)
        await self._count()

    async def _count(self) -> None:
        self._metrics.set_study_counts(await self._catalog.read(studies.counts))


def _identifiers(count: int) -> list[str]:
    """Return so many different identifiers: of hundreds that are made at once, two may be equal."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[new_identifier()] = None
    return list(found)


def _trial(study: Study, job_id: str, variant: Variant, seed: int) -> training_pb2.TrainingJob:
    """Make the job of a variant and a seed, and note it in the study."""
    job = training_pb2.TrainingJob(
        name=f"trainingJobs/{job_id}",
        state=state_pb2.TRAINING_JOB_STATE_QUEUED,
        spec=variant.spec,
        recipe=variant.recipe,
        creator=study.creator,
        study=study.name,
    )
    for spec in (job.spec, job.recipe):
        # The study decides, on validation figures alone, which model goes live and when test images are read.
        spec.seed = seed
        spec.publish, spec.test_evaluation = pb.PUBLISH_POLICY_NEVER, pb.TEST_EVALUATION_DEFERRED
    job.create_time.CopyFrom(study.create_time)
    study.trials.add(variant=variant.name, seed=seed, training_job=job.name, state=job.state)
    return job


def _look(connection: sa.Connection, study_id: str) -> Study:
    """Bring a study up to date with its jobs, and let it go on once all of them have ended."""

    def edit(study: Study) -> list[study_pb2.StudyEvent]:
        if study.state not in (RUNNING, CANCELLING):
            return []
        states = jobs.states(connection, [one.training_job.rpartition("/")[2] for one in study.trials])
        happened, metric = [], pb.SELECTION_METRIC_UNSPECIFIED
        for trial in study.trials:
            job_id = trial.training_job.rpartition("/")[2]
            if states.get(job_id) == trial.state:
                continue
            job = jobs.get(connection, job_id)
            assert job is not None, "trials of a study under way can't be deleted"
            figures.take(connection, trial, job)
            happened.append(now(study_pb2.StudyEvent(trial_changed=trial)))
            metric = job.recipe.selection_metric
        if happened:
            results.tabulate(study, metric, results.no_images)
        if all(one.state in jobs.FINAL for one in study.trials):
            happened.append(enter(study, CANCELLED if study.state == CANCELLING else EVALUATING))
        return happened

    return studies.change(connection, study_id, edit)


def _fail_internally(study: Study) -> list[study_pb2.StudyEvent]:
    if study.state in FINAL:
        return []
    study.error.CopyFrom(event_pb2.Failure(reason="INTERNAL", message=internal_error().message))
    return [enter(study, FAILED)]


def _existing(connection: sa.Connection, study_id: str) -> Study:
    study = studies.get(connection, study_id)
    if study is None:
        raise study_not_found(f"{STUDIES}{study_id}")
    return study


def _repeat(connection: sa.Connection, request_id: str, digest: str) -> Study | None:
    found = studies.by_request_id(connection, request_id)
    if found is None:
        return None
    study, first_digest = found
    if first_digest != digest:
        raise AlreadyExists(
            "training study",
            study.name,
            f"request_id {request_id!r} made {study.name} of another spec: use a new request_id",
            reason="REQUEST_ID_REUSED",
        )
    return study


def _digest(spec: study_pb2.TrainingStudySpec) -> str:
    return hashlib.sha256(spec.SerializeToString(deterministic=True)).hexdigest()
