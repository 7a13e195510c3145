"""Records of what was measured on which images: test data are read once for each model."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from cultivar.v1 import evaluation_pb2
from cultivar_service.catalog.tables import evaluations


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationKey:
    """Which model on which images: the same key has the same figures."""

    split_digest: str
    """Of the images and their labels."""
    model_digest: str
    """Of the ONNX file, or of network and weights."""
    classes: str
    """Of the data set's class ids."""


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


def _is(key: EvaluationKey) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        evaluations.c.split_digest == key.split_digest,
        evaluations.c.model_digest == key.model_digest,
        evaluations.c.classes == key.classes,
    )
