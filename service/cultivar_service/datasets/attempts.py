"""Attempts at an import: a trainer is started or found, followed, and started again where it was killed."""

import asyncio
import contextlib
import logging
from functools import partial

import sqlalchemy as sa
from google.protobuf import json_format

from cultivar.v1 import dataset_pb2, event_pb2
from cultivar_contract.run_directory import Result, RunDirectory, read_events
from cultivar_contract.tasks import to_json
from cultivar_service.catalog import datasets
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.storage import DataDirectory
from cultivar_service.config import Config
from cultivar_service.datasets.failures import ImportFailed
from cultivar_service.datasets.requests import import_request
from cultivar_service.errors import CultivarError, InsufficientDisk
from cultivar_service.trainers.executor import Executor, Trainer, launch

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 4
"""Trainers that an import may lose; each begins anew, so as many as a job may lose without progress."""


class Stop:
    """Whether a running import shall end before its time, and what it fails with then."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.failure: event_pb2.Failure | None = None

    def fail(self, failure: event_pb2.Failure) -> None:
        """Let the import fail."""
        self.failure = failure
        self.asked.set()


class Attempts:
    """Sees the trainers of imports through."""

    def __init__(self, config: Config, catalog: Catalog, storage: DataDirectory, executor: Executor) -> None:
        self._config = config
        self._catalog = catalog
        self._storage = storage
        self._executor = executor

    async def run(self, import_id: str, directory: RunDirectory, stop: Stop) -> dataset_pb2.Dataset:
        """Return what a trainer found. One that was killed, also with the whole host, is followed by another.

        Raises:
            ImportFailed: no trainer could be started, it failed or was stopped, or too many were lost.
        """
        attempt = await asyncio.to_thread(_begun, directory)
        trainer = self._executor.attach(directory, attempt) if attempt else None
        while True:
            if trainer is None:
                attempt += 1
                trainer = await self._start(import_id, directory, attempt)
            await self._follow(trainer, import_id, directory, attempt, stop)
            result = await asyncio.to_thread(_result, directory, attempt)
            found = _found(result)
            if found is not None:
                return found
            if stop.failure is not None:
                raise ImportFailed(stop.failure.reason, stop.failure.message)
            lost = _lost(result, trainer)
            if lost is None:
                assert result is not None
                raise ImportFailed(result.reason or "TRAINER_FAILED", result.message)
            if attempt >= MAX_ATTEMPTS:
                raise ImportFailed("TRAINER_LOST", f"{lost}, as did {attempt - 1} before it: import again")
            logger.warning("import %s: attempt %d: %s: it begins anew", import_id, attempt, lost)
            trainer = None

    async def _start(self, import_id: str, directory: RunDirectory, attempt: int) -> Trainer:
        resource = await self._catalog.read(lambda connection: datasets.get_importing(connection, import_id))
        try:
            return await launch(partial(self._launch, resource.source, directory, attempt))
        except CultivarError as error:
            raise ImportFailed(error.reason, error.message) from error
        except OSError as error:
            raise ImportFailed.by_os("the import could not start", error, reason="TRAINER_NOT_STARTED") from error

    def _launch(self, source: dataset_pb2.DatasetSource, directory: RunDirectory, attempt: int) -> Trainer:
        self._storage.check_free_space()
        directory.write_request(attempt, to_json(import_request(self._config, source)))
        return self._executor.start("import_dataset", directory, attempt)

    async def _follow(
        self, trainer: Trainer, import_id: str, directory: RunDirectory, attempt: int, stop: Stop
    ) -> None:
        offset = 0

        async def follow() -> None:
            nonlocal offset
            events, offset = await asyncio.to_thread(read_events, directory.events(attempt), offset)
            progress = [one.progress for one in events if one.HasField("progress")]
            if progress:
                with contextlib.suppress(InsufficientDisk):  # the next progress tells more
                    await self._catalog.write(lambda connection: _show_progress(connection, import_id, progress[-1]))

        try:
            await trainer.supervise(cancel=stop.asked, on_tick=follow)
        except Exception:
            await trainer.kill()  # the import is about to fail; nobody would follow its trainer
            raise
        finally:
            trainer.release()


def _begun(directory: RunDirectory) -> int:
    """Return the number of the newest attempt whose trainer was started; 0 where none was."""
    attempt = 0
    while directory.log(attempt + 1).exists():
        attempt += 1
    return attempt


def _result(directory: RunDirectory, attempt: int) -> Result | None:
    try:
        return directory.read_result(attempt)
    except ValueError:  # damaged: another attempt writes another
        return None


def _found(result: Result | None) -> dataset_pb2.Dataset | None:
    if result is None or result.outcome != "SUCCEEDED":
        return None
    try:
        return json_format.ParseDict(result.value, dataset_pb2.Dataset(), ignore_unknown_fields=True)
    except json_format.ParseError:
        return None


def _lost(result: Result | None, trainer: Trainer) -> str | None:
    """Say how a trainer ended that another may outdo; None where it found out by itself that the import must fail."""
    if result is None:
        return f"the trainer ended without a result ({trainer.describe_end()})"
    if result.outcome == "CANCELLED":
        return "the trainer was told to stop by something else than this service"
    return "the trainer's result can't be read" if result.outcome == "SUCCEEDED" else None


def _show_progress(connection: sa.Connection, import_id: str, progress: event_pb2.Progress) -> None:
    resource = datasets.get_importing(connection, import_id)
    resource.progress.CopyFrom(progress)
    datasets.update(connection, import_id, resource)
