"""Calls about uploads: archives on their way to become data sets."""

import asyncio
import hashlib
import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
from google.protobuf import empty_pb2

from cultivar.v1 import dataset_pb2, dataset_pb2_grpc
from cultivar_client.connection import Connection
from cultivar_client.errors import CultivarError, error_from_rpc
from cultivar_client.resume import FIRST_DELAY_S, LONGEST_DELAY_S

CHUNK_BYTES = 1 << 20
PATIENCE_S = 120.0
"""Longer than the service waits for a call that fell silent, which keeps others from the upload."""
FINISH_TIMEOUT_S = 900.0
"""The service reads all of the archive."""
_PASSING = {("UNAVAILABLE", None), ("ABORTED", "UPLOAD_BUSY"), ("OUT_OF_RANGE", "OFFSET_MISMATCH")}
"""Codes and reasons (None: any) after which an upload goes on where the service says: a call broke, and the service may
not have noticed yet."""

FINISHED = dataset_pb2.UPLOAD_STATE_FINISHED


class UploadCalls(Connection):
    """Sends archives."""

    async def upload_archive(
        self,
        path: Path,
        *,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
        patience_s: float = PATIENCE_S,
    ) -> dataset_pb2.Upload:
        """Sends an archive (tar, plain or compressed, or zip) and answers with the finished upload.

        An upload of the same bytes that was begun before, by this call or by another, goes on where it ended; so does
        this one when the channel breaks. `on_progress` is told bytes sent and bytes in all. Raises CultivarError, for a
        service that stays unreachable after `patience_s` seconds, and OSError where the file can't be read.
        """
        size_bytes, sha256 = await asyncio.to_thread(_measure, path)
        upload = await self.create_upload(size_bytes, sha256, request_id=f"sha256-{sha256}")
        progress_at, delay_s = time.monotonic(), FIRST_DELAY_S
        while upload.state != FINISHED:
            before = upload.received_bytes
            try:
                if upload.received_bytes < size_bytes:
                    upload = await self._send(path, upload, on_progress)
                upload = await self.finish_upload(upload.name)
            except CultivarError as error:
                if not _is_passing(error) or time.monotonic() + delay_s > progress_at + patience_s:
                    raise
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, LONGEST_DELAY_S)
                upload = await self.get_upload(upload.name)
            if upload.received_bytes > before:
                progress_at, delay_s = time.monotonic(), FIRST_DELAY_S
        return upload

    async def create_upload(self, size_bytes: int, sha256: str, *, request_id: str | None = None) -> dataset_pb2.Upload:
        """Announces an archive. Raises CultivarError."""
        request = dataset_pb2.CreateUploadRequest(
            size_bytes=size_bytes, sha256=sha256, request_id=request_id or uuid.uuid4().hex
        )
        return await self._unary(self._uploads.CreateUpload, request, dataset_pb2.Upload)

    async def get_upload(self, name: str) -> dataset_pb2.Upload:
        """Answers how much of an archive has arrived. Raises CultivarError."""
        request = dataset_pb2.GetUploadRequest(name=name)
        return await self._unary(self._uploads.GetUpload, request, dataset_pb2.Upload)

    async def finish_upload(self, name: str, *, timeout_s: float = FINISH_TIMEOUT_S) -> dataset_pb2.Upload:
        """Lets the service compare an archive with its sha256. Raises CultivarError."""
        request = dataset_pb2.FinishUploadRequest(name=name)
        return await self._unary(self._uploads.FinishUpload, request, dataset_pb2.Upload, timeout_s)

    async def delete_upload(self, name: str) -> None:
        """Discards an archive. Raises CultivarError, for one where an import uses it."""
        request = dataset_pb2.DeleteUploadRequest(name=name)
        await self._unary(self._uploads.DeleteUpload, request, empty_pb2.Empty)

    async def _send(
        self, path: Path, upload: dataset_pb2.Upload, on_progress: Callable[[int, int], None]
    ) -> dataset_pb2.Upload:
        call = self._uploads.UploadChunks(_chunks(path, upload, on_progress), metadata=self._metadata)
        try:
            answer = await call
        except grpc.aio.AioRpcError as error:
            raise error_from_rpc(error, self.address) from error
        finally:
            call.cancel()
        assert isinstance(answer, dataset_pb2.Upload)
        return answer

    @property
    def _uploads(self) -> dataset_pb2_grpc.DatasetServiceStub:
        stub: dataset_pb2_grpc.DatasetServiceStub = self._stub(dataset_pb2_grpc.DatasetServiceStub)
        return stub


def _is_passing(error: CultivarError) -> bool:
    # gRPC's library calls it INTERNAL, without a word from the service, where a write met the end of a refused call:
    # the next attempt hears why.
    is_torn = error.code == "INTERNAL" and not error.reason
    return is_torn or not _PASSING.isdisjoint({(error.code, None), (error.code, error.reason)})


async def _chunks(
    path: Path, upload: dataset_pb2.Upload, on_progress: Callable[[int, int], None]
) -> AsyncIterator[dataset_pb2.UploadChunksRequest]:
    offset = upload.received_bytes
    with path.open("rb") as file:
        file.seek(offset)
        while data := await asyncio.to_thread(file.read, CHUNK_BYTES):
            on_progress(offset, upload.size_bytes)
            yield dataset_pb2.UploadChunksRequest(upload=upload.name, offset=offset, data=data)
            offset += len(data)
    on_progress(offset, upload.size_bytes)


def _measure(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest
