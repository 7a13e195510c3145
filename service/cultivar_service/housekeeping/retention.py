"""Removes what has been kept long enough: files of ended jobs, failed imports, model versions beyond the newest."""

import asyncio
import logging
import time
from pathlib import Path

import sqlalchemy as sa

from cultivar_contract.run_directory import RunDirectory
from cultivar_service.catalog import aliases, datasets, jobs, models
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.storage import DataDirectory
from cultivar_service.config import Config
from cultivar_service.errors import FailedPrecondition, NotFound
from cultivar_service.serving.deletion import Deletion
from cultivar_service.telemetry.disk import DiskMetrics

logger = logging.getLogger(__name__)

_DAY_S = 86_400.0


class Retention:
    """The rules by which files leave by themselves. Jobs keep their records: small, and what people compare by."""

    def __init__(
        self, config: Config, catalog: Catalog, storage: DataDirectory, deletion: Deletion, metrics: DiskMetrics
    ) -> None:
        self._config = config
        self._catalog = catalog
        self._storage = storage
        self._deletion = deletion
        self._metrics = metrics

    async def apply(self) -> None:
        """Remove what may go now."""
        await self._tidy_runs()
        await self._expire_imports()
        if self._config.keep_versions:
            for model in await self._catalog.read(models.names):
                await self._expire_versions(model)

    async def _tidy_runs(self) -> None:
        for path in await asyncio.to_thread(lambda: list(self._config.runs.iterdir())):
            # In the transaction that looks at the job: it may be queued again any moment, to be exported.
            taken = await self._catalog.record(lambda connection: self._take_spent(connection, path))  # noqa: B023  awaited
            for folder in taken:
                await asyncio.to_thread(self._storage.discard, folder)

    def _take_spent(self, connection: sa.Connection, path: Path) -> list[Path]:
        """Take away what an ended job can't need; return the folders that are to be removed from the disk.

        All of it goes when it is old; before, its package, half-written files, and checkpoints if it succeeded. The
        checkpoints of others stay, so that their best epoch can be exported.
        """
        job = jobs.get(connection, path.name)
        if job is None or job.state not in jobs.FINAL:
            return []
        run = RunDirectory(path)
        if self._is_old(job.end_time.ToNanoseconds()):
            self._expired("run", job.name)
            spent = [path]
        else:
            spent = [run.package, run.checkpoint] if job.state == jobs.SUCCEEDED else [run.package]
            for folder in (path, run.checkpoint):
                for file in folder.glob(".*"):
                    if file.is_file():
                        file.unlink(missing_ok=True)
        return [taken for folder in spent if (taken := self._storage.take_away(folder)) is not None]

    async def _expire_imports(self) -> None:
        for resource in await self._catalog.read(datasets.failed_imports):
            if self._is_old(resource.end_time.ToNanoseconds()):
                name = resource.name
                await self._catalog.record(lambda connection: datasets.delete(connection, name))  # noqa: B023  awaited
                await asyncio.to_thread(self._storage.discard, self._config.imports / name.rpartition("/")[2])
                self._expired("import", name)

    async def _expire_versions(self, model: str) -> None:
        spare = await self._catalog.read(
            lambda connection: spare_versions(connection, model, self._config.keep_versions)
        )
        for version in spare:
            try:
                await self._deletion.delete_version(model, version)
            except (FailedPrecondition, NotFound) as error:  # put to use, or deleted, a moment ago
                logger.info("%s stays: %s", models.version_name(model, version), error.message)
            else:
                self._expired("model_version", models.version_name(model, version))

    def _is_old(self, end_ns: int) -> bool:
        days = self._config.keep_runs_days
        return bool(days) and time.time() - end_ns / 1e9 > days * _DAY_S

    def _expired(self, kind: str, name: str) -> None:
        logger.info("%s: kept long enough, its files are removed", name)
        self._metrics.expired.labels(kind).inc()


def spare_versions(connection: sa.Connection, model: str, keep: int) -> list[int]:
    """Return the versions of a model that are older than the newest `keep` READY ones and that nothing needs.

    Needed are the live version, the one that a rollback goes back to, those that aliases point to and those that are
    being loaded. Whether an unfinished job starts from one or repeats it is for its deletion to check.
    """
    versions = {int(one.name.rpartition("/")[2]): one for one in models.every_version(connection, model)}
    ready = sorted((number for number, one in versions.items() if one.state == models.READY), reverse=True)
    if len(ready) <= keep:
        return []
    earlier = aliases.earlier_live(connection, model)
    needed = {aliases.live_version(connection, model), *aliases.of_model(connection, model).values()}
    if earlier is not None:
        needed.add(earlier.version)
    return [
        number
        for number, one in versions.items()
        if number < ready[keep - 1] and number not in needed and one.state != models.LOADING
    ]
