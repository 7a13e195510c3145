"""PredictionService: classifies images."""

import time

import numpy as np
from numpy.typing import NDArray

from cultivar.v1 import prediction_pb2
from cultivar_contract.preprocessing import UnreadableImage
from cultivar_service.caller import Caller
from cultivar_service.errors import InvalidRequest
from cultivar_service.serving.engine import LoadedVersion
from cultivar_service.serving.predictor import Answer, Predictor
from cultivar_service.serving.resolver import Resolver
from cultivar_service.telemetry.metrics import Metrics

_DEFAULT_TOP_K = 5


class PredictionApi:
    """Answers PredictionService."""

    def __init__(self, resolver: Resolver, predictor: Predictor, metrics: Metrics, max_images: int) -> None:
        self._resolver = resolver
        self._predictor = predictor
        self._metrics = metrics
        self._max_images = max_images

    async def predict(self, request: prediction_pb2.PredictRequest, caller: Caller) -> prediction_pb2.PredictResponse:
        """Classify images; one that can't be read gets an error of its own."""
        started = time.perf_counter()
        if not request.images:
            raise InvalidRequest.at("images", "is empty: send at least one encoded image", reason="NO_IMAGES")
        if len(request.images) > self._max_images:
            raise InvalidRequest.at(
                "images", f"{len(request.images)} images: send at most {self._max_images} in a request"
            )
        loaded = await self._resolver.load(request.model, "model")
        top_k = _top_k(request, loaded)
        answers = await self._predictor.classify(loaded, request.images, caller)
        response = prediction_pb2.PredictResponse(
            model_version=loaded.name,
            results=[
                _result(answer, f"images[{position}]", loaded, top_k, request.all_probabilities)
                for position, answer in enumerate(answers)
            ],
        )
        self._count(loaded.model, answers, time.perf_counter() - started)
        return response

    def _count(self, model: str, answers: list[Answer], seconds: float) -> None:
        unreadable = sum(isinstance(answer, UnreadableImage) for answer in answers)
        self._metrics.prediction_images.labels(model, "classified").inc(len(answers) - unreadable)
        self._metrics.prediction_images.labels(model, "unreadable").inc(unreadable)
        self._metrics.prediction_seconds.labels(model).observe(seconds)


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
                for index in _most_probable(answer.probabilities, top_k)
            ],
            probabilities=answer.probabilities.tolist() if all_probabilities else (),
        )
    )


def _most_probable(probabilities: NDArray[np.float32], count: int) -> list[int]:
    # Stable: of equal probabilities the first class wins, as in the trainer's evaluation.
    return [int(index) for index in np.argsort(-probabilities, kind="stable")[:count]]
