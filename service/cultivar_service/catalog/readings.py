"""What a package tells of the images that its job selected and measured, as records of evaluations."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cultivar.v1 import dataset_pb2, evaluation_pb2, model_pb2
from cultivar_service.catalog import evaluations
from cultivar_service.catalog.datasets import SPLIT_NAMES
from cultivar_service.catalog.evaluations import EvaluationKey

NUMBERS = {name: number for number, name in SPLIT_NAMES.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What a job measured on one split."""

    key: EvaluationKey
    split: int
    evaluation: evaluation_pb2.Evaluation


def selected(manifest: dict[str, Any], split: str) -> dataset_pb2.DatasetSplit | None:
    """Return number and digest of the images of a split that a package's job selected; None: it selected none."""
    facts = manifest.get("dataset", {}).get("splits", {}).get(split, {})
    if not facts.get("digest"):
        return None
    return dataset_pb2.DatasetSplit(
        split=NUMBERS[split], image_count=int(facts.get("image_count", 0)), digest=str(facts["digest"])
    )


def readings(manifest: dict[str, Any], version: model_pb2.ModelVersion) -> Iterator[Reading]:
    """Yield what a version's job measured.

    Args:
        manifest: of its package.
        version: its record, with the figures that its package brought.
    """
    class_ids = [one.id for one in version.classes]
    for metrics in version.metrics:
        images = selected(manifest, metrics.split)
        if images is not None:
            made = evaluation_pb2.Evaluation(
                model_version=version.name,
                architecture=version.architecture,
                dataset=version.dataset,
                metrics=metrics,
                split_digest=images.digest,
                model_digest=version.onnx_sha256,
            )
            key = evaluations.key_of(images.digest, version.onnx_sha256, class_ids)
            yield Reading(key=key, split=images.split, evaluation=made)


def is_recorded(connection: sa.Connection, manifest: dict[str, Any], version: model_pb2.ModelVersion) -> bool:
    """Tell whether `record` has been called for a version: older releases did not."""
    return all(evaluations.find(connection, one.key) is not None for one in readings(manifest, version))


def record(connection: sa.Connection, manifest: dict[str, Any], version: model_pb2.ModelVersion) -> None:
    """Keep what a version's job measured: each of its readings counts."""
    for one in readings(manifest, version):
        evaluations.add(connection, key=one.key, split=one.split, made=one.evaluation)
