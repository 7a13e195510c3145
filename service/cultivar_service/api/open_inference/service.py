"""GRPCInferenceService: the Open Inference Protocol's RPCs."""

import asyncio
import time
from collections.abc import Callable, Sequence

from cultivar.open_inference import open_inference_pb2 as pb
from cultivar_contract.preprocessing import UnreadableImage
from cultivar_contract.violations import Violation
from cultivar_service.api.answering import count_images, counted, provenance
from cultivar_service.api.open_inference import descriptions
from cultivar_service.api.open_inference.inputs import has_typed_pixels, read_images
from cultivar_service.api.open_inference.outputs import requested_outputs, write_outputs
from cultivar_service.api.open_inference.parameters import in_time
from cultivar_service.caller import Caller
from cultivar_service.catalog import models
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.references import LIVE, model_not_found, name_of_version, parse_model, parse_version
from cultivar_service.errors import FailedPrecondition, InvalidRequest, required
from cultivar_service.serving.engine import LoadedVersion, Outputs
from cultivar_service.serving.lanes import Answer
from cultivar_service.serving.predictor import Predictor
from cultivar_service.serving.registry import Registry
from cultivar_service.serving.resolver import Resolver
from cultivar_service.serving.statistics import VersionStatistics
from cultivar_service.telemetry.metrics import PredictionMetrics, service_version

EXTENSIONS = ("classification", "model_configuration", "model_repository(index)", "statistics")

_INDEX_STATES = {models.READY: "READY", models.LOADING: "LOADING", models.REJECTED: "UNAVAILABLE"}


class OpenInferenceApi:
    """Answers GRPCInferenceService."""

    def __init__(
        self,
        catalog: Catalog,
        resolver: Resolver,
        registry: Registry,
        predictor: Predictor,
        metrics: PredictionMetrics,
        *,
        max_images: int,
        is_ready: Callable[[], bool],
    ) -> None:
        self._catalog = catalog
        self._resolver = resolver
        self._registry = registry
        self._predictor = predictor
        self._metrics = metrics
        self._max_images = max_images
        self._is_ready = is_ready

    async def server_live(self, request: pb.ServerLiveRequest, caller: Caller) -> pb.ServerLiveResponse:
        """Tell that the process answers."""
        return pb.ServerLiveResponse(live=True)

    async def server_ready(self, request: pb.ServerReadyRequest, caller: Caller) -> pb.ServerReadyResponse:
        """Tell whether requests are answered."""
        return pb.ServerReadyResponse(ready=self._is_ready())

    async def model_ready(self, request: pb.ModelReadyRequest, caller: Caller) -> pb.ModelReadyResponse:
        """Tell whether a version can answer, without loading it."""
        try:
            await self._resolver.ready(*_named(request))
        except FailedPrecondition:
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=True)

    async def server_metadata(self, request: pb.ServerMetadataRequest, caller: Caller) -> pb.ServerMetadataResponse:
        """Answer the server's name, version and extensions."""
        return pb.ServerMetadataResponse(name="cultivar", version=service_version(), extensions=EXTENSIONS)

    async def model_metadata(self, request: pb.ModelMetadataRequest, caller: Caller) -> pb.ModelMetadataResponse:
        """Answer what a version takes and gives."""
        loaded = await self._resolver.load(*_named(request))
        versions = await self._catalog.read(lambda connection: models.every_version(connection, loaded.model))
        ready = [str(parse_version(one.name)[1]) for one in versions if one.state == models.READY]
        return descriptions.metadata(loaded, ready)

    async def model_config(self, request: pb.ModelConfigRequest, caller: Caller) -> pb.ModelConfigResponse:
        """Answer how a version is served."""
        loaded = await self._resolver.load(*_named(request))
        return pb.ModelConfigResponse(config=descriptions.config(loaded, self._max_images))

    async def model_statistics(self, request: pb.ModelStatisticsRequest, caller: Caller) -> pb.ModelStatisticsResponse:
        """Answer what versions have done since they were loaded; a version that is named need not be loaded."""
        loaded = self._registry.loaded()
        if request.name or request.version:
            text, field = _named(request)
            reference = parse_model(text, field)
            if reference.version is None and reference.alias == LIVE:
                if await self._catalog.read(lambda connection: models.get(connection, reference.model)) is None:
                    raise model_not_found(text, field)
                loaded = [one for one in loaded if one.model == reference.model]
            else:
                model, version = parse_version((await self._resolver.ready(text, field)).name)
                loaded = [one for one in loaded if (one.model, one.version) == (model, version)]
                if not loaded:
                    nothing = descriptions.statistics(model, version, VersionStatistics())
                    return pb.ModelStatisticsResponse(model_stats=[nothing])
        return pb.ModelStatisticsResponse(
            model_stats=[descriptions.statistics(one.model, one.version, one.statistics) for one in loaded]
        )

    async def repository_index(self, request: pb.RepositoryIndexRequest, caller: Caller) -> pb.RepositoryIndexResponse:
        """List every version."""
        if request.repository_name:
            raise InvalidRequest.at("repository_name", "there is one repository: leave it out")
        response = pb.RepositoryIndexResponse()
        for version in await self._catalog.read(models.every_version):
            if version.state == models.READY or not request.ready:
                model, number = parse_version(version.name)
                response.models.add(
                    name=model, version=str(number), state=_INDEX_STATES[version.state], reason=version.error.message
                )
        return response

    async def model_infer(self, request: pb.ModelInferRequest, caller: Caller) -> pb.ModelInferResponse:
        """Classify a batch of images, all of which must be readable."""
        caller = in_time(caller, request.parameters)
        name, field = name_of_version(
            required(request.model_name, "model_name"),
            request.model_version,
            field="model_name",
            version_field="model_version",
        )
        loaded = await self._resolver.load(name, field)
        with counted(self._metrics, loaded):
            outputs = requested_outputs(request, len(loaded.class_ids))
            reading = (request, loaded.preprocessing, self._max_images)
            slow = has_typed_pixels(request)
            images = await asyncio.to_thread(read_images, *reading) if slow else read_images(*reading)
            answers = await self._predictor.classify(loaded, images, caller)
            count_images(self._metrics, loaded, answers)
            classified = _all_classified(answers)
            started = time.perf_counter()
            response = _response(request, loaded)
            write_outputs(response, outputs, classified, loaded.class_names)
            loaded.statistics.stage("output", time.perf_counter() - started)
        return response


def _named(
    request: pb.ModelReadyRequest | pb.ModelMetadataRequest | pb.ModelConfigRequest | pb.ModelStatisticsRequest,
) -> tuple[str, str]:
    """Return the name of the version that is asked for, and the field to blame."""
    return name_of_version(required(request.name, "name"), request.version, field="name", version_field="version")


def _all_classified(answers: Sequence[Answer]) -> list[Outputs]:
    """Return the answers of a batch.

    Raises:
        InvalidRequest: an image can't be read.
    """
    unreadable = [(index, one) for index, one in enumerate(answers) if isinstance(one, UnreadableImage)]
    if unreadable:
        raise InvalidRequest(
            [Violation(field="inputs[0]", message=f"element {index}: {error}") for index, error in unreadable],
            reason=unreadable[0][1].reason,
        )
    return [one for one in answers if isinstance(one, Outputs)]


def _response(request: pb.ModelInferRequest, loaded: LoadedVersion) -> pb.ModelInferResponse:
    response = pb.ModelInferResponse(model_name=loaded.model, model_version=str(loaded.version), id=request.id)
    origin = provenance(loaded)
    response.parameters["version"].string_param = loaded.name
    response.parameters["training_job"].string_param = origin.training_job
    response.parameters["onnx_sha256"].string_param = origin.onnx_sha256
    response.parameters["execution_provider"].string_param = origin.execution_provider
    response.parameters["preprocessing_version"].int64_param = origin.preprocessing_version
    return response
