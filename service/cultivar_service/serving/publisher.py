"""Makes versions of finished jobs' packages."""

import asyncio
import logging
from pathlib import Path

import sqlalchemy as sa

from cultivar.v1 import dataset_pb2, event_pb2, model_pb2, training_pb2
from cultivar.v1 import training_spec_pb2 as spec_pb2
from cultivar_contract import files, package
from cultivar_contract.package import DamagedPackage
from cultivar_service.catalog import aliases, models, readings
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.models import Publication
from cultivar_service.catalog.references import parse_version
from cultivar_service.config import Config
from cultivar_service.errors import Unavailable
from cultivar_service.serving.engine import LoadedVersion
from cultivar_service.serving.live import LiveVersions
from cultivar_service.serving.registry import Registry
from cultivar_service.serving.score import Score, goes_live
from cultivar_service.serving.versions import Versions
from cultivar_service.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)


class Publisher:
    """The one place where versions come to be."""

    def __init__(
        self,
        config: Config,
        catalog: Catalog,
        registry: Registry,
        versions: Versions,
        live: LiveVersions,
        metrics: Metrics,
    ) -> None:
        self._config = config
        self._catalog = catalog
        self._registry = registry
        self._versions = versions
        self._live = live
        self._metrics = metrics

    async def publish(self, job: training_pb2.TrainingJob, folder: Path) -> Publication:
        """Make a version of a package; asking again gives the same answer.

        On a full disk there is no version, and the job can publish its package another time.
        """
        model = job.recipe.model
        try:
            async with self._live.moving(model):  # a model that is being deleted is gone, with its folder, before this
                version, known = await self._catalog.record(
                    lambda connection: models.reserve(connection, model, job.name)
                )
                if known is not None:
                    return known
                await asyncio.to_thread(self._move, folder, model, version)
            loaded = await self._registry.load_new(model, version)
            resource = await asyncio.to_thread(_describe, loaded, job)
            score = Score.of(loaded.manifest)
        except DamagedPackage as error:
            return await self._reject(job, version, str(error), error.reason)
        except Unavailable as error:
            return await self._reject(job, version, error.message, "files")
        except OSError as error:
            if files.is_disk_full(error):
                return await self._postpone(job, version)
            return await self._reject(job, version, f"its files could not be kept: {error.strerror}", "files")
        async with self._live.moving(model):  # from the decision who is live until that version is
            answering = self._registry.live(model)
            live, reason = goes_live(
                job.recipe.publish,
                score,
                None if answering is None else answering.name,
                {} if answering is None else answering.manifest,
            )

            def settle(connection: sa.Connection) -> Publication:
                readings.record(connection, loaded.manifest, resource)
                return models.settle(connection, resource, went_live=live, reason=reason)

            publication = await self._catalog.record(settle)
            if live:
                await self._live.swap(loaded)
            await self._registry.cannot_answer(model)
        logger.info("%s: READY, %s: %s", publication.model_version, "live" if live else "not live", reason)
        return publication

    async def offer(self, name: str, policy: spec_pb2.PublishPolicy, *, actor: str) -> tuple[bool, str]:
        """Let a READY version go live where a publish policy says so; asking again moves nothing.

        Args:
            name: `models/flowers/versions/3`.
            policy: the rule.
            actor: on whose behalf, for the history.

        Returns:
            Whether it went live, and why or why not.

        Raises:
            NotFound: there is no such version.
            FailedPrecondition, Unavailable: it can't answer.
        """
        model, version = parse_version(name)
        loaded = await self._versions.load(model, version, field="name")  # outside the lock: it may take a while
        try:
            score = Score.of(loaded.manifest)
        except DamagedPackage as error:
            return False, str(error)
        async with self._live.moving(model):
            loaded = await self._versions.load(model, version, field="name")
            if await self._catalog.read(lambda connection: aliases.was_made_live_by(connection, model, version, actor)):
                return True, "as decided before"
            answering = self._registry.live(model)
            if answering is not None and answering.name == name:
                return False, "it is live already"
            live, reason = goes_live(
                policy,
                score,
                None if answering is None else answering.name,
                {} if answering is None else answering.manifest,
            )
            if live:
                await self._catalog.record(
                    lambda connection: aliases.move_live(connection, model, version, actor=actor, reason=reason)
                )
                await self._live.swap(loaded)
                await self._registry.cannot_answer(model)
        logger.info("%s: %s for %s: %s", name, "live" if live else "not live", actor, reason)
        return live, reason

    async def _reject(self, job: training_pb2.TrainingJob, version: int, message: str, reason: str) -> Publication:
        model = job.recipe.model
        self._metrics.rejected_versions.labels(model, reason).inc()
        name = models.version_name(model, version)
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
        publication = await self._catalog.record(
            lambda connection: models.settle(connection, resource, went_live=False, reason="rejected")
        )
        await self._registry.cannot_answer(model)
        return publication

    async def _postpone(self, job: training_pb2.TrainingJob, version: int) -> Publication:
        model = job.recipe.model
        await self._catalog.record(lambda connection: models.delete_version(connection, model, version))
        message = f"the disk is too full to keep {models.version_name(model, version)}: free some and export the job"
        logger.error("%s: %s", job.name, message)
        return Publication(model_version="", error=event_pb2.Failure(reason="INSUFFICIENT_DISK", message=message))

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
        raise DamagedPackage(
            f"{package.MANIFEST} is incomplete ({type(error).__name__}: {error})", reason="manifest"
        ) from error
    version.create_time.GetCurrentTime()
    return version
