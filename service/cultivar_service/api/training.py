"""TrainingService: queues training jobs and stops them."""

from google.protobuf.empty_pb2 import Empty

from cultivar.v1 import state_pb2, training_pb2
from cultivar.v1 import training_spec_pb2 as spec_pb2
from cultivar_service.api.fields import check_request_id
from cultivar_service.api.lookup import ready_dataset
from cultivar_service.api.recipes import Recipes
from cultivar_service.caller import Caller
from cultivar_service.catalog import jobs
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.paging import PageRequest
from cultivar_service.catalog.references import job_not_found, parse_job
from cultivar_service.errors import InvalidRequest
from cultivar_service.training import combinations
from cultivar_service.training.jobs import Jobs


class TrainingApi:
    """Answers what TrainingService says of jobs."""

    def __init__(self, catalog: Catalog, runner: Jobs, recipes: Recipes) -> None:
        self._catalog = catalog
        self._jobs = runner
        self._recipes = recipes

    async def create_training_job(
        self, request: training_pb2.CreateTrainingJobRequest, caller: Caller
    ) -> training_pb2.TrainingJob:
        """Resolve a spec; queue it, or with validate_only answer what it would do."""
        request_id = check_request_id(request.request_id)
        if not request.validate_only:
            first = await self._jobs.creation.find_repeat(request.spec, request_id)
            if first is not None:
                return first
        resolution = await self._recipes.resolve(request.spec)
        ensemble = combinations.wants_ensemble(resolution.recipe)
        if ensemble:
            num_classes = await self._num_classes(resolution.recipe)
            parameters = combinations.ensemble_parameters(resolution.recipe, num_classes)
            combinations.member_specs(request.spec, resolution.recipe)  # checks their seeds
            resolution.warnings.append(combinations.explain(resolution.recipe))
        if request.validate_only:
            return training_pb2.TrainingJob(spec=request.spec, recipe=resolution.recipe, warnings=resolution.warnings)
        if ensemble:
            return await self._jobs.creation.create_ensemble(
                request.spec,
                resolution.recipe,
                resolution.warnings,
                request_id,
                creator=caller.name,
                parameters=parameters,
            )
        return await self._jobs.creation.create(
            request.spec, resolution.recipe, resolution.warnings, request_id, creator=caller.name
        )

    async def _num_classes(self, recipe: spec_pb2.TrainingSpec) -> int:
        dataset = await ready_dataset(self._catalog, recipe.dataset, "spec.dataset")
        return len(recipe.data.classes) or (0 if dataset is None else len(dataset.classes))

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
