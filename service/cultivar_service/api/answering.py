"""What Predict, PredictStream and ModelInfer share: counting, the order of classes, provenance."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from cultivar.v1 import prediction_pb2
from cultivar_contract.preprocessing import UnreadableImage
from cultivar_service.serving.engine import LoadedVersion
from cultivar_service.serving.lanes import Answer
from cultivar_service.telemetry.metrics import PredictionMetrics


@contextmanager
def counted(metrics: PredictionMetrics, loaded: LoadedVersion) -> Iterator[None]:
    """Count the request that is answered meanwhile, and the time that it takes."""
    started = time.perf_counter()
    try:
        yield
    except BaseException:  # Also where the client gave up.
        loaded.statistics.request(time.perf_counter() - started, ok=False)
        raise
    seconds = time.perf_counter() - started
    loaded.statistics.request(seconds, ok=True)
    metrics.of(loaded.model).whole_s.observe(seconds)


def count_images(metrics: PredictionMetrics, loaded: LoadedVersion, answers: Sequence[Answer]) -> None:
    """Count images by what became of them."""
    unreadable = sum(isinstance(answer, UnreadableImage) for answer in answers)
    metrics.of(loaded.model).count_images("classified", len(answers) - unreadable)
    metrics.of(loaded.model).count_images("unreadable", unreadable)


def largest(values: NDArray[np.float32], count: int) -> list[int]:
    """Return the positions of the largest values, largest first."""
    # Sorting all of a thousand classes would take as long as the rest of an answer.
    least = np.partition(values, -count)[-count]
    candidates = np.flatnonzero(~(values < least))  # so that NaN, which a partition puts last, leaves all
    # Stable: of equal probabilities the first class wins, as in the trainer's evaluation.
    ranking: list[int] = candidates[np.argsort(-values[candidates], kind="stable")][:count].tolist()
    return ranking


_provenances: WeakKeyDictionary[LoadedVersion, prediction_pb2.Provenance] = WeakKeyDictionary()


def provenance(loaded: LoadedVersion) -> prediction_pb2.Provenance:
    """Return where a version's answers come from."""
    found = _provenances.get(loaded)
    if found is None:
        found = _provenances[loaded] = _provenance(loaded)
    return found


def _provenance(loaded: LoadedVersion) -> prediction_pb2.Provenance:
    return prediction_pb2.Provenance(
        training_job=str(loaded.manifest.get("training_job", "")),
        onnx_sha256=str(loaded.manifest["variants"][0].get("sha256", "")),
        execution_provider=loaded.provider,
        preprocessing_version=loaded.preprocessing.version,
    )
