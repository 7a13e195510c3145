"""Deletes versions and models that nothing needs any more."""

import asyncio
import logging
from collections.abc import Iterable

import sqlalchemy as sa

from cultivar_service.catalog import aliases, jobs, models, studies
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.references import model_not_found
from cultivar_service.catalog.storage import DataDirectory
from cultivar_service.config import Config
from cultivar_service.errors import FailedPrecondition
from cultivar_service.serving.live import LiveVersions
from cultivar_service.serving.registry import Registry
from cultivar_service.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)


class Deletion:
    """Removes versions from the catalog, from memory and from the disk, in this order."""

    def __init__(
        self,
        config: Config,
        catalog: Catalog,
        storage: DataDirectory,
        registry: Registry,
        live: LiveVersions,
        metrics: Metrics,
    ) -> None:
        self._config = config
        self._catalog = catalog
        self._storage = storage
        self._registry = registry
        self._live = live
        self._metrics = metrics

    async def delete_version(self, model: str, version: int) -> None:
        """Delete a version that no alias points to. A rollback skips it from now on.

        Raises:
            NotFound: there is no such version.
            FailedPrecondition: an alias points to it, it is being loaded, or an unfinished job starts from it,
                repeats or combines it, or a study under way compares it.
        """
        name = models.version_name(model, version)

        def forget(connection: sa.Connection) -> None:
            resource = models.get_version(connection, model, version)
            if resource is None:
                raise model_not_found(name)
            if resource.live:
                raise FailedPrecondition(f"{name} is live: promote another version first", reason="VERSION_LIVE")
            if resource.aliases:
                raise FailedPrecondition(
                    f"{name} is what {_listed(resource.aliases)} points to: move or delete the alias first",
                    reason="VERSION_HAS_ALIAS",
                )
            if resource.state == models.LOADING:
                raise FailedPrecondition(f"{name} is being loaded: wait for its end", reason="VERSION_LOADING")
            _check_unused(connection, name)
            models.delete_version(connection, model, version)

        async with self._live.moving(model):
            await self._catalog.write(forget)
            await self._registry.forget(model, version)
            await self._live.keep_previous_warm(model)
        await asyncio.to_thread(self._storage.discard, self._config.models / model / str(version))
        logger.info("%s: deleted", name)

    async def delete_model(self, model: str) -> None:
        """Delete a model and all its versions, the live one too.

        Raises:
            NotFound: there is no such model.
            FailedPrecondition: an alias other than `live` points to one of its versions, one is being loaded, or an
                unfinished job starts from one, repeats or combines it, or a study under way compares it.
        """

        def forget(connection: sa.Connection) -> None:
            if not models.exists(connection, model):
                raise model_not_found(f"models/{model}")
            if known := aliases.of_model(connection, model):
                raise FailedPrecondition(
                    f"models/{model} has {_listed(known)}: delete the aliases first", reason="MODEL_HAS_ALIAS"
                )
            if models.loading(connection, model):
                raise FailedPrecondition(
                    f"models/{model} gets a new version right now: try again in a moment", reason="VERSION_LOADING"
                )
            _check_unused(connection, f"models/{model}")
            models.delete(connection, model)

        async with self._live.moving(model):
            await self._catalog.write(forget)
            await self._registry.forget(model)
            self._metrics.forget_model(model)
            await asyncio.to_thread(self._storage.discard, self._config.models / model)
        logger.info("models/%s: deleted", model)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{alias}`" for alias in names)


def _check_unused(connection: sa.Connection, name: str) -> None:
    user = jobs.user_of_version(connection, name)
    if user:
        raise FailedPrecondition(
            f"{name} is what {user} starts from, repeats or combines: wait for its end, or cancel it",
            reason="VERSION_IN_USE",
        )
    study = studies.user_of_version(connection, name)
    if study:
        raise FailedPrecondition(
            f"{name} is what {study} compares: wait for its end, or cancel it", reason="VERSION_IN_USE"
        )
