"""The file that an upload's bytes go to."""

import os
import threading
from pathlib import Path

from cultivar_contract import files


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
