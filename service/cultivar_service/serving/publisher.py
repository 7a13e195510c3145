"""Makes versions of finished jobs' packages, and decides which version is live."""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from google.protobuf import json_format

from cultivar.v1 import dataset_pb2, event_pb2, model_pb2, training_pb2
from cultivar.v1 import training_spec_pb2 as spec_pb2
from cultivar_contract import files, package
from cultivar_contract.package import DamagedPackage
from cultivar_service.catalog import jobs, models
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.models import Publication
from cultivar_service.catalog.references import LIVE, model_not_found
from cultivar_service.catalog.storage import DataDirectory
from cultivar_service.config import Config
from cultivar_service.errors import FailedPrecondition
from cultivar_service.serving.engine import LoadedVersion
from cultivar_service.serving.registry import Registry
from cultivar_service.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

_METRICS = {
    spec_pb2.SELECTION_METRIC_LOSS: "loss",
    spec_pb2.SELECTION_METRIC_TOP1: "accuracy",
    spec_pb2.SELECTION_METRIC_TOP5: "top5_accuracy",
    spec_pb2.SELECTION_METRIC_MACRO_F1: "macro_f1",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """How well a version did, and on what: two scores compare where images and metric are the same."""

    val_digest: str
    """Digest of the validation images."""
    metric: str
    """Key in the manifest's metrics."""
    value: float
    """Its value."""

    @classmethod
    def of(cls, manifest: dict[str, Any]) -> "Score":
        """Read a manifest.

        Raises:
            DamagedPackage: it has no score.
        """
        try:
            recipe = json_format.ParseDict(manifest["recipe"], spec_pb2.TrainingSpec(), ignore_unknown_fields=True)
            metric = _METRICS[recipe.selection_metric]
            return cls(
                val_digest=str(manifest["dataset"]["splits"]["val"]["digest"]),
                metric=metric,
                value=float(manifest["variants"][0]["metrics"]["val"][metric]),
            )
        except (KeyError, TypeError, ValueError, IndexError, json_format.ParseError) as error:
            raise DamagedPackage(f"{package.MANIFEST} lacks the selection metric ({error})") from error

    def beats(self, other: "Score") -> bool:
        """Tell whether this one is better."""
        return self.value < other.value if self.metric == "loss" else self.value > other.value


class Publisher:
    """The one place where versions come to be and `live` moves."""

    def __init__(
        self, config: Config, catalog: Catalog, storage: DataDirectory, registry: Registry, metrics: Metrics
    ) -> None:
        self._config = config
        self._catalog = catalog
        self._storage = storage
        self._registry = registry
        self._metrics = metrics
        self._moving = asyncio.Lock()  # held from the decision who is live until that version is

    async def publish(self, job: training_pb2.TrainingJob, folder: Path) -> Publication:
        """Make a version of a package; asking again gives the same answer."""
        model = job.recipe.model
        version, known = await self._catalog.write(lambda connection: models.reserve(connection, model, job.name))
        if known is not None:
            return known
        try:
            await asyncio.to_thread(self._move, folder, model, version)
            loaded = await self._registry.load_new(model, version)
            resource = await asyncio.to_thread(_describe, loaded, job)
            score = Score.of(loaded.manifest)
        except DamagedPackage as error:
            return await self._reject(job, version, str(error))
        except OSError as error:
            return await self._reject(job, version, f"its files could not be kept: {error.strerror}")
        async with self._moving:
            live, reason = await self._decide(job.recipe.publish, model, score)
            publication = await self._catalog.write(
                lambda connection: models.settle(connection, resource, went_live=live, reason=reason)
            )
            if live:
                await self._registry.go_live(loaded)
        logger.info("%s: READY, %s: %s", publication.model_version, "live" if live else "not live", reason)
        return publication

    async def promote(self, model: str, version: int) -> None:
        """Make a version live.

        Raises:
            NotFound: there is no such version.
            FailedPrecondition: it can't answer.
        """
        async with self._moving:
            loaded = await self.load_ready(model, version, field="name")
            await self._catalog.write(lambda connection: models.set_alias(connection, model, LIVE, version, "promoted"))
            await self._registry.go_live(loaded)

    async def ready(self, model: str, version: int, *, field: str) -> model_pb2.ModelVersion:
        """Return the record of a version that is READY.

        Raises:
            NotFound: there is no such version.
            FailedPrecondition: it is being loaded, or was rejected.
        """
        name = models.version_name(model, version)
        resource = await self._catalog.read(lambda connection: models.get_version(connection, model, version))
        if resource is None:
            raise model_not_found(name, field)
        if resource.state == models.LOADING:
            raise FailedPrecondition(f"{name} is being loaded: wait until it is READY", reason="VERSION_LOADING")
        if resource.state == models.REJECTED:
            raise _rejected(name, resource.error.message)
        return resource

    async def load_ready(self, model: str, version: int, *, field: str) -> LoadedVersion:
        """Return a version that can answer.

        Raises:
            NotFound: there is no such version.
            FailedPrecondition: it can't answer.
        """
        await self.ready(model, version, field=field)
        try:
            return await self._registry.get(model, version)
        except DamagedPackage as error:
            raise _rejected(models.version_name(model, version), str(error)) from error

    async def delete_version(self, model: str, version: int) -> None:
        """Delete a version that is not live.

        Raises:
            NotFound: there is no such version.
            FailedPrecondition: it is live, being loaded, or the start of an unfinished job.
        """
        name = models.version_name(model, version)

        def forget(connection: sa.Connection) -> None:
            resource = models.get_version(connection, model, version)
            if resource is None:
                raise model_not_found(name)
            if resource.live:
                raise FailedPrecondition(f"{name} is live: promote another version first", reason="VERSION_LIVE")
            if resource.state == models.LOADING:
                raise FailedPrecondition(f"{name} is being loaded: wait for its end", reason="VERSION_LOADING")
            _check_unused(connection, name)
            models.delete_version(connection, model, version)

        async with self._moving:
            await self._catalog.write(forget)
            await self._registry.forget(model, version)
        await asyncio.to_thread(self._storage.discard, self._config.models / model / str(version))
        logger.info("%s: deleted", name)

    async def delete_model(self, model: str) -> None:
        """Delete a model and all its versions.

        Raises:
            NotFound: there is no such model.
            FailedPrecondition: one of its versions is being loaded, or is the start of an unfinished job.
        """

        def forget(connection: sa.Connection) -> None:
            if models.get(connection, model) is None:
                raise model_not_found(f"models/{model}")
            if models.loading(connection, model):
                raise FailedPrecondition(
                    f"models/{model} gets a new version right now: try again in a moment", reason="VERSION_LOADING"
                )
            _check_unused(connection, f"models/{model}")
            models.delete(connection, model)

        async with self._moving:
            await self._catalog.write(forget)
            await self._registry.forget(model)
        self._metrics.predictions.forget(model)
        await asyncio.to_thread(self._storage.discard, self._config.models / model)
        logger.info("models/%s: deleted", model)

    async def _decide(self, policy: spec_pb2.PublishPolicy, model: str, score: Score) -> tuple[bool, str]:
        """Tell whether a new version goes live, and why."""
        if policy == spec_pb2.PUBLISH_POLICY_NEVER:
            return False, "publish is never"
        if policy == spec_pb2.PUBLISH_POLICY_ALWAYS:
            return True, "publish is always"
        version = await self._catalog.read(lambda connection: models.live_version(connection, model))
        if version is None:
            return True, "the model has no other live version"
        name = models.version_name(model, version)
        try:
            opened = await asyncio.to_thread(package.open_package, self._config.models / model / str(version))
            other = Score.of(opened.manifest)
        except DamagedPackage:
            return False, f"{name} is live and has no score to compare with: promote the new version to replace it"
        if score.val_digest != other.val_digest:
            return False, f"{name} is live and was measured on other validation images"
        if score.metric != other.metric:
            return False, f"{name} is live and was selected by {other.metric}, not {score.metric}"
        figures = f"val {score.metric} {score.value:.6g}, {name} has {other.value:.6g}"
        return (True, f"better: {figures}") if score.beats(other) else (False, f"not better: {figures}")

    async def _reject(self, job: training_pb2.TrainingJob, version: int, message: str) -> Publication:
        self._metrics.rejected_versions.inc()
        name = models.version_name(job.recipe.model, version)
        logger.error("%s: rejected: %s", name, message)
        resource = model_pb2.ModelVersion(
            name=name,
            state=models.REJECTED,
            training_job=job.name,
            creator=job.creator,
            architecture=job.recipe.architecture,
            dataset=job.recipe.dataset,
            error=event_pb2.Failure(reason="VERSION_REJECTED", message=message),
        )
        resource.create_time.GetCurrentTime()
        return await self._catalog.write(
            lambda connection: models.settle(connection, resource, went_live=False, reason="rejected")
        )

    def _move(self, source: Path, model: str, version: int) -> None:
        target = self._config.models / model / str(version)
        if target.exists():
            return  # moved already, before a restart
        package.assign_version(source, model=model, version=version)
        files.sync_tree(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)
        files.sync_folder(target.parent)


def _describe(loaded: LoadedVersion, job: training_pb2.TrainingJob) -> model_pb2.ModelVersion:
    manifest = loaded.manifest
    try:
        variant = manifest["variants"][0]
        version = model_pb2.ModelVersion(
            name=loaded.name,
            state=models.READY,
            training_job=job.name,
            creator=job.creator,
            architecture=str(manifest["architecture"]),
            classes=[
                dataset_pb2.DatasetClass(id=class_id, display_name=name)
                for class_id, name in zip(loaded.class_ids, loaded.class_names, strict=True)
            ],
            metrics=[
                event_pb2.SplitMetrics(
                    split=split,
                    image_count=int(figures.get("image_count", 0)),
                    loss=float(figures["loss"]),
                    accuracy=float(figures["accuracy"]),
                    top5_accuracy=float(figures["top5_accuracy"]),
                    macro_f1=float(figures.get("macro_f1", 0)),  # older packages have none
                )
                for split in ("val", "test")
                if (figures := variant["metrics"].get(split)) is not None
            ],
            onnx_sha256=str(variant["sha256"]),
            input_size=loaded.preprocessing.size,
            dataset=str(manifest["dataset"]["name"]),
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DamagedPackage(f"{package.MANIFEST} is incomplete ({type(error).__name__}: {error})") from error
    version.create_time.GetCurrentTime()
    return version


def _check_unused(connection: sa.Connection, name: str) -> None:
    user = jobs.user_of_weights(connection, name)
    if user:
        raise FailedPrecondition(
            f"{name} gives {user} its weights: wait for its end, or cancel it", reason="VERSION_IN_USE"
        )


def _rejected(name: str, message: str) -> FailedPrecondition:
    return FailedPrecondition(f"{name} was rejected: {message}"[:500], reason="VERSION_REJECTED")
