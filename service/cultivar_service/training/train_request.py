"""What a job's trainer is asked to do."""

from google.protobuf import json_format

from cultivar.v1 import training_pb2
from cultivar_contract.tasks import TrainRequest
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
    reference = parse_dataset(job.recipe.dataset)
    return TrainRequest(
        job=job.name,
        recipe=json_format.MessageToDict(job.recipe),
        dataset=str((config.datasets / reference.dataset / str(reference.version)).resolve()),
        caches=str(config.caches.resolve()),
        cache_budget_bytes=config.cache_budget_bytes,
        weights=str(config.weights_dir.resolve()),
        downloads=str(config.downloads.resolve()),
        source=_source(config, job.recipe.weights),
        export_only=job.export_only,
        plans=[] if course is None else course.plans,
        stop_after_epochs=0 if course is None else course.stop_after_epochs,
    )


def _source(config: Config, weights: str) -> str:
    """Return the package folder of the model version that a job starts from; empty where it starts from none."""
    if not weights.startswith(MODELS):
        return ""
    model, version = parse_version(weights)
    folder = config.models / model / str(version)
    if not folder.is_dir():
        raise FailedPrecondition(
            f"{weights}, whose weights the job starts from, is gone: use another version", reason="SOURCE_VERSION_GONE"
        )
    return str(folder.resolve())
