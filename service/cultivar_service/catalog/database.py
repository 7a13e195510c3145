"""The catalog's SQLite file: one thread writes, several read, and the event loop waits for neither."""

import asyncio
import logging
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import sqlalchemy as sa

from cultivar_contract import files
from cultivar_service.catalog import migrations
from cultivar_service.errors import InsufficientDisk, StartupRefused

logger = logging.getLogger(__name__)

T = TypeVar("T")
RESERVE_BYTES = 4 << 20
"""Disk space that is kept for the catalog, so that jobs can end and be deleted where the disk is full."""
FULL_DISK_PAUSE_S = 1.0
"""Seconds between two tries to record something on a full disk."""
_NUM_READERS = 4
_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
"""What SQLite says where the disk has no room for the log of changes, or for that log's index."""


class Catalog:
    """Records that survive the service."""

    def __init__(self, path: Path) -> None:
        """Open or make the catalog and bring its schema up to date.

        Raises:
            StartupRefused: a newer service wrote it, or the disk is too full to open it.
        """
        self._path = path
        self._reserve = path.with_name("catalog.reserve")
        self._write_engine = _engine(path, begin="BEGIN IMMEDIATE")
        self._read_engine = _engine(path, begin="BEGIN")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="catalog-writer")
        self._readers = ThreadPoolExecutor(_NUM_READERS, thread_name_prefix="catalog-reader")
        try:
            try:
                self._migrate()
            except sa.exc.OperationalError as error:
                self._give_up_reserve(error)  # the log of changes needs some room already when it is opened
                self._migrate()
        except sa.exc.OperationalError as error:
            self.close()
            raise StartupRefused(f"the catalog can't be opened ({error.orig}): make room in {path.parent}") from error
        except BaseException:
            self.close()
            raise
        self.restore_reserve()

    def _migrate(self) -> None:
        with self._write_engine.begin() as connection:
            migrations.migrate(connection)

    def restore_reserve(self) -> bool:
        """Take the disk space again that the catalog may need on a full disk; tell whether it is there."""
        return files.reserve(self._reserve, RESERVE_BYTES)

    async def write(self, function: Callable[[sa.Connection], T]) -> T:
        """Run `function` in a transaction of its own; an exception rolls it back.

        Raises:
            InsufficientDisk: the disk is full, and the reserve is used up.
        """
        try:
            return await self._run(self._writer, self._write_engine, function)
        except sa.exc.OperationalError as error:
            self._give_up_reserve(error)
        try:
            return await self._run(self._writer, self._write_engine, function)
        except sa.exc.OperationalError as error:
            if not _is_disk_full(error):
                raise
            raise InsufficientDisk(shutil.disk_usage(self._path.parent).free, RESERVE_BYTES) from error

    async def record(self, function: Callable[[sa.Connection], T]) -> T:
        """Write what has happened, which nobody can refuse: as `write`, and on a full disk until there is room."""
        while True:
            try:
                return await self.write(function)
            except InsufficientDisk as error:
                logger.error("the catalog waits for disk space: %s", error.message)
                await asyncio.sleep(FULL_DISK_PAUSE_S)

    async def read(self, function: Callable[[sa.Connection], T]) -> T:
        """Run `function` on one consistent state of the catalog."""
        return await self._run(self._readers, self._read_engine, function)

    def _give_up_reserve(self, error: sa.exc.OperationalError) -> None:
        """Make room for another try where the error tells of a full disk; raise it where it tells of something else."""
        if not _is_disk_full(error):
            raise error
        logger.warning("the disk is full: the catalog gives up its reserve")
        self._reserve.unlink(missing_ok=True)

    def close(self) -> None:
        """Wait for what is under way and close the file."""
        self._writer.shutdown()
        self._readers.shutdown()
        self._read_engine.dispose()
        self._write_engine.dispose()

    async def _run(self, pool: ThreadPoolExecutor, engine: sa.Engine, function: Callable[[sa.Connection], T]) -> T:
        def transaction() -> T:
            with engine.begin() as connection:
                return function(connection)

        return await asyncio.get_running_loop().run_in_executor(pool, transaction)


def read_only(path: Path, function: Callable[[sa.Connection], T]) -> T:
    """Run `function` on a catalog that a service may be working on.

    Raises:
        sqlalchemy.exc.OperationalError: it can't be read.
    """
    engine = sa.create_engine(f"sqlite:///file:{quote(str(path.absolute()))}?mode=ro&uri=true")
    try:
        with engine.connect() as connection:
            return function(connection)
    finally:
        engine.dispose()


def _is_disk_full(error: sa.exc.OperationalError) -> bool:
    return getattr(error.orig, "sqlite_errorcode", None) in _FULL


def _engine(path: Path, *, begin: str) -> sa.Engine:
    engine = sa.create_engine(f"sqlite:///{path}")

    def connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
            connection.execute(f"PRAGMA {pragma}")

    def start(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    sa.event.listen(engine, "connect", connect)
    sa.event.listen(engine, "begin", start)
    return engine
