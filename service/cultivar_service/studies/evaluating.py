"""What follows a study's trials: the winner, its place among the model's versions, test figures and the report.

Each step is recorded when it is done, and a service that takes a study up again goes on with the next one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from cultivar.v1 import event_pb2, study_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_service.catalog import jobs, studies
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.references import parse_job, parse_version
from cultivar_service.catalog.study_record import EVALUATING, FAILED, SUCCEEDED, enter, identifier, now
from cultivar_service.config import Config
from cultivar_service.errors import CultivarError, Exhausted, Unavailable
from cultivar_service.studies import results
from cultivar_service.studies.predictions import image_differences
from cultivar_service.studies.readings import Readings, to_read
from cultivar_service.studies.reports import Reports

T = TypeVar("T")
Study = study_pb2.TrainingStudy
Events = list[study_pb2.StudyEvent]
Change = Callable[[str, studies.Edit], Awaitable[Study]]
"""Changes a study's record, however full the disk is, and tells those who watch it."""
_TRIES = 3
_LONGEST_PAUSE_S = 10.0
_MAX_MESSAGE = 500


class Promoter(Protocol):
    """Decides which versions go live."""

    async def offer(self, name: str, policy: pb.PublishPolicy, *, actor: str) -> tuple[bool, str]:
        """Let a version go live where the policy says so; tell whether it did, and why."""


class Evaluating:
    """The last part of a study's life."""

    def __init__(
        self, config: Config, catalog: Catalog, promoter: Promoter, readings: Readings, reports: Reports, change: Change
    ) -> None:
        self._config = config
        self._catalog = catalog
        self._promoter = promoter
        self._readings = readings
        self._reports = reports
        self._change = change

    async def run(self, study: Study) -> None:
        """Bring a study that is EVALUATING to its end; one that was asked to stop meanwhile stays as it is."""
        recipe = await self._recipe(study)
        if not study.winner:
            study = await self._choose(study, recipe.selection_metric)
        if study.state != EVALUATING:
            return
        await self._read_test_images(study, recipe.dataset)
        await self._finish(identifier(study), recipe)

    async def _recipe(self, study: Study) -> pb.TrainingSpec:
        """Return a trial's recipe: all have its data set and selection metric."""
        job_id = parse_job(study.trials[0].training_job)
        job = await self._catalog.read(lambda connection: jobs.get(connection, job_id))
        assert job is not None, "trials of a study under way can't be deleted"
        return job.recipe

    async def _choose(self, study: Study, metric: pb.SelectionMetric) -> Study:
        differences = self._image_differences(metric)

        def compare() -> tuple[Sequence[study_pb2.StudyRow], str]:
            results.tabulate(study, metric, differences)
            ranking = results.choose(study, metric)
            return ranking, results.conclude(study, ranking, metric, differences) if len(ranking) > 1 else ""

        ranking, conclusion = await asyncio.to_thread(compare)
        if len(ranking) < 2:
            return await self._apply(study, lambda told: _fail(told, study, ranking))
        winner = ranking[0].variant
        version = results.best_version(study, winner, metric)
        policy = study.spec.base.publish or pb.PUBLISH_POLICY_FIRST_OR_BETTER
        # Before the choice is recorded: who takes the study up after a crash in between offers it again, to no effect.
        live = await _to_the_end(self._offer(version, policy, study.name))

        def record(told: Study) -> Events:
            _take_rows(told, study)
            told.winner, told.winner_model_version, told.conclusion = winner, version, f"{conclusion} {live}"
            return [now(study_pb2.StudyEvent(winner_chosen=winner))]

        return await self._apply(study, record)

    async def _offer(self, version: str, policy: pb.PublishPolicy, actor: str) -> str:
        try:
            live, reason = await self._promoter.offer(version, policy, actor=actor)
        except CultivarError as error:
            live, reason = False, error.message[:_MAX_MESSAGE]
        return f"{version} {'went' if live else 'did not go'} live: {reason}."

    async def _read_test_images(self, study: Study, dataset: str) -> None:
        for trial in to_read(study):
            name, version = trial.training_job, trial.model_version
            try:
                metrics = await _patiently(lambda: self._readings.read(dataset, version))  # noqa: B023  awaited
            except CultivarError as error:
                await self._warn(study, f"{version} was not measured on test images: {error.message[:_MAX_MESSAGE]}")
            else:
                await self._apply(study, lambda told: _tested(told, name, metrics))  # noqa: B023  awaited

    async def _finish(self, study_id: str, recipe: pb.TrainingSpec) -> None:
        metric = recipe.selection_metric
        study = await self._catalog.read(lambda connection: studies.get(connection, study_id))
        assert study is not None, "a study under way can't be deleted"
        await asyncio.to_thread(results.tabulate, study, metric, self._image_differences(metric))
        try:
            await _patiently(lambda: self._reports.draw(study, recipe.dataset))
        except (CultivarError, OSError) as error:
            text = error.message if isinstance(error, CultivarError) else error.strerror or type(error).__name__
            await self._warn(study, f"There is no report: {text[:_MAX_MESSAGE]}")

        def succeed(told: Study) -> Events:
            _take_rows(told, study)
            return [enter(told, SUCCEEDED)]

        await self._apply(study, succeed)

    async def _warn(self, study: Study, text: str) -> None:
        await self._apply(study, lambda told: warn(told, text))

    async def _apply(self, study: Study, edit: studies.Edit) -> Study:
        """Change the record where it is still EVALUATING."""
        return await self._change(identifier(study), lambda told: edit(told) if told.state == EVALUATING else [])

    def _image_differences(self, metric: pb.SelectionMetric) -> results.ImageDifferences:
        def differences(before: study_pb2.StudyTrial, after: study_pb2.StudyTrial) -> NDArray[np.float64] | None:
            return image_differences(self._folder(before), self._folder(after), metric)

        return differences

    def _folder(self, trial: study_pb2.StudyTrial) -> Path:
        model, number = parse_version(trial.model_version)
        return self._config.models / model / str(number)


def warn(study: Study, text: str) -> Events:
    """Add a warning to a study; return the event of it, none where it was told before."""
    if text in study.warnings:
        return []
    study.warnings.append(text)
    return [now(study_pb2.StudyEvent(warning=text))]


def _take_rows(told: Study, study: Study) -> None:
    told.ClearField("rows")
    told.rows.extend(study.rows)


def _fail(told: Study, study: Study, ranking: Sequence[study_pb2.StudyRow]) -> Events:
    _take_rows(told, study)
    failures = [one for one in told.trials if one.HasField("error")]
    first = f"; {failures[0].training_job} failed: {failures[0].error.message}" if failures else ""
    told.error.reason = "TOO_FEW_SUCCEEDED"
    told.error.message = (
        f"of {len(told.rows)} variants {len(ranking)} have a trial that succeeded, and a comparison takes 2{first}"
    )[:_MAX_MESSAGE]
    return [enter(told, FAILED)]


def _tested(told: Study, job: str, metrics: event_pb2.SplitMetrics) -> Events:
    trial = next(one for one in told.trials if one.training_job == job)
    trial.test.CopyFrom(metrics)
    return [now(study_pb2.StudyEvent(trial_tested=trial))]


async def _patiently(act: Callable[[], Awaitable[T]]) -> T:
    """Do something that may not be possible just now, a few times if need be."""
    for _ in range(_TRIES - 1):
        try:
            return await act()
        except (Unavailable, Exhausted) as error:
            await asyncio.sleep(min(error.retry_after_s or 1.0, _LONGEST_PAUSE_S))
    return await act()


async def _to_the_end(change: Coroutine[Any, Any, T]) -> T:
    """Await a change that must not stop half way, also where this task is cancelled meanwhile."""
    task = asyncio.ensure_future(change)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
