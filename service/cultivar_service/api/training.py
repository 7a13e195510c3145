"""TrainingService: queues training jobs, follows them and stops them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa
from google.protobuf.empty_pb2 import Empty

from cultivar.v1 import event_pb2, state_pb2, training_pb2
from cultivar.v1 import training_spec_pb2 as spec_pb2
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_contract.recipe import Facts, Resolution, SourceFacts, resolve
from cultivar_contract.violations import Violation
from cultivar_service.api.fields import check_not_negative, check_request_id
from cultivar_service.api.log_tail import read_log
from cultivar_service.api.lookup import file_names, missing_dataset, ready_dataset
from cultivar_service.api.weights import WeightSources
from cultivar_service.caller import Caller
from cultivar_service.catalog import datasets, jobs
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.paging import PageRequest
from cultivar_service.catalog.references import job_not_found, parse_job
from cultivar_service.errors import (
    CultivarError,
    FailedPrecondition,
    InvalidRequest,
    NotBuilt,
    NotFound,
    OutOfRange,
    TrainerNotInstalled,
)
from cultivar_service.training.describe import Descriptions
from cultivar_service.training.jobs import Jobs

logger = logging.getLogger(__name__)

_EVENTS_PER_READ = 200
_LOG_POLL_S = 0.25


class TrainingApi:
    """Answers what TrainingService says of jobs."""

    def __init__(
        self, catalog: Catalog, runner: Jobs, sources: WeightSources, descriptions: Descriptions, weights_dir: Path
    ) -> None:
        self._catalog = catalog
        self._jobs = runner
        self._sources = sources
        self._descriptions = descriptions
        self._weights_dir = weights_dir

    async def create_training_job(
        self, request: training_pb2.CreateTrainingJobRequest, caller: Caller
    ) -> training_pb2.TrainingJob:
        """Resolve a spec; queue it, or with validate_only answer what it would do."""
        request_id = check_request_id(request.request_id)
        if not request.validate_only:
            first = await self._jobs.find_repeat(request.spec, request_id)
            if first is not None:
                return first
        resolution = await self._resolve(request.spec)
        if request.validate_only:
            return training_pb2.TrainingJob(spec=request.spec, recipe=resolution.recipe, warnings=resolution.warnings)
        return await self._jobs.create(
            request.spec, resolution.recipe, resolution.warnings, request_id, creator=caller.name
        )

    async def _resolve(self, spec: spec_pb2.TrainingSpec) -> Resolution:
        """Return a spec's recipe.

        Raises:
            InvalidRequest, NotBuilt, NotFound, FailedPrecondition: it has none.
        """
        dataset = await ready_dataset(self._catalog, spec.dataset, "spec.dataset")
        weight_files = await asyncio.to_thread(file_names, self._weights_dir)
        source, refusal = await self._source(spec, weight_files)
        facts = Facts(
            dataset=None if dataset is None else datasets.facts(dataset), weight_files=weight_files, source=source
        )
        resolution = await self._with_network(spec, facts, resolve(spec, facts))
        violations = [_in_spec(one) for one in resolution.violations]
        unbuilt = [_in_spec(one) for one in resolution.unbuilt]
        if refusal is not None:
            # The check without a source calls the name unknown; the refusal knows better.
            violations = [one for one in violations if one.field != "spec.weights"]
            if not violations and dataset is not None:
                raise refusal
            violations += refusal.violations
        if dataset is None:
            violations.insert(0, missing_dataset("spec.dataset"))
        if violations:
            raise InvalidRequest(violations + unbuilt)
        if unbuilt:
            raise NotBuilt(unbuilt)
        return resolution

    async def _source(
        self, spec: spec_pb2.TrainingSpec, weight_files: list[str]
    ) -> tuple[SourceFacts | None, CultivarError | None]:
        if spec.mode == spec_pb2.FINE_TUNING_MODE_SCRATCH:
            return None, None  # takes none, which the spec's own check says
        try:
            return await self._sources.find(spec, weight_files, "spec.weights"), None
        except (NotFound, FailedPrecondition) as error:
            return None, error

    async def _with_network(self, spec: spec_pb2.TrainingSpec, facts: Facts, resolution: Resolution) -> Resolution:
        """Resolve again with what the built network tells, where a check needs it and a trainer can build it."""
        recipe = resolution.recipe
        if resolution.unbuilt or facts.dataset is None or recipe.architecture not in ARCHITECTURES:
            return resolution
        num_classes = max(2, len(recipe.data.classes) or len(facts.dataset.class_ids))
        try:
            network = await self._descriptions.network_facts(recipe, num_classes)
        except TrainerNotInstalled:
            return resolution
        except CultivarError as error:
            logger.warning("a spec's network could not be built: %s", error.message)
            resolution.warnings.append(
                f"The network was not built beforehand ({error.message[:200]}): what needs that is checked by the job."
            )
            return resolution
        return resolution if network is None else resolve(spec, replace(facts, network=network))

    async def get_training_job(
        self, request: training_pb2.GetTrainingJobRequest, _: Caller
    ) -> training_pb2.TrainingJob:
        """Answer one job."""
        return await self._jobs.get(parse_job(request.name))

    async def list_training_jobs(
        self, request: training_pb2.ListTrainingJobsRequest, caller: Caller
    ) -> training_pb2.ListTrainingJobsResponse:
        """Answer a page of jobs."""
        states = sorted(set(request.states))
        for state in states:
            if state not in state_pb2.TrainingJobState.values() or not state:
                raise InvalidRequest.at("states", f"{state} is no state: use those of TrainingJobState")
        # Where no token is asked for, nobody has a name, and every job is everybody's.
        creator = caller.name if request.mine else ""
        wanted = PageRequest.parse(request.page_size, request.page_token, f"jobs {states} {creator}")
        page = await self._catalog.read(lambda connection: jobs.page(connection, wanted, states, creator))
        await self._jobs.tell_places(page.items)
        return training_pb2.ListTrainingJobsResponse(training_jobs=page.items, next_page_token=page.next_token)

    async def watch_training_job(
        self, request: training_pb2.WatchTrainingJobRequest, _: Caller
    ) -> AsyncIterator[event_pb2.JobEvent]:
        """Answer a job's events from a cursor on, until its end."""
        job_id, cursor = parse_job(request.name), check_not_negative(request.after_event, "after_event")
        job = await self._get(job_id)
        if cursor > job.last_event:
            raise InvalidRequest.at(
                "after_event", f"{cursor}: {job.name} has {job.last_event} events, use at most that"
            )
        while True:
            changed = self._jobs.signals.next(job_id)
            job, events = await self._catalog.read(_job_and_events(job_id, cursor))
            for event in events:
                yield event
                cursor = event.number
            if cursor < job.last_event:
                continue
            if job.state in jobs.FINAL:
                return
            await changed.wait()

    async def stream_training_logs(
        self, request: training_pb2.StreamTrainingLogsRequest, _: Caller
    ) -> AsyncIterator[training_pb2.LogChunk]:
        """Answer a trainer's log from a byte on, with `follow` until the job's end."""
        job_id, offset = parse_job(request.name), check_not_negative(request.offset, "offset")
        first = True
        while True:
            job = await self._get(job_id)
            path = self._jobs.directory(job_id).log(max(job.attempt, 1))
            at_end = job.state in jobs.FINAL or not request.follow
            if first:
                size = await asyncio.to_thread(_size, path)
                if offset > size:
                    raise _behind_end(offset, size)
                first = False
            while (piece := await asyncio.to_thread(read_log, path, offset, whole_lines=not at_end)) is not None:
                text, following = piece
                yield training_pb2.LogChunk(offset=offset, text=text, next_offset=following)
                offset = following
            if at_end:
                return
            await asyncio.sleep(_LOG_POLL_S)

    async def cancel_training_job(
        self, request: training_pb2.CancelTrainingJobRequest, caller: Caller
    ) -> training_pb2.TrainingJob:
        """Ask a job to stop."""
        return await self._jobs.cancel(await self._own(request.name, caller))

    async def pause_training_job(
        self, request: training_pb2.PauseTrainingJobRequest, caller: Caller
    ) -> training_pb2.TrainingJob:
        """Ask a job to give its device back until it is resumed."""
        return await self._jobs.pause(await self._own(request.name, caller))

    async def resume_training_job(
        self, request: training_pb2.ResumeTrainingJobRequest, caller: Caller
    ) -> training_pb2.TrainingJob:
        """Queue a paused job again."""
        return await self._jobs.resume(await self._own(request.name, caller))

    async def export_training_job(
        self, request: training_pb2.ExportTrainingJobRequest, caller: Caller
    ) -> training_pb2.TrainingJob:
        """Queue a job that ended without a version again, to make one of its best epoch."""
        return await self._jobs.export(await self._own(request.name, caller))

    async def delete_training_job(self, request: training_pb2.DeleteTrainingJobRequest, caller: Caller) -> Empty:
        """Delete a finished job."""
        await self._jobs.delete(await self._own(request.name, caller))
        return Empty()

    async def _own(self, name: str, caller: Caller) -> str:
        """Return the identifier of a job that the caller may change."""
        job_id = parse_job(name)
        job = await self._get(job_id)
        caller.check_may_change(job.name, job.creator)
        return job_id

    async def _get(self, job_id: str) -> training_pb2.TrainingJob:
        job = await self._catalog.read(lambda connection: jobs.get(connection, job_id))
        if job is None:
            raise job_not_found(f"trainingJobs/{job_id}")
        return job


def _job_and_events(
    job_id: str, cursor: int
) -> Callable[[sa.Connection], tuple[training_pb2.TrainingJob, list[event_pb2.JobEvent]]]:
    def read(connection: sa.Connection) -> tuple[training_pb2.TrainingJob, list[event_pb2.JobEvent]]:
        job = jobs.get(connection, job_id)
        if job is None:  # deleted while it was watched
            raise job_not_found(f"trainingJobs/{job_id}")
        return job, jobs.events_after(connection, job_id, cursor, _EVENTS_PER_READ)

    return read


def _in_spec(violation: Violation) -> Violation:
    return Violation(field=f"spec.{violation.field}", message=violation.message)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _behind_end(offset: int, size: int) -> OutOfRange:
    return OutOfRange([Violation(field="offset", message=f"{offset} is behind the log's end: it has {size} bytes")])
