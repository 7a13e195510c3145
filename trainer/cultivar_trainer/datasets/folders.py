"""Files of a folder on disk, opened without following links out of it."""

import errno
import os
import stat
from pathlib import Path

from cultivar_contract.image_folder import Folder
from cultivar_contract.names import OutsideFolder, inside

MAX_FILE_BYTES = 64 << 20
"""Larger image files are rejected by name."""


class DiskFiles(Folder):
    """A folder whose files can be read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._checked: dict[str, Path] = {}

    def read(self, path: str, max_bytes: int = MAX_FILE_BYTES) -> bytes:
        """Return a file's bytes.

        Raises:
            OSError: it is missing, too large, no regular file, a link, behind a link that leads out, or can't be read.
        """
        return read_file(self._place(path), max_bytes)

    def _place(self, path: str) -> Path:
        folder, _, name = path.rpartition("/")
        # A million images lie in a few folders: these are looked at once each.
        if folder not in self._checked:
            try:
                self._checked[folder] = inside(self.root, folder)
            except OutsideFolder as error:
                raise OSError("leads outside the folder") from error
        return self._checked[folder] / name


def read_file(file: Path, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Return a file's bytes.

    Raises:
        OSError: it is missing, too large, no regular file, a link, or can't be read.
    """
    try:
        # NONBLOCK: opening a pipe would wait for a writer.
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError("is a link, and links are not followed") from error
        raise
    with os.fdopen(descriptor, "rb") as opened:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("is no regular file")
        if status.st_size > max_bytes:
            raise OSError(f"has {status.st_size} bytes, more than {max_bytes}")
        return opened.read(max_bytes)
