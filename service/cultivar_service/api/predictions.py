"""PredictionService: classifies images."""

from collections.abc import AsyncGenerator, AsyncIterator

from cultivar.v1 import prediction_pb2
from cultivar_contract.preprocessing import UnreadableImage
from cultivar_service.api.answering import count_images, counted, largest, provenance
from cultivar_service.api.in_order import in_order
from cultivar_service.caller import Caller
from cultivar_service.errors import CultivarError, InvalidRequest
from cultivar_service.serving.engine import LoadedVersion
from cultivar_service.serving.lanes import Answer
from cultivar_service.serving.predictor import Predictor
from cultivar_service.serving.resolver import Resolver
from cultivar_service.telemetry.metrics import PredictionMetrics

_DEFAULT_TOP_K = 5

_STREAM_REQUESTS = 32
"""Requests of one stream that are answered at a time: enough to fill batches from one client."""
_STREAM_BYTES = 32 << 20
"""Size of them together, from which on a stream is not read on."""


class PredictionApi:
    """Answers PredictionService."""

    def __init__(self, resolver: Resolver, predictor: Predictor, metrics: PredictionMetrics, max_images: int) -> None:
        self._resolver = resolver
        self._predictor = predictor
        self._metrics = metrics
        self._max_images = max_images

    async def predict(self, request: prediction_pb2.PredictRequest, caller: Caller) -> prediction_pb2.PredictResponse:
        """Classify images; one that can't be read gets an error of its own."""
        return await self._answer(request, caller)

    def predict_stream(
        self, requests: AsyncIterator[prediction_pb2.PredictStreamRequest], caller: Caller
    ) -> AsyncGenerator[prediction_pb2.PredictStreamResponse, None]:
        """Classify request after request, in order; one that is refused gets an error of its own."""

        async def answer(request: prediction_pb2.PredictStreamRequest) -> prediction_pb2.PredictStreamResponse:
            try:
                response = await self._answer(request.request, caller, patient=True)
            except CultivarError as error:
                return prediction_pb2.PredictStreamResponse(id=request.id, error=_error(error))
            return prediction_pb2.PredictStreamResponse(id=request.id, response=response)

        return in_order(requests, answer, max_requests=_STREAM_REQUESTS, max_bytes=_STREAM_BYTES)

    async def _answer(
        self, request: prediction_pb2.PredictRequest, caller: Caller, *, patient: bool = False
    ) -> prediction_pb2.PredictResponse:
        if not request.images:
            raise InvalidRequest.at("images", "is empty: send at least one encoded image", reason="NO_IMAGES")
        if len(request.images) > self._max_images:
            raise InvalidRequest.at(
                "images", f"{len(request.images)} images: send at most {self._max_images} in a request"
            )
        loaded = await self._resolver.load(request.model, "model")
        with counted(self._metrics, loaded):
            top_k = _top_k(request, loaded)
            answers = await self._predictor.classify(loaded, request.images, caller, patient=patient)
            count_images(self._metrics, loaded, answers)
            return prediction_pb2.PredictResponse(
                model_version=loaded.name,
                results=[
                    _result(answer, f"images[{position}]", loaded, top_k, request.all_probabilities)
                    for position, answer in enumerate(answers)
                ],
                provenance=provenance(loaded),
            )


def _error(error: CultivarError) -> prediction_pb2.PredictError:
    return prediction_pb2.PredictError(
        code=error.status.name,
        reason=error.reason,
        message=error.message,
        field=error.violations[0].field if error.violations else "",
    )


def _top_k(request: prediction_pb2.PredictRequest, loaded: LoadedVersion) -> int:
    num_classes = len(loaded.class_ids)
    if not request.HasField("top_k"):
        return min(_DEFAULT_TOP_K, num_classes)
    if not 1 <= request.top_k <= num_classes:
        raise InvalidRequest.at(
            "top_k", f"{request.top_k}: {loaded.name} has {num_classes} classes, use 1 to {num_classes}"
        )
    return request.top_k


def _result(
    answer: Answer, field: str, loaded: LoadedVersion, top_k: int, all_probabilities: bool
) -> prediction_pb2.ImageResult:
    if isinstance(answer, UnreadableImage):
        return prediction_pb2.ImageResult(
            error=prediction_pb2.ImageError(
                code="INVALID_ARGUMENT", reason=answer.reason, message=str(answer), field=field
            )
        )
    return prediction_pb2.ImageResult(
        classification=prediction_pb2.Classification(
            classes=[
                prediction_pb2.ClassProbability(
                    index=index,
                    class_id=loaded.class_ids[index],
                    display_name=loaded.class_names[index],
                    probability=float(answer.probabilities[index]),
                )
                for index in largest(answer.probabilities, top_k)
            ],
            probabilities=answer.probabilities.tolist() if all_probabilities else (),
        )
    )
