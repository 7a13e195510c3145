"""Weights that come from a model version or a finished job, found by name, with the recipe that made them."""

import asyncio
from collections.abc import Collection
from pathlib import Path

from google.protobuf import json_format

from cultivar.v1 import model_pb2, state_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import package
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_contract.names import is_name
from cultivar_contract.package import DamagedPackage
from cultivar_contract.recipe import SourceFacts
from cultivar_contract.violations import Violation
from cultivar_service.catalog import jobs, models
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.references import job_not_found, parse_job, parse_model, parse_version
from cultivar_service.errors import FailedPrecondition, NotFound
from cultivar_service.serving.resolver import Resolver

_WEIGHTS = "weights.npz"
_JOB = "trainingJobs/"
_MODEL = "models/"


class WeightSources:
    """Finds the model versions that specs name as their weights."""

    def __init__(self, models_folder: Path, catalog: Catalog, resolver: Resolver) -> None:
        self._models = models_folder
        self._catalog = catalog
        self._resolver = resolver

    async def find(self, spec: pb.TrainingSpec, weight_files: Collection[str], field: str) -> SourceFacts | None:
        """Return the model version that a spec's weights mean; None where they mean something else, or nothing.

        Members of the architecture's weight enum and files in the weights folder win over models of the same name.

        Raises:
            NotFound: there is no such job, model, alias or version.
            FailedPrecondition: it has no weights to give.
        """
        text = spec.weights
        architecture = ARCHITECTURES.get(spec.architecture)
        if not text or text in weight_files or (architecture is not None and text in architecture.weights):
            return None
        if text.startswith(_JOB):
            version = await self.of_job(text, field)
        elif is_name(text) and not await self._exists(text):
            return None  # neither member nor file nor model: the spec's check names all three
        elif is_name(text) or text.startswith(_MODEL) or "/versions/" in text or "@" in text:
            version = await self.ready(text, field)
        else:
            return None
        return await asyncio.to_thread(self._read, version, field)

    async def version(self, text: str, field: str) -> model_pb2.ModelVersion:
        """Return the READY version that a name means: a version, a model's live one, or that which a job has made.

        Raises:
            NotFound: there is no such job, model, alias or version.
            FailedPrecondition: it is not READY, or the job has made none.
        """
        return await (self.of_job(text, field) if text.startswith(_JOB) else self.ready(text, field))

    async def _exists(self, model: str) -> bool:
        return await self._catalog.read(lambda connection: models.get(connection, model)) is not None

    async def ready(self, text: str, field: str) -> model_pb2.ModelVersion:
        """Return the READY version that a text names.

        Raises:
            NotFound, FailedPrecondition: there is none.
        """
        parse_model(text, field)
        try:
            return await self._resolver.ready(text, field)
        except FailedPrecondition as error:
            raise _unusable(error.message, error.reason, field) from error

    async def of_job(self, text: str, field: str) -> model_pb2.ModelVersion:
        """Return the READY version that a job has made.

        Raises:
            NotFound, FailedPrecondition: there is none.
        """
        job_id = parse_job(text, field)
        job = await self._catalog.read(lambda connection: jobs.get(connection, job_id))
        if job is None:
            raise job_not_found(text, field)
        if job.state != state_pb2.TRAINING_JOB_STATE_SUCCEEDED:
            state = state_pb2.TrainingJobState.Name(job.state).removeprefix("TRAINING_JOB_STATE_")
            message = f"{job.name} is {state} and has made no model version: use a job that SUCCEEDED"
            raise _unusable(message, "JOB_NOT_SUCCEEDED", field)
        try:
            return await self.ready(job.model_version, field)
        except NotFound as error:
            message = f"{job.model_version}, which {job.name} made, was deleted: train it again, or use another"
            raise _unusable(message, "SOURCE_VERSION_GONE", field) from error

    def _read(self, version: model_pb2.ModelVersion, field: str) -> SourceFacts:
        model, number = parse_version(version.name)
        try:
            opened = package.open_package(self._models / model / str(number))
            manifest = opened.manifest
            recipe = json_format.ParseDict(manifest["recipe"], pb.TrainingSpec(), ignore_unknown_fields=True)
            complete = _WEIGHTS in manifest["files"]
        except (DamagedPackage, KeyError, TypeError, json_format.ParseError) as error:
            message = f"the package of {version.name} can't be read ({type(error).__name__}): use another version"
            raise _unusable(message, "PACKAGE_DAMAGED", field) from error
        if not complete:
            message = f"the package of {version.name} has no {_WEIGHTS}: use another version"
            raise _unusable(message, "PACKAGE_WITHOUT_WEIGHTS", field)
        if opened.is_ensemble:
            message = f"{version.name} is several networks, an ensemble: use one of its members"
            raise _unusable(message, "IS_ENSEMBLE", field)
        return SourceFacts(name=version.name, recipe=recipe)


def _unusable(message: str, reason: str, field: str) -> FailedPrecondition:
    return FailedPrecondition(message, reason=reason, violations=[Violation(field=field, message=message)])
