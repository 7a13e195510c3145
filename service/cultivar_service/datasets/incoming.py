"""The files that uploads' bytes go to."""

import asyncio
import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from cultivar_contract import files
from cultivar_service.errors import Draining

_HASH_BYTES = 16 << 20
"""Bytes that are hashed in one go: between two goes other uploads have their turn."""
_NUM_THREADS = 4

T = TypeVar("T")


class IncomingArchive:
    """A file that grows at its end. Its methods block."""

    def __init__(self, path: Path, received_bytes: int) -> None:
        """Open or make it. Bytes beyond those that were recorded may be torn: they are written over."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not received_bytes:
            files.sync_folder(path.parent)
        self.end = min(received_bytes, os.fstat(self._descriptor).st_size)
        """Byte at which the next chunk starts."""
        # Whoever waits for a write may leave while it goes on.
        self._lock = threading.Lock()

    def append(self, data: bytes) -> None:
        """Add bytes at the end."""
        with self._lock:
            written = 0
            while written < len(data):
                written += os.pwrite(self._descriptor, data[written:], self.end + written)
            self.end += len(data)

    def sync(self) -> int:
        """Flush to disk; return how many bytes are safe."""
        with self._lock:
            os.fsync(self._descriptor)
            return self.end

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            os.close(self._descriptor)


class UploadFiles:
    """The folder of uploads, a file each, with threads of its own: a slow disk holds up uploads and nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._threads = ThreadPoolExecutor(_NUM_THREADS, thread_name_prefix="uploads")
        self._closing = False

    async def close(self) -> None:
        """Wait for what is being done."""
        self._closing = True
        await asyncio.to_thread(self._threads.shutdown)

    async def work(self, function: Callable[[], T]) -> T:
        """Do something to a file on a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)

    async def open(self, upload_id: str, received_bytes: int) -> IncomingArchive:
        """Open or make the file of an upload. Whoever leaves meanwhile leaves none open.

        Raises:
            OSError: it can't be.
        """
        opening = asyncio.ensure_future(self.work(lambda: IncomingArchive(self._folder / upload_id, received_bytes)))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            await asyncio.wait({opening})
            if opening.exception() is None:
                await self.work(opening.result().close)
            raise

    async def digest(self, upload_id: str) -> str:
        """Return the sha256 of an upload's file, in hexadecimal.

        Raises:
            Draining: the service ends meanwhile.
        """
        digest, offset = hashlib.sha256(), 0

        def read() -> int:
            with (self._folder / upload_id).open("ab+") as file:  # made where it got lost: its digest will tell
                file.seek(offset)
                data = file.read(_HASH_BYTES)
            digest.update(data)
            return len(data)

        while size := await self.work(read):
            offset += size
            if self._closing:
                raise Draining
        return digest.hexdigest()

    async def names(self) -> set[str]:
        """Return the names of all that is in the folder."""
        return await self.work(lambda: set(os.listdir(self._folder)))

    async def remove(self, upload_id: str) -> None:
        """Remove an upload's file, where there is one."""
        await self.work(lambda: (self._folder / upload_id).unlink(missing_ok=True))
