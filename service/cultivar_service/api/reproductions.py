"""The part of ModelService that repeats a version's training."""

from cultivar.v1 import model_pb2, training_pb2
from cultivar_service.api.fields import check_request_id
from cultivar_service.caller import Caller
from cultivar_service.errors import AlreadyExists, required
from cultivar_service.serving.resolver import Resolver
from cultivar_service.training.job_creation import JobCreation
from cultivar_service.training.reproductions import Reproductions


class ReproductionApi:
    """Answers what ModelService says of reproductions."""

    def __init__(self, creation: JobCreation, resolver: Resolver, reproductions: Reproductions) -> None:
        self._creation = creation
        self._resolver = resolver
        self._reproductions = reproductions

    async def reproduce_model_version(
        self, request: model_pb2.ReproduceModelVersionRequest, caller: Caller
    ) -> training_pb2.TrainingJob:
        """Queue a job that repeats a version's training."""
        request_id = check_request_id(request.request_id)
        version = await self._resolver.ready(required(request.name, "name"), "name")
        origin = await self._reproductions.origin(version.name)
        job = await self._creation.create(
            origin.recipe,
            origin.recipe,
            [],
            request_id,
            creator=caller.name,
            reproduces=version.name,
        )
        if job.reproduces != version.name:  # two versions of one recipe, or a training job of that recipe
            raise AlreadyExists(
                "training job",
                job.name,
                f"request_id {request_id!r} made {job.name} for something else: use a new request_id",
                reason="REQUEST_ID_REUSED",
            )
        return job
