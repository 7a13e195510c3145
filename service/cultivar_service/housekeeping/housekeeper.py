"""Runs what keeps the data directory in order, beside the requests."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path

from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.storage import DataDirectory
from cultivar_service.config import Config
from cultivar_service.housekeeping.disk_watch import DiskWatch, RunningWork
from cultivar_service.housekeeping.orphans import Orphans
from cultivar_service.housekeeping.retention import Retention
from cultivar_service.serving.deletion import Deletion
from cultivar_service.telemetry.disk import DiskMetrics

logger = logging.getLogger(__name__)

TIDY_S = 3600.0
"""Seconds between two rounds through the folders."""


class Housekeeper:
    """Watches the disk, collects orphans, applies retention."""

    def __init__(
        self,
        config: Config,
        catalog: Catalog,
        storage: DataDirectory,
        deletion: Deletion,
        work: Sequence[RunningWork],
        metrics: DiskMetrics,
    ) -> None:
        self._config = config
        self._metrics = metrics
        self._watch = DiskWatch(config, catalog, storage, work, metrics)
        self._orphans = Orphans(config, catalog, storage, metrics)
        self._retention = Retention(config, catalog, storage, deletion, metrics)
        self._tasks: list[asyncio.Task[None]] = []

    async def mark_missing(self) -> None:
        """Mark versions whose files are gone: before any is loaded."""
        await self._orphans.mark_missing()

    def start(self) -> None:
        """Work in the background."""
        self._tasks = [
            asyncio.create_task(self._watch.run(), name="disk watch"),
            asyncio.create_task(self._tidy_again_and_again(), name="housekeeping"),
        ]

    async def close(self) -> None:
        """Stop."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def tidy(self) -> None:
        """Go through the folders once."""
        await self._orphans.collect()
        await self._retention.apply()
        for folder in self._config.folders:
            size = await asyncio.to_thread(_size, folder)
            self._metrics.folder_bytes.labels(folder.name).set(size)

    async def _tidy_again_and_again(self) -> None:
        while True:
            try:
                await self.tidy()
            except Exception:  # One folder that can't be read must not end the rounds.
                logger.exception("the data directory can't be tidied")
            with contextlib.suppress(TimeoutError):
                # Work that was stopped leaves files that nobody needs.
                async with asyncio.timeout(TIDY_S):
                    await self._watch.has_stopped_work.wait()
                self._watch.has_stopped_work.clear()


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile
            total += path.lstat().st_size
    return total
