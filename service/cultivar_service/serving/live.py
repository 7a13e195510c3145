"""Moves `live` from version to version: the one place that does."""

import asyncio
import logging
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cultivar_contract.package import DamagedPackage
from cultivar_service.catalog import aliases, models
from cultivar_service.catalog.aliases import Earlier
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.references import model_not_found
from cultivar_service.errors import Aborted, FailedPrecondition, Unavailable
from cultivar_service.serving.engine import LoadedVersion
from cultivar_service.serving.registry import Registry
from cultivar_service.serving.versions import Versions

logger = logging.getLogger(__name__)

THE_SERVICE = "service"
"""Who moved `live` where nobody asked for it."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a request takes to be live when it moves `live`."""

    version: int | None
    """Its number; None: no version."""


class LiveVersions:
    """Which version of every model is live, in the catalog and in memory."""

    def __init__(self, catalog: Catalog, registry: Registry, versions: Versions) -> None:
        self._catalog = catalog
        self._registry = registry
        self._versions = versions
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._loads: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Load every model's live version, several at a time.

        Where it is damaged, the newest one that was live before and can be loaded takes its place; the damaged one is
        rejected, and other models answer whatever becomes of this one.
        """
        await self._catalog.write(models.reject_abandoned)
        with_live = await self._catalog.read(aliases.once_live)
        names = await self._catalog.read(models.names)
        await asyncio.gather(*(self._start(model) for model in names if model in with_live))
        for model in names:
            await self._registry.cannot_answer(model)

    async def warm_previous(self) -> None:
        """Load what rollbacks would go back to, in the background: after `start`, once requests are answered."""
        for model in await self._catalog.read(aliases.once_live):
            await self.keep_previous_warm(model)

    async def close(self) -> None:
        """Give up loading what only a rollback would need."""
        for task in self._loads:
            task.cancel()
        await asyncio.gather(*self._loads, return_exceptions=True)

    @asynccontextmanager
    async def moving(self, model: str) -> AsyncIterator[None]:
        """Hold off every other move of a model's aliases, and its deletion."""
        lock = self._locks.setdefault(model, asyncio.Lock())
        async with lock:
            yield

    async def promote(
        self, model: str, version: int, *, actor: str, reason: str = "", expected: Expected | None = None
    ) -> None:
        """Make a version live.

        Args:
            model: bare name.
            version: its number.
            actor: who asks.
            reason: why, for the history.
            expected: what must be live until now; None: whatever is.

        Raises:
            NotFound: there is no such version.
            FailedPrecondition: it can't answer.
            Aborted: another version is live than expected.
        """
        loaded = await self._versions.load(model, version, field="name")  # outside the lock: it may take a while
        async with self.moving(model):
            live = await self._check_expected(model, expected)
            loaded = await self._versions.load(model, version, field="name")
            if live == version:
                return
            await self._catalog.write(
                lambda connection: aliases.move_live(
                    connection, model, version, actor=actor, reason=reason or "promoted"
                )
            )
            await self.swap(loaded)

    async def rollback(self, model: str, *, actor: str, reason: str = "", expected: Expected | None = None) -> None:
        """Make the version live that was so before the live one; versions that are deleted or rejected are skipped.

        The arguments are those of `promote`.

        Raises:
            NotFound: there is no such model.
            FailedPrecondition: there is no earlier version that can answer.
            Aborted: another version is live than expected.
        """
        async with self.moving(model):
            live = await self._check_expected(model, expected)
            found = await self._load_earlier(model)
            if found is None:
                raise await self._nothing_left(model)
            earlier, loaded = found
            why = reason or (f"rolled back from version {live}" if live else "rolled back")
            await self._catalog.write(
                lambda connection: aliases.move_live_back(connection, model, earlier, actor=actor, reason=why)
            )
            await self.swap(loaded)

    async def swap(self, loaded: LoadedVersion) -> None:
        """Let requests see what the catalog says already, and keep the version warm that a rollback goes back to."""
        leaving = self._registry.live(loaded.model)
        await self._registry.go_live(loaded)
        await self.keep_previous_warm(loaded.model)
        del leaving  # held until here, so that it need not be loaded again

    async def keep_previous_warm(self, model: str) -> None:
        """Hold the version that a rollback would go back to now; load it in the background if need be."""
        live = self._registry.live(model)
        earlier = await self._earlier(model)
        held = None if earlier is None else self._registry.held(model, earlier.version)
        self._registry.keep_previous(model, held)
        if live is not None and earlier is not None and held is None:
            task = asyncio.create_task(self._load_previous(live))
            self._loads.add(task)
            task.add_done_callback(self._loads.discard)

    async def _load_previous(self, live: LoadedVersion) -> None:
        try:
            found = await self._load_earlier(live.model)
        except Unavailable as error:
            logger.error("models/%s: what a rollback would go back to is not loaded: %s", live.model, error.message)
            return
        if found is not None and self._registry.live(live.model) is live:  # else a later move has done this again
            self._registry.keep_previous(live.model, found[1])

    async def _start(self, model: str) -> None:
        version = await self._catalog.read(lambda connection: aliases.live_version(connection, model))
        why = "the version that was live was rejected"
        if version is not None:
            try:
                await self._registry.go_live(await self._registry.load(model, version))
            except DamagedPackage as error:
                why = f"version {version} was live and can't be loaded: {error}"
            except Unavailable as error:
                logger.error("models/%s: %s", model, error.message)  # requests will try again
                return
            else:
                return
        found = await self._load_earlier(model)
        if found is None:
            logger.error("models/%s: %s; no version that was live before can take its place", model, why)
            return
        earlier, loaded = found
        await self._catalog.write(
            lambda connection: aliases.move_live_back(connection, model, earlier, actor=THE_SERVICE, reason=why)
        )
        logger.error("models/%s: %s; version %d, which was live before, takes its place", model, why, earlier.version)
        await self._registry.go_live(loaded)

    async def _load_earlier(self, model: str) -> tuple[Earlier, LoadedVersion] | None:
        while (earlier := await self._earlier(model)) is not None:
            try:
                return earlier, await self._registry.load(model, earlier.version)
            except DamagedPackage:
                continue  # rejected by now, or deleted: the next look skips it
        return None

    async def _earlier(self, model: str) -> Earlier | None:
        return await self._catalog.read(lambda connection: aliases.earlier_live(connection, model))

    async def _check_expected(self, model: str, expected: Expected | None) -> int | None:
        exists, live = await self._catalog.read(
            lambda connection: (models.exists(connection, model), aliases.live_version(connection, model))
        )
        if not exists:
            raise model_not_found(f"models/{model}")
        if expected is not None and live != expected.version:
            now = "no version" if live is None else models.version_name(model, live)
            raise Aborted(
                f"expected_live_version is not live: {now} is by now; look at the model and decide again",
                reason="LIVE_MOVED",
                resource=("model", f"models/{model}"),
            )
        return live

    async def _nothing_left(self, model: str) -> FailedPrecondition:
        gone = await self._catalog.read(lambda connection: aliases.unusable_earlier(connection, model))
        numbers = ", ".join(map(str, gone[:10]))
        why = f"of those before, {numbers} are deleted or REJECTED" if gone else "no other version was live before"
        return FailedPrecondition(
            f"models/{model} has nothing to roll back to: {why}; promote a READY version instead",
            reason="NO_EARLIER_VERSION",
        )
