"""The catalog's SQLite file: one thread writes, several read, and the event loop waits for neither."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import sqlalchemy as sa

from cultivar_service.catalog import migrations

T = TypeVar("T")
_NUM_READERS = 4


class Catalog:
    """Records that survive the service."""

    def __init__(self, path: Path) -> None:
        """Open or make the catalog and bring its schema up to date.

        Raises:
            StartupRefused: a newer service wrote it.
        """
        self._write_engine = _engine(path, begin="BEGIN IMMEDIATE")
        self._read_engine = _engine(path, begin="BEGIN")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="catalog-writer")
        self._readers = ThreadPoolExecutor(_NUM_READERS, thread_name_prefix="catalog-reader")
        try:
            with self._write_engine.begin() as connection:
                migrations.migrate(connection)
        except BaseException:
            self.close()
            raise

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
