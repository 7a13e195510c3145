"""What Predict, PredictStream and ModelInfer share: counting, the order of classes, provenance."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from cultivar.v1 import prediction_pb2
from cultivar_contract.preprocessing import UnreadableImage
from cultivar_service.serving.engine import LoadedVersion
from cultivar_service.serving.predictor import Answer
from cultivar_service.telemetry.metrics import Metrics


@contextmanager
def counted(metrics: Metrics, loaded: LoadedVersion) -> Iterator[None]:
    """Count the request that is answered meanwhile, and the time that it takes."""
    started = time.perf_counter()
    try:
        yield
    except BaseException:  # Also where the client gave up.
        loaded.statistics.request(time.perf_counter() - started, ok=False)
        raise
    seconds = time.perf_counter() - started
    loaded.statistics.request(seconds, ok=True)
    metrics.prediction_seconds.labels(loaded.model).observe(seconds)


def count_images(metrics: Metrics, loaded: LoadedVersion, answers: Sequence[Answer]) -> None:
    """Count images by what became of them."""
    unreadable = sum(isinstance(answer, UnreadableImage) for answer in answers)
    metrics.prediction_images.labels(loaded.model, "classified").inc(len(answers) - unreadable)
    metrics.prediction_images.labels(loaded.model, "unreadable").inc(unreadable)


def largest(values: NDArray[np.float32], count: int) -> list[int]:
    """Return the positions of the largest values, largest first."""
    # Stable: of equal probabilities the first class wins, as in the trainer's evaluation.
    return [int(index) for index in np.argsort(-values, kind="stable")[:count]]


def provenance(loaded: LoadedVersion) -> prediction_pb2.Provenance:
    """Return where a version's answers come from."""
    return prediction_pb2.Provenance(
        training_job=str(loaded.manifest.get("training_job", "")),
        onnx_sha256=str(loaded.manifest["variants"][0].get("sha256", "")),
        execution_provider=loaded.provider,
        preprocessing_version=loaded.preprocessing.version,
    )
