"""The part of DatasetService that takes archives."""

import asyncio
import re
from collections.abc import AsyncIterator

from google.protobuf.empty_pb2 import Empty

from cultivar.v1 import dataset_pb2
from cultivar_contract.violations import Violation
from cultivar_service.api.fields import check_request_id
from cultivar_service.caller import Caller
from cultivar_service.catalog import uploads
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.references import parse_upload, upload_not_found
from cultivar_service.config import Config
from cultivar_service.datasets.uploads import Uploads
from cultivar_service.errors import DeadlineExceeded, InvalidRequest, shown

MAX_CHUNK_BYTES = 4 << 20
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


class UploadApi:
    """Answers DatasetService's calls about uploads."""

    def __init__(self, config: Config, catalog: Catalog, uploads: Uploads) -> None:
        self._config = config
        self._catalog = catalog
        self._uploads = uploads

    async def create_upload(self, request: dataset_pb2.CreateUploadRequest, caller: Caller) -> dataset_pb2.Upload:
        """Announce an archive."""
        request_id = check_request_id(request.request_id)
        violations = []
        limit = self._config.max_upload_bytes
        if not 0 < request.size_bytes <= limit:
            message = f"{request.size_bytes}: an archive has 1 to {limit} bytes"
            violations.append(Violation(field="size_bytes", message=message))
        if not _SHA256.fullmatch(request.sha256):
            message = f"{shown(request.sha256)} is no sha256: use 64 hexadecimal digits"
            violations.append(Violation(field="sha256", message=message))
        if violations:
            raise InvalidRequest(violations)
        return await self._uploads.create(request.size_bytes, request.sha256.lower(), request_id, creator=caller.name)

    async def upload_chunks(
        self, requests: AsyncIterator[dataset_pb2.UploadChunksRequest], caller: Caller
    ) -> dataset_pb2.Upload:
        """Take bytes, and answer with what has arrived by then."""
        first = await self._next(requests)
        if first is None:
            raise InvalidRequest.at("upload", "is required: name the upload in the first message")
        found = await self._own(first.upload, "upload", caller)
        return await self._uploads.receive(parse_upload(found.name), self._chunks(first, requests))

    async def get_upload(self, request: dataset_pb2.GetUploadRequest, _: Caller) -> dataset_pb2.Upload:
        """Answer how much of an archive has arrived."""
        return await self._find(request.name, "name")

    async def finish_upload(self, request: dataset_pb2.FinishUploadRequest, caller: Caller) -> dataset_pb2.Upload:
        """Compare an archive with its sha256."""
        found = await self._own(request.name, "name", caller)
        return await self._uploads.finish(parse_upload(found.name))

    async def delete_upload(self, request: dataset_pb2.DeleteUploadRequest, caller: Caller) -> Empty:
        """Discard an archive."""
        found = await self._own(request.name, "name", caller)
        await self._uploads.delete(parse_upload(found.name))
        return Empty()

    async def _own(self, name: str, field: str, caller: Caller) -> dataset_pb2.Upload:
        found = await self._find(name, field)
        caller.check_may_change(found.name, found.creator)
        return found

    async def _find(self, name: str, field: str) -> dataset_pb2.Upload:
        upload_id = parse_upload(name, field)
        found = await self._catalog.read(lambda connection: uploads.find(connection, upload_id))
        if found is None:
            raise upload_not_found(name, field)
        return found

    async def _chunks(
        self, first: dataset_pb2.UploadChunksRequest, requests: AsyncIterator[dataset_pb2.UploadChunksRequest]
    ) -> AsyncIterator[tuple[int, bytes]]:
        request: dataset_pb2.UploadChunksRequest | None = first
        while request is not None:
            if request.upload not in ("", first.upload):
                raise InvalidRequest.at("upload", f"{shown(request.upload)} is not what the first message named")
            if not 0 < len(request.data) <= MAX_CHUNK_BYTES:
                raise InvalidRequest.at("data", f"has {len(request.data)} bytes: send 1 to {MAX_CHUNK_BYTES}")
            yield request.offset, request.data
            request = await self._next(requests)

    async def _next(
        self, requests: AsyncIterator[dataset_pb2.UploadChunksRequest]
    ) -> dataset_pb2.UploadChunksRequest | None:
        """Return the next message, None at the end. One who sends none would keep others from the upload."""
        try:
            async with asyncio.timeout(self._config.upload_silence_s):
                return await anext(requests, None)
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"no chunk came within {self._config.upload_silence_s:g} s: ask how much has arrived, and go on there",
                reason="UPLOAD_SILENT",
            ) from error
