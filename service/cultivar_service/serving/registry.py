"""Which versions are in memory, and which of each model is live.

A request takes a LoadedVersion and keeps it to its end. Making another version live replaces one entry of a dictionary:
requests before it finish on the old version, requests after it begin on the new one, and the old one's memory goes when
the last request lets go of it.
"""

import asyncio
import logging
import weakref
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from cultivar.v1 import event_pb2
from cultivar_contract.package import DamagedPackage
from cultivar_service.catalog import models
from cultivar_service.catalog.database import Catalog
from cultivar_service.config import Config
from cultivar_service.serving import engine
from cultivar_service.serving.engine import LoadedVersion
from cultivar_service.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

OnLive = Callable[[str, bool], Awaitable[None]]
"""Is told a model's name and whether it can answer."""


class Registry:
    """The versions in memory."""

    def __init__(self, config: Config, catalog: Catalog, metrics: Metrics, on_live: OnLive) -> None:
        self._config = config
        self._catalog = catalog
        self._metrics = metrics
        self._on_live = on_live
        self._live: dict[str, LoadedVersion] = {}
        self._extra: OrderedDict[tuple[str, int], LoadedVersion] = OrderedDict()
        self._loading: dict[tuple[str, int], asyncio.Lock] = {}
        self._in_memory: weakref.WeakSet[LoadedVersion] = weakref.WeakSet()
        metrics.count_loaded_versions(lambda: len(self._in_memory))

    async def start(self) -> None:
        """Load every live version; one that is damaged is rejected, the others answer."""
        await self._catalog.write(models.reject_abandoned)
        for model, version in await self._catalog.read(models.live_versions):
            try:
                self._live[model] = await self._load(model, version)
            except DamagedPackage:
                continue  # logged and recorded where it was found
            await self._on_live(model, True)

    def live(self, model: str) -> LoadedVersion | None:
        """Return a model's live version."""
        return self._live.get(model)

    def loaded(self) -> list[LoadedVersion]:
        """Return the versions in memory that requests can get, by model and version."""
        return sorted((*self._live.values(), *self._extra.values()), key=lambda one: (one.model, one.version))

    async def get(self, model: str, version: int) -> LoadedVersion:
        """Return a READY version, from memory or loaded now.

        Raises:
            DamagedPackage: it can't be loaded; it is rejected from now on.
        """
        live = self._live.get(model)
        if live is not None and live.version == version:
            return live
        key = (model, version)
        try:
            async with self._loading.setdefault(key, asyncio.Lock()):
                if key not in self._extra:
                    self._extra[key] = await self._load(model, version)
        finally:
            self._loading.pop(key, None)
        loaded = self._extra[key]
        self._extra.move_to_end(key)
        while len(self._extra) > self._config.max_extra_versions:
            self._extra.popitem(last=False)
        return loaded

    async def load_new(self, model: str, version: int) -> LoadedVersion:
        """Load a version that nobody can ask for yet.

        Raises:
            DamagedPackage: it can't be loaded.
        """
        folder = self._config.models / model / str(version)
        loaded = await asyncio.to_thread(
            engine.load,
            folder,
            model=model,
            version=version,
            device=self._config.device,
            threads=self._config.inference_threads,
        )
        self._in_memory.add(loaded)
        return loaded

    async def go_live(self, loaded: LoadedVersion) -> None:
        """Let a version answer for its model, from the next request on."""
        before = self._live.get(loaded.model)
        self._live[loaded.model] = loaded
        self._extra.pop((loaded.model, loaded.version), None)
        if before is not None and before is not loaded:
            self._metrics.model_swaps.inc()
        logger.info("%s: live", loaded.name)
        await self._on_live(loaded.model, True)

    async def forget(self, model: str, version: int | None = None) -> None:
        """Drop a deleted version, or all of a deleted model's."""
        for key in [key for key in self._extra if key[0] == model and version in (None, key[1])]:
            del self._extra[key]
        if version is None and self._live.pop(model, None) is not None:
            await self._on_live(model, False)

    async def _load(self, model: str, version: int) -> LoadedVersion:
        try:
            return await self.load_new(model, version)
        except DamagedPackage as error:
            name = models.version_name(model, version)
            logger.error("%s: rejected: %s", name, error)
            self._metrics.rejected_versions.inc()
            failure = event_pb2.Failure(reason="PACKAGE_DAMAGED", message=str(error))
            await self._catalog.write(lambda connection: models.reject(connection, model, version, failure))
            raise
