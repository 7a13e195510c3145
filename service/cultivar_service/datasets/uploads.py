"""The life of uploads: archives arrive in pieces, stay through crashes, and leave when nobody needs them."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from functools import partial

import sqlalchemy as sa

from cultivar.v1 import dataset_pb2
from cultivar_service.catalog import datasets, uploads
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.references import parse_upload, upload_not_found
from cultivar_service.catalog.storage import DataDirectory, is_identifier, new_identifier
from cultivar_service.config import Config
from cultivar_service.datasets.incoming import IncomingArchive, UploadFiles
from cultivar_service.datasets.upload_rules import FINISHED, RECEIVING, check_share, repeated
from cultivar_service.errors import Aborted, Exhausted, FailedPrecondition, InvalidRequest, OffsetMismatch

logger = logging.getLogger(__name__)

_SYNC_BYTES = 64 << 20
"""Bytes after which what has arrived is flushed to disk, also while more arrives."""
_SWEEP_INTERVAL_S = 3600.0


class Uploads:
    """Archives that arrive, and those that wait for an import."""

    def __init__(self, config: Config, catalog: Catalog, storage: DataDirectory) -> None:
        self._config = config
        self._catalog = catalog
        self._storage = storage
        self._files = UploadFiles(config.uploads)
        self._busy: set[str] = set()
        self._sweeping: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Discard what expired, now and every hour."""
        self._sweeping = asyncio.create_task(self._keep_sweeping(), name="sweep uploads")

    async def close(self) -> None:
        """Let go of files; what has arrived stays."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait({self._sweeping})
        await self._files.close()

    async def create(self, size_bytes: int, sha256: str, request_id: str, *, creator: str) -> dataset_pb2.Upload:
        """Announce an archive.

        Raises:
            AlreadyExists: the request_id announced another.
            Exhausted, InsufficientDisk: the creator's share, or the disk, has no room for it.
        """
        resource = dataset_pb2.Upload(
            name=f"uploads/{new_identifier()}", state=RECEIVING, size_bytes=size_bytes, sha256=sha256, creator=creator
        )
        resource.create_time.GetCurrentTime()
        self._postpone(resource)

        def insert(connection: sa.Connection) -> dataset_pb2.Upload:
            first = uploads.by_request_id(connection, creator, request_id) if request_id else None
            if first is not None:
                return repeated(request_id, first, resource)
            check_share(self._config, uploads.usage(connection, creator), size_bytes)
            self._storage.check_free_space(uploads.awaited_bytes(connection) + size_bytes)
            uploads.insert(connection, resource, request_id=request_id)
            return resource

        return await self._catalog.write(insert)

    async def receive(self, upload_id: str, chunks: AsyncIterator[tuple[int, bytes]]) -> dataset_pb2.Upload:
        """Append chunks, each an offset and bytes. Whatever ends this, what arrived before is on disk and recorded.

        Raises:
            OffsetMismatch: a chunk does not begin where the one before ended.
            InvalidRequest: there are more bytes than were announced.
            FailedPrecondition: the upload is finished.
            Aborted: another request works on it.
            Exhausted: the disk does not take it.
        """
        with self._taken(upload_id):
            resource = await self._get(upload_id)
            if resource.state == FINISHED:
                raise FailedPrecondition(
                    f"{resource.name} is finished: it takes no more bytes", reason="UPLOAD_FINISHED"
                )
            try:
                archive = await self._files.open(upload_id, resource.received_bytes)
                try:
                    await self._append(resource, archive, chunks)
                finally:
                    await _to_its_end(self._let_go(resource, archive))
            except OSError as error:
                raise Exhausted(
                    f"{resource.name} can't be written ({error.strerror}): try again later",
                    reason="STORAGE",
                    retry_after_s=60,
                ) from error
            return resource

    async def finish(self, upload_id: str) -> dataset_pb2.Upload:
        """Compare an archive with its sha256. One that differs is emptied, and can be sent again.

        Raises:
            FailedPrecondition: bytes are missing, or others than announced have arrived.
            Aborted: another request works on it.
        """
        with self._taken(upload_id):
            resource = await self._get(upload_id)
            if resource.state == FINISHED:
                return resource
            if resource.received_bytes < resource.size_bytes:
                raise FailedPrecondition(
                    f"{resource.name} has {resource.received_bytes} of {resource.size_bytes} bytes: send the rest",
                    reason="UPLOAD_INCOMPLETE",
                )
            digest = await self._files.digest(upload_id)
            is_whole = digest == resource.sha256
            if is_whole:
                resource.state = FINISHED
            else:
                resource.received_bytes = 0
            self._postpone(resource)
            await self._catalog.write(lambda connection: uploads.update(connection, resource))
            if not is_whole:
                raise FailedPrecondition(
                    f"the sha256 of {resource.name} is {digest}, {resource.sha256} was announced: send it again from "
                    "byte 0, or announce what it is",
                    reason="CHECKSUM_MISMATCH",
                )
            logger.info("%s: finished, %d bytes", resource.name, resource.size_bytes)
            return resource

    async def delete(self, upload_id: str) -> None:
        """Discard an upload.

        Raises:
            FailedPrecondition: an import uses it.
            Aborted: another request works on it.
        """
        with self._taken(upload_id):
            user = await self._forget(upload_id)
        if user is not None:
            raise FailedPrecondition(f"uploads/{upload_id} is used by {user}: wait for its end", reason="UPLOAD_IN_USE")

    async def discard(self, upload: str) -> None:
        """Discard an upload, given by its name, that an import has consumed, unless another import uses it."""
        await self._forget(parse_upload(upload))

    async def sweep(self) -> None:
        """Discard uploads that expired, and files that belong to none."""
        # Files first: a file is only made where its record is there already.
        names = await self._files.names()
        known = await self._catalog.read(uploads.identifiers)
        for name in names - known:
            if is_identifier(name):
                logger.warning("uploads/%s has no record: discarded", name)
                await self._files.remove(name)
            else:
                logger.warning("uploads/%s is none of the service's files: remove it, or put it elsewhere", name)
        for upload_id in await self._catalog.read(lambda connection: uploads.expired(connection, time.time_ns())):
            if upload_id not in self._busy:
                with self._taken(upload_id):
                    await self._expire(upload_id)

    async def _keep_sweeping(self) -> None:
        while True:
            try:
                await self.sweep()
            except Exception:  # The next sweep may go well; without one the disk would fill.
                logger.exception("uploads could not be swept")
            await asyncio.sleep(_SWEEP_INTERVAL_S)

    async def _append(
        self, resource: dataset_pb2.Upload, archive: IncomingArchive, chunks: AsyncIterator[tuple[int, bytes]]
    ) -> None:
        async for offset, data in chunks:
            if offset != archive.end:
                raise OffsetMismatch(offset, archive.end)
            if offset + len(data) > resource.size_bytes:
                raise InvalidRequest.at(
                    "data", f"ends at byte {offset + len(data)}, {resource.size_bytes} were announced: announce all"
                )
            await self._files.work(partial(archive.append, data))
            if archive.end - resource.received_bytes >= _SYNC_BYTES:
                await self._keep(resource, archive)
                self._storage.check_free_space()

    async def _let_go(self, resource: dataset_pb2.Upload, archive: IncomingArchive) -> None:
        try:
            await self._keep(resource, archive)
        finally:
            await self._files.work(archive.close)

    async def _keep(self, resource: dataset_pb2.Upload, archive: IncomingArchive) -> None:
        """Flush what has arrived to disk, then record it: never the other way round."""
        end = await self._files.work(archive.sync)
        if end != resource.received_bytes:
            resource.received_bytes = end
            self._postpone(resource)
            await self._catalog.write(lambda connection: uploads.update(connection, resource))

    async def _get(self, upload_id: str) -> dataset_pb2.Upload:
        found = await self._catalog.read(lambda connection: uploads.find(connection, upload_id))
        if found is None:
            raise upload_not_found(f"uploads/{upload_id}")
        return found

    async def _expire(self, upload_id: str) -> None:
        resource = await self._get(upload_id)
        if resource.expire_time.ToNanoseconds() > time.time_ns():
            return  # more of it arrived just now
        if await self._forget(upload_id) is None:
            logger.info("uploads/%s: expired", upload_id)

    async def _forget(self, upload_id: str) -> str | None:
        """Discard an upload; where an import uses it, only return that import's name."""

        def forget(connection: sa.Connection) -> str | None:
            user = datasets.upload_user(connection, f"uploads/{upload_id}")
            if user is None:
                uploads.delete(connection, upload_id)
            return user

        user = await self._catalog.write(forget)
        if user is None:
            await self._files.remove(upload_id)
        return user

    def _postpone(self, resource: dataset_pb2.Upload) -> None:
        resource.expire_time.FromNanoseconds(time.time_ns() + int(self._config.upload_expiry_s * 1e9))

    @contextlib.contextmanager
    def _taken(self, upload_id: str) -> Iterator[None]:
        """Keep other requests from an upload."""
        if upload_id in self._busy:
            raise Aborted(
                f"another request works on uploads/{upload_id}: wait for its end, then ask how much has arrived",
                reason="UPLOAD_BUSY",
                retry_after_s=1,
            )
        self._busy.add(upload_id)
        try:
            yield
        finally:
            self._busy.remove(upload_id)


async def _to_its_end(work: Coroutine[None, None, None]) -> None:
    """Await work that a caller who leaves does not end: they find later what had arrived.

    Nor does it go on without them: the next call on the same upload has to find its record as it stays.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
