"""Watches free space while jobs run: caches go first, then running work, and the catalog always finds room."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from cultivar.v1 import event_pb2
from cultivar_contract import derived
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.storage import DataDirectory
from cultivar_service.config import Config
from cultivar_service.telemetry.disk import DiskMetrics

logger = logging.getLogger(__name__)

LOOK_S = 1.0
"""Seconds between two looks at free space."""


class RunningWork(Protocol):
    """Trainers that write."""

    async def fail_running(self, failure: event_pb2.Failure) -> None:
        """Stop every running trainer; what it worked on fails with this. Return when that is done."""


class DiskWatch:
    """Looks at free space again and again."""

    def __init__(
        self,
        config: Config,
        catalog: Catalog,
        storage: DataDirectory,
        work: Sequence[RunningWork],
        metrics: DiskMetrics,
    ) -> None:
        self._config = config
        self._catalog = catalog
        self._storage = storage
        self._work = work
        self._metrics = metrics
        self._is_short = False
        self._stopping: asyncio.Task[None] | None = None
        self.has_stopped_work = asyncio.Event()
        """Set when running work was stopped for want of disk and has ended; whoever tidies up clears it."""

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            while True:
                try:
                    await self.look()
                except Exception:  # Whatever one look met, the next may do better; without a watch the disk fills.
                    logger.exception("free disk space can't be watched")
                await asyncio.sleep(LOOK_S)
        finally:
            if self._stopping is not None:
                self._stopping.cancel()

    async def look(self) -> None:
        """Compare free space with what must stay free, and make room where it is less."""
        config = self._config
        free = await asyncio.to_thread(self._storage.free_bytes)
        self._metrics.free_bytes.set(free)
        if free >= config.min_free_bytes:
            await asyncio.to_thread(self._catalog.restore_reserve)
        if free < config.critical_bytes:
            given_back = await asyncio.to_thread(derived.make_room, config.caches, config.min_free_bytes - free)
            if given_back:
                logger.warning("%d MiB of disk are free: removed %d MiB of caches", free >> 20, given_back >> 20)
            free = await asyncio.to_thread(self._storage.free_bytes)
        if free >= config.critical_bytes:
            self._is_short = False
            return
        is_new = not self._is_short
        if is_new:
            logger.error(
                "%d MiB of disk are free, %d must stay free: running jobs and imports are stopped",
                free >> 20,
                config.critical_bytes >> 20,
            )
            self._metrics.shortages.inc()
            self._is_short = True
        failure = event_pb2.Failure(
            reason="INSUFFICIENT_DISK",
            message=f"{free >> 20} MiB of disk were free, {config.critical_bytes >> 20} MiB must stay free: "
            "delete data sets, jobs or model versions, then start this again",
        )
        if self._stopping is None or self._stopping.done():
            # Beside the watch: ends that can't be recorded on a full disk wait for the room that it makes.
            self._stopping = asyncio.create_task(self._stop_work(failure, tell=is_new), name="disk shortage")

    async def _stop_work(self, failure: event_pb2.Failure, *, tell: bool) -> None:
        await asyncio.gather(*(one.fail_running(failure) for one in self._work))
        if tell:
            self.has_stopped_work.set()
