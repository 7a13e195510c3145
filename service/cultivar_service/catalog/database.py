"""The catalog's SQLite file: one thread writes, several read, and the event loop waits for neither."""

import asyncio
import logging
import re
import shutil
import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Generic, TypeVar
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
_MOST_WRITTEN_TOGETHER = 64
_KEPT_COPIES = 2
"""Copies from before migrations that stay beside the catalog."""
_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
"""What SQLite says where the disk has no room for the log of changes, or for that log's index."""


class Catalog:
    """Records that survive the service."""

    def __init__(self, path: Path) -> None:
        """Open or make the catalog and bring its schema up to date; what it was before stays beside it.

        Raises:
            StartupRefused: a newer service wrote it, or there is no room for the copy.
        """
        self._path = path
        self._reserve = path.with_name("catalog.reserve")
        self._write_engine = _engine(path, begin="BEGIN IMMEDIATE")
        self._read_engine = _engine(path, begin="BEGIN")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="catalog-writer")
        self._changes: deque[_Change[Any]] = deque()
        """Those that wait, in their order."""
        self._readers = ThreadPoolExecutor(_NUM_READERS, thread_name_prefix="catalog-reader")
        try:
            try:
                self._migrate(path)
            except sa.exc.OperationalError as error:
                self._give_up_reserve(error)  # the log of changes needs some room already when it is opened
                self._migrate(path)
        except sa.exc.OperationalError as error:
            self.close()
            raise StartupRefused(f"the catalog can't be opened ({error.orig}): make room in {path.parent}") from error
        except BaseException:
            self.close()
            raise
        self.restore_reserve()

    def restore_reserve(self) -> bool:
        """Take the disk space again that the catalog may need on a full disk; tell whether it is there."""
        return files.reserve(self._reserve, RESERVE_BYTES)

    def _migrate(self, path: Path) -> None:
        with self._write_engine.begin() as connection:
            seen = migrations.version_of(connection)
        if seen == len(migrations.MIGRATIONS):
            return
        if seen:
            kept = path.with_name(f"{path.name}.before-{seen + 1}")
            try:
                copy_catalog(path, kept)
            except (OSError, sqlite3.Error) as error:
                raise StartupRefused(
                    f"the catalog's schema is {seen} and can't be copied before it is brought to "
                    f"{len(migrations.MIGRATIONS)} ({error}): make room in {path.parent}"
                ) from error
            logger.info("catalog: schema %d, kept as %s", seen, kept.name)
            _forget_old_copies(path)
        for number in range(seen + 1, len(migrations.MIGRATIONS) + 1):
            with self._write_engine.begin() as connection:
                migrations.run_step(connection, number)
            logger.info("catalog: schema %d", number)

    async def write(self, function: Callable[[sa.Connection], T]) -> T:
        """Run `function` on a state that nobody changes meanwhile; an exception undoes what it did, and nothing else.

        It is on the disk when this returns. Functions that wait while one is being written to the disk are then written
        together: most of the time goes by there.

        Raises:
            InsufficientDisk: the disk is full, and the reserve is used up.
        """
        try:
            return await self._write(function)
        except sa.exc.OperationalError as error:
            self._give_up_reserve(error)
        try:
            return await self._write(function)
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

    async def _write(self, function: Callable[[sa.Connection], T]) -> T:
        change: _Change[T] = _Change(function)
        self._changes.append(change)
        self._writer.submit(self._write_waiting)
        return await asyncio.wrap_future(change.outcome)

    async def read(self, function: Callable[[sa.Connection], T]) -> T:
        """Run `function` on one consistent state of the catalog."""

        def transaction() -> T:
            with self._read_engine.begin() as connection:
                return function(connection)

        return await asyncio.get_running_loop().run_in_executor(self._readers, transaction)

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

    def _write_waiting(self) -> None:
        """Write what waits, on the writer's thread."""
        batch: list[_Change[Any]] = []
        while self._changes and len(batch) < _MOST_WRITTEN_TOGETHER:
            change = self._changes.popleft()
            if change.outcome.set_running_or_notify_cancel():
                batch.append(change)
        if not batch:  # written with others before
            return
        try:
            with self._write_engine.begin() as connection:
                for change in batch:
                    change.make(connection)
        except BaseException as error:  # Whatever it is, those who wait must hear of it.
            for change in batch:
                change.outcome.set_exception(error)
            return
        for change in batch:
            change.tell()


class _Change(Generic[T]):
    """A function that changes the catalog, and what becomes of it."""

    def __init__(self, function: Callable[[sa.Connection], T]) -> None:
        self.outcome: Future[T] = Future()
        self._function = function
        self._result: T
        self._error: Exception | None = None

    def make(self, connection: sa.Connection) -> None:
        """Run the function; where it fails, undo what it did and leave what others did."""
        connection.exec_driver_sql("SAVEPOINT change")
        try:
            self._result = self._function(connection)
        except Exception as error:
            if not _in_transaction(connection):  # on a full disk SQLite itself undoes all that is not yet written
                raise
            connection.exec_driver_sql("ROLLBACK TO change")
            self._error = error
        connection.exec_driver_sql("RELEASE change")

    def tell(self) -> None:
        """Tell who waits, all being on the disk."""
        if self._error is None:
            self.outcome.set_result(self._result)
        else:
            self.outcome.set_exception(self._error)


def _in_transaction(connection: sa.Connection) -> bool:
    driver: Any = connection.connection.driver_connection
    return bool(driver.in_transaction)


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


def copy_catalog(source: Path, target: Path) -> None:
    """Write what a catalog holds at one moment to another file, in whole or not at all; a service may be writing on it.

    Raises:
        sqlite3.Error, OSError: it can't be read, or the copy can't be written.
    """
    partial = target.with_name(f".{target.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        with (
            closing(sqlite3.connect(f"file:{quote(str(source.absolute()))}?mode=rw", uri=True)) as live,
            closing(sqlite3.connect(partial)) as copy,
        ):
            live.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
        files.sync_folder(partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    files.sync_folder(target.parent)


def _forget_old_copies(path: Path) -> None:
    copies = {
        int(found[1]): copy
        for copy in path.parent.glob(f"{path.name}.before-*")
        if (found := re.fullmatch(rf"{re.escape(path.name)}\.before-(\d+)", copy.name))
    }
    for number in sorted(copies)[:-_KEPT_COPIES]:
        copies[number].unlink()


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
