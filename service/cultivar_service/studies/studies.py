"""Training studies, from the request to their end: made, followed, stopped, deleted."""

import asyncio
import hashlib
import logging
from collections.abc import Sequence

import sqlalchemy as sa

from cultivar.v1 import event_pb2, study_pb2
from cultivar_service.catalog import jobs, studies
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.job_record import CANCELLING as JOB_CANCELLING
from cultivar_service.catalog.references import study_not_found
from cultivar_service.catalog.storage import new_identifier
from cultivar_service.catalog.study_record import (
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
)
from cultivar_service.config import Config
from cultivar_service.errors import AlreadyExists, FailedPrecondition
from cultivar_service.studies import figures
from cultivar_service.studies.comparison import Variant
from cultivar_service.studies.evaluating import Evaluating, Promoter
from cultivar_service.studies.readings import Readings
from cultivar_service.studies.reports import Reports
from cultivar_service.studies.trials import look, make_trials
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
        self._jobs.creation.check_ready()
        study.name, study.creator = f"{STUDIES}{new_identifier()}", creator
        study.create_time.GetCurrentTime()
        trials = make_trials(study, variants)
        digest = _digest(study.spec)

        def insert(connection: sa.Connection) -> Study:
            if request_id and (first := _repeat(connection, request_id, digest)) is not None:
                return first
            self._jobs.creation.insert_trials(connection, trials)
            return studies.insert(connection, study, request_id=request_id, request_digest=digest)

        made = await self._catalog.write(insert)
        if made.name == study.name:
            logger.info("study %s: %d trials queued", made.name, len(trials))
            self._jobs.creation.wake()
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
            study = await self._catalog.record(lambda connection: look(connection, study_id))
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
