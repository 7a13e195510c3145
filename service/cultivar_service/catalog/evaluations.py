"""Records of what was measured on which images: test data are read once for each model, and every reading counts."""

import hashlib
import json
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from cultivar.v1 import evaluation_pb2, model_pb2
from cultivar_service.catalog.tables import evaluations

_MOST_PARAMETERS = 10_000
"""Of one query: SQLite allows 32,766."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationKey:
    """Which model on which images: the same key has the same figures."""

    split_digest: str
    """Of the images and their labels."""
    model_digest: str
    """Of the ONNX file, or of network and weights."""
    classes: str
    """Of the ids of the classes that the labels count."""

    @property
    def folder(self) -> str:
        """Name of the folder of its report: 40 hexadecimal digits."""
        parts = (self.split_digest, self.model_digest, self.classes)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A record."""

    key: EvaluationKey
    evaluation: evaluation_pb2.Evaluation


def key_of(split_digest: str, model_digest: str, class_ids: Sequence[str]) -> EvaluationKey:
    """Make the key of a model on a split whose labels count these classes."""
    classes = hashlib.sha256(json.dumps(list(class_ids)).encode()).hexdigest()
    return EvaluationKey(split_digest=split_digest, model_digest=model_digest, classes=classes)


def find(connection: sa.Connection, key: EvaluationKey) -> evaluation_pb2.Evaluation | None:
    """Return what was measured."""
    resource = connection.execute(sa.select(evaluations.c.resource).where(*_is(key))).scalar()
    return None if resource is None else evaluation_pb2.Evaluation.FromString(resource)


def add(connection: sa.Connection, *, key: EvaluationKey, split: int, made: evaluation_pb2.Evaluation) -> None:
    """Keep what was measured; a record that is there stays."""
    if find(connection, key) is None:
        connection.execute(
            evaluations.insert().values(
                split_digest=key.split_digest,
                model_digest=key.model_digest,
                classes=key.classes,
                split=split,
                time_ns=time.time_ns(),
                resource=made.SerializeToString(),
            )
        )


def models_measured(connection: sa.Connection, split_digest: str) -> int:
    """Return how many models have been measured on the images of a split."""
    count = sa.func.count(sa.distinct(evaluations.c.model_digest))
    return int(connection.execute(sa.select(count).where(evaluations.c.split_digest == split_digest)).scalar_one())


def of_models(connection: sa.Connection, model_digests: Collection[str]) -> list[Stored]:
    """Return what was measured of some models, the oldest first."""
    digests, found = sorted(model_digests), []
    for start in range(0, len(digests), _MOST_PARAMETERS):
        columns = evaluations.c
        query = (
            sa.select(columns.split_digest, columns.model_digest, columns.classes, columns.resource)
            .where(columns.model_digest.in_(digests[start : start + _MOST_PARAMETERS]))
            .order_by(columns.time_ns)
        )
        for split_digest, model_digest, classes, resource in connection.execute(query).all():
            key = EvaluationKey(split_digest=split_digest, model_digest=model_digest, classes=classes)
            evaluation = evaluation_pb2.Evaluation.FromString(resource)
            found.append(Stored(key=key, evaluation=evaluation))
    return found


def join(connection: sa.Connection, versions: Sequence[model_pb2.ModelVersion]) -> None:
    """Add to versions the test figures that were measured after their jobs, on the data sets that they learnt from."""
    tested = {
        (one.evaluation.model_digest, one.evaluation.dataset): one.evaluation.metrics
        for one in of_models(connection, {version.onnx_sha256 for version in versions})
        if one.evaluation.metrics.split == "test"
    }
    for version in versions:
        later = tested.get((version.onnx_sha256, version.dataset))
        if later is not None and not any(metrics.split == "test" for metrics in version.metrics):
            version.metrics.append(later)


def of_version(connection: sa.Connection, version: model_pb2.ModelVersion) -> list[evaluation_pb2.Evaluation]:
    """Return what was measured of a version, the oldest first."""
    found = []
    for one in of_models(connection, {version.onnx_sha256}):
        evaluation = one.evaluation
        evaluation.model_version = version.name  # versions with equal graphs share their records
        evaluation.stored = True
        evaluation.models_measured = models_measured(connection, one.key.split_digest)
        found.append(evaluation)
    return found


def _is(key: EvaluationKey) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        evaluations.c.split_digest == key.split_digest,
        evaluations.c.model_digest == key.model_digest,
        evaluations.c.classes == key.classes,
    )
