"""What a job's trainer is asked to do."""

from collections.abc import Sequence

from google.protobuf import json_format

from cultivar.v1 import training_pb2
from cultivar_contract.package import ENSEMBLE, SOUP
from cultivar_contract.tasks import CombineRequest, TrainRequest
from cultivar_service.catalog.references import parse_dataset, parse_version
from cultivar_service.config import Config
from cultivar_service.errors import FailedPrecondition
from cultivar_service.training.reproductions import Course

MODELS = "models/"
"""How the weights of a recipe begin that come from a model version; members and files have no slash."""


def train_request(config: Config, job: training_pb2.TrainingJob, course: Course | None) -> TrainRequest:
    """Return the request for a job.

    Args:
        config: says where everything is.
        job: the job.
        course: of the training that it repeats; None where it repeats none.

    Raises:
        FailedPrecondition: the version that its weights come from is gone.
    """
    return TrainRequest(
        job=job.name,
        recipe=json_format.MessageToDict(job.recipe),
        dataset=_dataset(config, job),
        caches=str(config.caches.resolve()),
        cache_budget_bytes=config.cache_budget_bytes,
        weights=str(config.weights_dir.resolve()),
        downloads=str(config.downloads.resolve()),
        source=_package(config, job.recipe.weights, "whose weights the job starts from")
        if job.recipe.weights.startswith(MODELS)
        else "",
        export_only=job.export_only,
        plans=[] if course is None else course.plans,
        stop_after_epochs=0 if course is None else course.stop_after_epochs,
    )


def combine_request(config: Config, job: training_pb2.TrainingJob, versions: Sequence[str]) -> CombineRequest:
    """Return the request for a job that combines models.

    Args:
        config: says where everything is.
        job: the job.
        versions: its members, all of which are made.

    Raises:
        FailedPrecondition: one of them is gone.
    """
    soup = job.combination.method == training_pb2.COMBINATION_METHOD_SOUP
    return CombineRequest(
        job=job.name,
        recipe=json_format.MessageToDict(job.recipe),
        method=SOUP if soup else ENSEMBLE,
        members=list(versions),
        packages=[_package(config, version, "which the job combines") for version in versions],
        dataset=_dataset(config, job),
        caches=str(config.caches.resolve()),
        cache_budget_bytes=config.cache_budget_bytes,
    )


def _dataset(config: Config, job: training_pb2.TrainingJob) -> str:
    reference = parse_dataset(job.recipe.dataset)
    return str((config.datasets / reference.dataset / str(reference.version)).resolve())


def _package(config: Config, name: str, what: str) -> str:
    """Return the package folder of a model version."""
    model, version = parse_version(name)
    folder = config.models / model / str(version)
    if not folder.is_dir():
        raise FailedPrecondition(f"{name}, {what}, is gone: use another version", reason="SOURCE_VERSION_GONE")
    return str(folder.resolve())
