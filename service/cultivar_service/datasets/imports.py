"""The life of data set imports: a trainer process scans and hashes, the result becomes a version."""

import asyncio
import contextlib
import hashlib
import logging
from collections import deque
from pathlib import Path

import sqlalchemy as sa
from google.protobuf import json_format

from cultivar.v1 import dataset_pb2, event_pb2
from cultivar_contract import files
from cultivar_contract.names import OutsideFolder, inside
from cultivar_contract.run_directory import Result, RunDirectory, read_events
from cultivar_contract.tasks import ImportRequest, to_json
from cultivar_service.catalog import datasets, jobs
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.references import DatasetReference, dataset_not_found, parse_dataset
from cultivar_service.catalog.storage import DataDirectory, new_identifier
from cultivar_service.config import Config
from cultivar_service.datasets.uploads import Uploads, finished_upload
from cultivar_service.errors import (
    AlreadyExists,
    CultivarError,
    FailedPrecondition,
    InsufficientDisk,
    InvalidRequest,
    QueueFull,
)
from cultivar_service.trainers.executor import Executor, Trainer, launch

logger = logging.getLogger(__name__)

IMPORTING = dataset_pb2.DATASET_STATE_IMPORTING
READY = dataset_pb2.DATASET_STATE_READY
FAILED = dataset_pb2.DATASET_STATE_FAILED
_MAX_MESSAGE = 2000


class _Stop:
    """Whether a running import shall end before its time, and what it fails with then."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.failure: event_pb2.Failure | None = None


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
        self._waiting: deque[str] = deque()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._stops: dict[str, _Stop] = {}

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
            stop.failure = failure
            stop.asked.set()
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
            await self._fail(import_id, "INTERNAL", "an internal error, which the service has logged")
        finally:
            del self._running[import_id]
            self._stops.pop(import_id, None)
            self._fill_slots()

    async def _run(self, import_id: str) -> None:
        directory = RunDirectory(self._config.imports / import_id)
        if directory.log(1).exists():
            trainer = self._executor.attach(directory, 1)
        else:
            resource = await self._catalog.read(lambda connection: datasets.get_importing(connection, import_id))
            try:
                trainer = await launch(lambda: self._start_trainer(resource.source, directory))
            except CultivarError as error:
                await self._fail(import_id, error.reason, error.message)
                return
            except OSError as error:
                reason = "INSUFFICIENT_DISK" if files.is_disk_full(error) else "TRAINER_NOT_STARTED"
                await self._fail(import_id, reason, f"the import could not start: {error.strerror}")
                return
        stop = self._stops[import_id] = _Stop()
        offset = 0

        async def follow() -> None:
            nonlocal offset
            events, offset = await asyncio.to_thread(read_events, directory.events(1), offset)
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
        try:
            result = await asyncio.to_thread(directory.read_result, 1)
        except ValueError:
            result = None
        if result is not None and result.outcome == "SUCCEEDED":
            await self._succeed(import_id, directory, result)
        elif stop.failure is not None:
            await self._fail(import_id, stop.failure.reason, stop.failure.message)
        else:
            await self._fail(import_id, *_failure(result, trainer))

    def request(self, source: dataset_pb2.DatasetSource) -> ImportRequest:
        """Return what a trainer is asked to do with a source. Blocks.

        Raises:
            InvalidRequest: its folder leads outside the data sets root.
        """
        root = self._config.datasets_root
        try:
            # Checked at the request already; since then a link may have been put in the way.
            folder = str(inside(root, source.folder)) if source.HasField("folder") else ""
            named = source.class_names if source.HasField("folder") else ""
            class_names = str(inside(root, named)) if named else ""
        except OutsideFolder as error:
            raise InvalidRequest.at("source", f"{error}: name a folder below the data sets root") from error
        return ImportRequest(
            builtin=source.builtin,
            folder=folder,
            class_names=class_names,
            split_seed=source.split_seed,
            downloads=str(self._config.downloads.resolve()),
            root=str(root.resolve()) if source.HasField("folder") else "",
            archive=str(self._uploads.path(source.upload).resolve()) if source.HasField("upload") else "",
            source=json_format.MessageToDict(source),
        )

    def _start_trainer(self, source: dataset_pb2.DatasetSource, directory: RunDirectory) -> Trainer:
        self._storage.check_free_space()
        directory.write_request(1, to_json(self.request(source)))
        return self._executor.start("import_dataset", directory, 1)

    async def _succeed(self, import_id: str, directory: RunDirectory, result: Result) -> None:
        try:
            found = json_format.ParseDict(result.value, dataset_pb2.Dataset(), ignore_unknown_fields=True)
        except json_format.ParseError:
            await self._fail(import_id, "TRAINER_LOST", "the trainer's result can't be read: import again")
            return
        resource = await self._catalog.read(lambda connection: datasets.get_importing(connection, import_id))
        dataset = resource.name.split("/")[1]
        # The number is taken before the files move and shown after: whoever dies in between, the next one goes on.
        reservation = await self._catalog.record(
            lambda connection: datasets.reserve(connection, dataset, import_id, found.digest)
        )
        name = f"datasets/{dataset}/versions/{reservation.version}"
        if reservation.is_new:
            try:
                await asyncio.to_thread(
                    _move, directory.path / "dataset", self._config.datasets / dataset / str(reservation.version)
                )
            except OSError as error:
                await self._catalog.record(lambda connection: datasets.release(connection, import_id))
                reason = "INSUFFICIENT_DISK" if files.is_disk_full(error) else "STORAGE"
                await self._fail(import_id, reason, f"the images could not be kept: {error.strerror}")
                return
            version = _version(resource, found, name)
            await self._catalog.record(lambda connection: datasets.update(connection, import_id, version))
        await asyncio.to_thread(self._storage.discard, directory.path)
        if resource.source.HasField("upload"):
            await self._uploads.discard(resource.source.upload)
        logger.info("import %s: READY as %s%s", import_id, name, "" if reservation.is_new else ", equal content")

    async def _fail(self, import_id: str, reason: str, message: str) -> None:
        def record(connection: sa.Connection) -> None:
            resource = datasets.get_importing(connection, import_id)
            resource.state = FAILED
            resource.error.CopyFrom(event_pb2.Failure(reason=reason, message=message[:_MAX_MESSAGE]))
            resource.end_time.GetCurrentTime()
            resource.ClearField("progress")
            datasets.update(connection, import_id, resource)

        # The images go first: their space may be what the record of the failure needs.
        for folder in ("dataset", "scratch"):
            await asyncio.to_thread(self._storage.discard, self._config.imports / import_id / folder)
        await self._catalog.record(record)
        logger.info("import %s: FAILED %s: %s", import_id, reason, message)


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


def _show_progress(connection: sa.Connection, import_id: str, progress: event_pb2.Progress) -> None:
    resource = datasets.get_importing(connection, import_id)
    resource.progress.CopyFrom(progress)
    datasets.update(connection, import_id, resource)


def _version(resource: dataset_pb2.Dataset, found: dataset_pb2.Dataset, name: str) -> dataset_pb2.Dataset:
    version = dataset_pb2.Dataset(
        name=name,
        state=READY,
        source=resource.source,
        creator=resource.creator,
        create_time=resource.create_time,
        digest=found.digest,
        classes=found.classes,
        splits=found.splits,
        split_protocol=found.split_protocol,
        image_bytes=found.image_bytes,
        rejected_files=found.rejected_files,
        rejected_count=found.rejected_count,
    )
    version.end_time.GetCurrentTime()
    return version


def _move(source: Path, target: Path) -> None:
    if target.exists() and not source.exists():
        return  # moved already, before a restart
    files.sync_tree(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)
    files.sync_folder(target.parent)


def _failure(result: Result | None, trainer: Trainer) -> tuple[str, str]:
    if result is None:
        return "TRAINER_LOST", f"the trainer ended without a result ({trainer.describe_end()}): import again"
    if result.outcome == "CANCELLED":
        return "TRAINER_STOPPED", "the trainer was told to stop by something else than this service: import again"
    return result.reason or "TRAINER_FAILED", result.message
