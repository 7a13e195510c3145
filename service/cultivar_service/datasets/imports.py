"""The life of data set imports: they wait, run, and become versions or fail."""

import asyncio
import hashlib
import logging
from collections import deque

import sqlalchemy as sa

from cultivar.v1 import dataset_pb2, event_pb2
from cultivar_contract.run_directory import RunDirectory
from cultivar_service.catalog import datasets, jobs
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.references import DatasetReference, dataset_not_found, parse_dataset
from cultivar_service.catalog.storage import DataDirectory, new_identifier
from cultivar_service.config import Config
from cultivar_service.datasets.attempts import Attempts, Stop
from cultivar_service.datasets.failures import ImportFailed
from cultivar_service.datasets.upload_rules import finished_upload
from cultivar_service.datasets.uploads import Uploads
from cultivar_service.datasets.versions import READY, Versions
from cultivar_service.errors import AlreadyExists, FailedPrecondition, QueueFull
from cultivar_service.trainers.executor import Executor

logger = logging.getLogger(__name__)

IMPORTING = dataset_pb2.DATASET_STATE_IMPORTING
FAILED = dataset_pb2.DATASET_STATE_FAILED


class Imports:
    """Imports that wait or run."""

    def __init__(
        self, config: Config, catalog: Catalog, storage: DataDirectory, executor: Executor, uploads: Uploads
    ) -> None:
        self._config = config
        self._catalog = catalog
        self._storage = storage
        self._uploads = uploads
        self._executor = executor
        self._attempts = Attempts(config, catalog, storage, executor)
        self._versions = Versions(config, catalog)
        self._waiting: deque[str] = deque()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._stops: dict[str, Stop] = {}

    async def start(self) -> None:
        """Go on with the imports that the service before left."""
        self._waiting.extend(await self._catalog.read(datasets.importing))
        self._fill_slots()

    async def close(self) -> None:
        """Stop following; trainers live on."""
        self._waiting.clear()
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def create(
        self, dataset: str, source: dataset_pb2.DatasetSource, request_id: str, *, creator: str
    ) -> dataset_pb2.Dataset:
        """Begin an import.

        Raises:
            TrainerNotInstalled, QueueFull, AlreadyExists: it can't begin.
            NotFound, FailedPrecondition: its upload is not there, or not whole.
        """
        self._executor.check_installed()
        self._storage.check_free_space()
        digest = hashlib.sha256(f"{dataset}\n".encode() + source.SerializeToString(deterministic=True)).hexdigest()
        import_id = new_identifier()
        resource = dataset_pb2.Dataset(
            name=f"datasets/{dataset}/imports/{import_id}", state=IMPORTING, source=source, creator=creator
        )
        resource.create_time.GetCurrentTime()

        def insert(connection: sa.Connection) -> dataset_pb2.Dataset:
            first = datasets.by_request_id(connection, request_id) if request_id else None
            if first is not None:
                return _repeat(connection, request_id, first, digest)
            if source.HasField("upload"):
                finished_upload(connection, source.upload, "source.upload")
            if len(datasets.importing(connection)) >= self._config.max_queued_imports:
                raise QueueFull(f"{self._config.max_queued_imports} imports wait already", retry_after_s=60)
            datasets.insert(
                connection,
                resource,
                dataset=dataset,
                import_id=import_id,
                request_id=request_id,
                request_digest=digest,
            )
            return resource

        answer = await self._catalog.write(insert)
        if answer is resource:
            logger.info("import %s: asked for", resource.name)
            self._waiting.append(import_id)
            self._fill_slots()
        return answer

    async def delete(self, name: str) -> None:
        """Delete a version or a failed import with its images.

        Raises:
            NotFound: there is none of that name.
            FailedPrecondition: an import runs, or a job uses the version.
        """
        reference = parse_dataset(name)

        def forget(connection: sa.Connection) -> dataset_pb2.Dataset:
            found = datasets.find(connection, reference)
            if found is None:
                raise dataset_not_found(name)
            if reference.import_id and found.state == READY:
                raise FailedPrecondition(f"{name} became {found.name}: delete that by its name", reason="IMPORT_READY")
            if found.state == IMPORTING:
                raise FailedPrecondition(f"{found.name} is being imported: wait for its end", reason="IMPORT_RUNNING")
            user = jobs.user_of_dataset(connection, found.name)
            if user:
                raise FailedPrecondition(
                    f"{found.name} is used by {user}: wait for its end, or cancel it", reason="DATASET_IN_USE"
                )
            datasets.delete(connection, found.name)
            return found

        deleted = await self._catalog.write(forget)
        _, dataset, kind, key = deleted.name.split("/")
        folder = self._config.datasets / dataset / key if kind == "versions" else self._config.imports / key
        await asyncio.to_thread(self._storage.discard, folder)
        logger.info("%s: deleted", deleted.name)

    async def fail_running(self, failure: event_pb2.Failure) -> None:
        """Stop every running trainer; imports that have not succeeded fail with this. Return when that is done."""
        for stop in self._stops.values():
            stop.fail(failure)
        running = [self._running[import_id] for import_id in self._stops]
        await asyncio.gather(*running, return_exceptions=True)

    def _fill_slots(self) -> None:
        while self._waiting and len(self._running) < self._config.max_running_imports:
            import_id = self._waiting.popleft()
            self._running[import_id] = asyncio.create_task(self._see_through(import_id), name=f"import {import_id}")

    async def _see_through(self, import_id: str) -> None:
        """Run an import to its end, whatever that is."""
        try:
            await self._run(import_id)
        except Exception:  # One import's failure, also an unforeseen one, must neither end the queue nor hang it.
            logger.exception("import %s: internal error", import_id)
            internal = ImportFailed("INTERNAL", "an internal error, which the service has logged")
            await self._fail(import_id, internal.failure)
        finally:
            del self._running[import_id]
            self._stops.pop(import_id, None)
            self._fill_slots()

    async def _run(self, import_id: str) -> None:
        directory = RunDirectory(self._config.imports / import_id)
        stop = self._stops[import_id] = Stop()
        source = (await self._catalog.read(lambda connection: datasets.get_importing(connection, import_id))).source
        try:
            found = await self._attempts.run(import_id, directory, stop)
            name = await self._versions.make(import_id, directory, found)
        except ImportFailed as error:
            await self._fail(import_id, error.failure)
            return
        await asyncio.to_thread(self._storage.discard, directory.path)
        if source.HasField("upload"):
            await self._uploads.discard(source.upload)
        logger.info("import %s: READY as %s", import_id, name)

    async def _fail(self, import_id: str, failure: event_pb2.Failure) -> None:
        def record(connection: sa.Connection) -> None:
            resource = datasets.get_importing(connection, import_id)
            resource.state = FAILED
            resource.error.CopyFrom(failure)
            resource.end_time.GetCurrentTime()
            resource.ClearField("progress")
            datasets.update(connection, import_id, resource)

        # The images go first: their space may be what the record of the failure needs.
        for folder in ("dataset", "scratch"):
            await asyncio.to_thread(self._storage.discard, self._config.imports / import_id / folder)
        await self._catalog.record(record)
        logger.info("import %s: FAILED %s: %s", import_id, failure.reason, failure.message)


def _repeat(
    connection: sa.Connection, request_id: str, first: tuple[str, str, str], digest: str
) -> dataset_pb2.Dataset:
    dataset, import_id, first_digest = first
    if first_digest != digest:
        raise AlreadyExists(
            "data set",
            f"datasets/{dataset}/imports/{import_id}",
            f"request_id {request_id!r} made an import of something else: use a new request_id",
            reason="REQUEST_ID_REUSED",
        )
    found = datasets.find(connection, DatasetReference(dataset=dataset, import_id=import_id))
    assert found is not None
    return found
