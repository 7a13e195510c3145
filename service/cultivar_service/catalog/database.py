"""The catalog's SQLite file: one thread writes, several read, and the event loop waits for neither."""

import asyncio
import logging
import re
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import sqlalchemy as sa

from cultivar_contract import files
from cultivar_service.catalog import migrations
from cultivar_service.errors import StartupRefused

logger = logging.getLogger(__name__)

T = TypeVar("T")
_NUM_READERS = 4
_KEPT_COPIES = 2
"""Copies from before migrations that stay beside the catalog."""


class Catalog:
    """Records that survive the service."""

    def __init__(self, path: Path) -> None:
        """Open or make the catalog and bring its schema up to date; what it was before stays beside it.

        Raises:
            StartupRefused: a newer service wrote it, or there is no room for the copy.
        """
        self._write_engine = _engine(path, begin="BEGIN IMMEDIATE")
        self._read_engine = _engine(path, begin="BEGIN")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="catalog-writer")
        self._readers = ThreadPoolExecutor(_NUM_READERS, thread_name_prefix="catalog-reader")
        try:
            self._migrate(path)
        except BaseException:
            self.close()
            raise

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
        """Run `function` in a transaction of its own; an exception rolls it back."""
        return await self._run(self._writer, self._write_engine, function)

    async def read(self, function: Callable[[sa.Connection], T]) -> T:
        """Run `function` on one consistent state of the catalog."""
        return await self._run(self._readers, self._read_engine, function)

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
