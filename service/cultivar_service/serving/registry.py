"""Which versions are in memory, and which of each model is live.

A request takes a LoadedVersion and keeps it to its end. Making another version live replaces one entry of a dictionary:
requests before it finish on the old version, requests after it begin on the new one. The registry holds every model's
live version, the one that a rollback would go back to, and a few others that were asked for last. A version that it
lets go of leaves memory with the last request that holds it.
"""

import asyncio
import logging
import weakref
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial

from cultivar.v1 import event_pb2
from cultivar_contract.package import DamagedPackage
from cultivar_service.catalog import models
from cultivar_service.catalog.database import Catalog
from cultivar_service.config import Config
from cultivar_service.serving.engine import LoadedVersion
from cultivar_service.serving.loading import Loader
from cultivar_service.serving.warming import Warmer
from cultivar_service.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

_Key = tuple[str, int]
OnHealth = Callable[[str, bool | None], Awaitable[None]]
"""Is told a model's name and whether it can answer; None: there is no such model any more."""


class Registry:
    """The versions in memory."""

    def __init__(self, config: Config, catalog: Catalog, metrics: Metrics, on_health: OnHealth) -> None:
        self._max_extra = config.max_extra_versions
        self._catalog = catalog
        self._metrics = metrics
        self._on_health = on_health
        self._loader = Loader(config, metrics)
        self._warmer = Warmer()
        self._live: dict[str, LoadedVersion] = {}
        self._previous: dict[str, LoadedVersion] = {}
        self._extra: OrderedDict[_Key, LoadedVersion] = OrderedDict()
        self._loading: dict[_Key, asyncio.Task[LoadedVersion]] = {}
        # Every version that may answer, as long as anybody holds it.
        self._usable: weakref.WeakValueDictionary[_Key, LoadedVersion] = weakref.WeakValueDictionary()

    async def close(self) -> None:
        """Wait for loads that are under way."""
        await asyncio.gather(*self._loading.values(), return_exceptions=True)
        await asyncio.to_thread(self._loader.close)
        await asyncio.to_thread(self._warmer.close)

    def live(self, model: str) -> LoadedVersion | None:
        """Return a model's live version."""
        return self._live.get(model)

    def held(self, model: str, version: int) -> LoadedVersion | None:
        """Return a READY version if it is in memory."""
        return self._usable.get((model, version))

    def loaded(self) -> list[LoadedVersion]:
        """Return the versions in memory that requests can get, by model and version."""
        held = (*self._live.values(), *self._previous.values(), *self._extra.values())
        return sorted(held, key=lambda one: (one.model, one.version))

    async def get(self, model: str, version: int) -> LoadedVersion:
        """Return a READY version, from memory or loaded now, and keep it for a while.

        Raises:
            DamagedPackage: it can't be loaded, and is rejected from now on; or it has just been deleted.
        """
        loaded = await self.load(model, version)
        key = (model, version)
        if self._usable.get(key) is loaded and loaded not in (self._live.get(model), self._previous.get(model)):
            self._extra[key] = loaded
            self._extra.move_to_end(key)
            while len(self._extra) > self._max_extra:
                self._extra.popitem(last=False)
        return loaded

    async def load(self, model: str, version: int) -> LoadedVersion:
        """Return a READY version, from memory or loaded now; whoever wants it to stay holds it.

        Raises:
            DamagedPackage: as `get` does.
        """
        key = (model, version)
        loaded = self._usable.get(key)
        if loaded is not None:
            return loaded
        task = self._loading.get(key)
        if task is None:
            task = self._loading[key] = asyncio.create_task(self._load(model, version))
            task.add_done_callback(partial(self._loaded, key))
        return await asyncio.shield(task)  # a caller who leaves takes the load from nobody else

    async def load_new(self, model: str, version: int) -> LoadedVersion:
        """Load a version that nobody can ask for yet.

        Raises:
            DamagedPackage: it can't be loaded.
        """
        return await self._loader.load(model, version)

    async def go_live(self, loaded: LoadedVersion) -> None:
        """Let a version answer for its model, from the next request on."""
        model, key = loaded.model, (loaded.model, loaded.version)
        before = self._live.get(model)
        self._live[model] = loaded
        self._extra.pop(key, None)
        if self._usable.get(key) is not loaded:  # published just now
            self._usable[key] = loaded
            self._warmer.warm(loaded)
        if before is not None and before is not loaded:
            self._metrics.model_swaps.labels(model).inc()
        logger.info("%s: live", loaded.name)
        await self._on_health(model, True)

    def keep_previous(self, model: str, loaded: LoadedVersion | None) -> None:
        """Hold the version that a rollback would go back to, in place of the one held for that until now."""
        if loaded is None:
            self._previous.pop(model, None)
        else:
            self._previous[model] = loaded
            self._extra.pop((model, loaded.version), None)

    async def cannot_answer(self, model: str) -> None:
        """Tell that a model has no live version, unless it has one."""
        if model not in self._live:
            await self._on_health(model, False)

    async def forget(self, model: str, version: int | None = None) -> None:
        """Drop a deleted version, or all of a deleted model's; requests that hold one finish with it."""
        loads = [task for key, task in self._loading.items() if key[0] == model and version in (None, key[1])]
        if loads:
            await asyncio.wait(loads)
        for held in (self._extra, self._usable):
            for key in [key for key in held if key[0] == model and version in (None, key[1])]:
                del held[key]
        previous = self._previous.get(model)
        if previous is not None and version in (None, previous.version):
            del self._previous[model]
        if version is None:
            self._live.pop(model, None)
            await self._on_health(model, None)

    async def _load(self, model: str, version: int) -> LoadedVersion:
        try:
            loaded = await self._loader.load(model, version)
        except DamagedPackage as error:
            failure = event_pb2.Failure(reason="PACKAGE_DAMAGED", message=str(error))
            if await self._catalog.record(lambda connection: models.reject(connection, model, version, failure)):
                logger.error("%s: rejected: %s", models.version_name(model, version), error)
                self._metrics.rejected_versions.labels(model, error.reason).inc()
            raise
        found = await self._catalog.read(lambda connection: models.get_version(connection, model, version))
        # No await from here on: `forget` finds either the task or what it left.
        if found is None or found.state != models.READY:
            raise DamagedPackage("it was deleted while it was being loaded")
        self._usable[(model, version)] = loaded
        self._warmer.warm(loaded)
        return loaded

    def _loaded(self, key: _Key, task: asyncio.Task[LoadedVersion]) -> None:
        del self._loading[key]
        if not task.cancelled():
            task.exception()  # seen, also where every caller has left
