"""Compares folders with records: what has no record is reported and removed, what has no folder is marked."""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from cultivar_contract import derived
from cultivar_contract.names import is_name
from cultivar_contract.run_directory import RunDirectory
from cultivar_service.catalog import folders
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.references import is_version
from cultivar_service.catalog.storage import DataDirectory, is_identifier
from cultivar_service.config import Config
from cultivar_service.telemetry.disk import DiskMetrics

logger = logging.getLogger(__name__)

MIN_AGE_S = 3600.0
"""Seconds that a folder without a record has to be untouched before it is removed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kind:
    """Folders of one kind."""

    name: str
    root: Path
    is_ours: Callable[[tuple[str, ...]], bool]
    """Tells of a path's parts below the root whether the service gives such names."""
    depth: int
    """Parts of such a path."""
    known: Callable[[sa.Connection], set[str]]
    """Returns the paths that records speak of."""


class Orphans:
    """Folders without a record, and records without a folder."""

    def __init__(self, config: Config, catalog: Catalog, storage: DataDirectory, metrics: DiskMetrics) -> None:
        self._config = config
        self._catalog = catalog
        self._storage = storage
        self._metrics = metrics
        self._kinds = (
            _Kind(name="run", root=config.runs, is_ours=_is_run, depth=1, known=folders.runs),
            _Kind(name="study", root=config.studies, is_ours=_is_run, depth=1, known=folders.study_reports),
            _Kind(name="import", root=config.imports, is_ours=_is_run, depth=1, known=folders.imports),
            _Kind(
                name="dataset_version",
                root=config.datasets,
                is_ours=_is_version,
                depth=2,
                known=folders.dataset_versions,
            ),
            _Kind(name="model_version", root=config.models, is_ours=_is_version, depth=2, known=folders.model_versions),
            _Kind(
                name="evaluation", root=config.evaluations, is_ours=_is_evaluation, depth=1, known=folders.evaluations
            ),
        )

    async def mark_missing(self) -> None:
        """Mark versions whose folder is gone, and take the marks off where it is back. Before any version is loaded."""
        for kind, root, compare in (
            ("dataset_version", self._config.datasets, folders.compare_datasets),
            ("model_version", self._config.models, folders.compare_models),
        ):
            has_folder = _has_folder(root)
            missing = await self._catalog.record(lambda connection: compare(connection, has_folder))  # noqa: B023  awaited
            self._metrics.missing.labels(kind).set(len(missing))
            for name in missing:
                logger.error("%s: its files are gone", name)

    async def collect(self) -> None:
        """Remove folders that are surely ours, have no record, and were not touched for an hour."""
        for kind in self._kinds:
            # First the folders, then the records: a folder is never made before its record.
            found = await asyncio.to_thread(lambda: list(_below(kind.root, kind.depth)))  # noqa: B023  awaited
            known = await self._catalog.read(kind.known)
            for path in found:
                parts = path.relative_to(kind.root).parts
                if "/".join(parts) not in known:
                    await asyncio.to_thread(self._judge, kind, path, is_ours=kind.is_ours(parts))
        removed = await asyncio.to_thread(derived.make_room, self._config.caches, 0)
        if removed:
            logger.info("removed %d bytes of caches that killed trainers had begun", removed)

    def _judge(self, kind: _Kind, path: Path, *, is_ours: bool) -> None:
        if not is_ours or path.is_symlink():
            logger.warning("%s is none of the service's folders: remove it, or put it elsewhere", path)
        elif RunDirectory(path).holder() is not None:
            logger.warning("%s has no record, yet a trainer works there", path)
        elif time.time() - _last_touched(path) >= MIN_AGE_S:
            logger.warning("%s has no record: removed", path)
            self._storage.discard(path)
            self._metrics.orphans.labels(kind.name).inc()


def _below(root: Path, depth: int) -> Iterator[Path]:
    for path in root.iterdir():
        if path.is_dir():
            if depth == 1 or path.is_symlink():
                yield path
            else:
                yield from _below(path, depth - 1)


def _last_touched(path: Path) -> float:
    return max(one.lstat().st_mtime for one in (path, *path.iterdir()))


def _is_run(parts: tuple[str, ...]) -> bool:
    return is_identifier(parts[0])


def _is_evaluation(parts: tuple[str, ...]) -> bool:
    return re.fullmatch("[0-9a-f]{40}", parts[0]) is not None


def _is_version(parts: tuple[str, ...]) -> bool:
    return len(parts) == 2 and is_name(parts[0]) and is_version(parts[1])


def _has_folder(root: Path) -> folders.HasFolder:
    return lambda name, version: (root / name / str(version)).is_dir()
