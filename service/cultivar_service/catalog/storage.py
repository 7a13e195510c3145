"""The data directory: who owns it, how full its disk is, how folders leave it."""

import fcntl
import os
import re
import secrets
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cultivar_contract import files
from cultivar_service.config import Config
from cultivar_service.errors import InsufficientDisk, StartupRefused

LOCK = "service.lock"
"""Name of the file in the data directory that its owner holds."""
_IDENTIFIER = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")


class DataDirectory:
    """The data directory, held by one service at a time."""

    def __init__(self, config: Config) -> None:
        """Make the folders and take the lock; the kernel lets go when this process ends.

        Raises:
            StartupRefused: another service holds it, or it can't be written.
        """
        self._config = config
        if config.restoring.exists():
            raise StartupRefused(
                f"a restore into {config.data_dir} goes on or was cut off: run `cultivar-service restore` to its end"
            )
        try:
            for folder in (*config.folders, config.weights_dir, config.datasets_root):
                folder.mkdir(parents=True, exist_ok=True)
            self._lock = take_lock(config.data_dir)
        except OSError as error:
            raise StartupRefused(
                f"{error.filename} can't be made ({error.strerror}): set CULTIVAR_DATA_DIR to a folder that can be "
                "written"
            ) from error
        for leftover in config.scratch.iterdir():
            shutil.rmtree(leftover, ignore_errors=True)

    def close(self) -> None:
        """Let the next service take over."""
        os.close(self._lock)

    def free_bytes(self) -> int:
        """Return how much of the disk is free."""
        return shutil.disk_usage(self._config.data_dir).free

    def check_free_space(self, expected_bytes: int = 0) -> None:
        """Check that something that writes can start.

        Args:
            expected_bytes: what it is going to write, as far as that is known.

        Raises:
            InsufficientDisk: it can't.
        """
        free, needed = self.free_bytes(), self._config.min_free_bytes + expected_bytes
        if free < needed:
            raise InsufficientDisk(free, needed)

    @contextmanager
    def full_disk_told(self) -> Iterator[None]:
        """Raise InsufficientDisk in place of the operating system's error where the disk is full."""
        try:
            yield
        except OSError as error:
            if not files.is_disk_full(error):
                raise
            raise InsufficientDisk(self.free_bytes(), self._config.min_free_bytes) from error

    def discard(self, folder: Path) -> None:
        """Remove a folder: at once from its place, then from the disk."""
        doomed = self.take_away(folder)
        if doomed is not None:
            shutil.rmtree(doomed, ignore_errors=True)

    def take_away(self, folder: Path) -> Path | None:
        """Move a folder to where nobody looks for it, which takes no time; `discard` removes it from there.

        Returns:
            Where it is now, which is its own place on a disk without room for another name; None: there is none.
        """
        doomed = self._config.scratch / uuid.uuid4().hex
        try:
            return folder.replace(doomed)
        except FileNotFoundError:
            return None
        except OSError:
            return folder


def take_lock(data_dir: Path) -> int:
    """Take a data directory's lock; return its descriptor, which holds it while it is open.

    Raises:
        StartupRefused: another service holds it.
        OSError: it can't be written.
    """
    descriptor = os.open(data_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StartupRefused(
            f"another service works on {data_dir}: stop it, or set CULTIVAR_DATA_DIR to another folder"
        ) from error
    return descriptor


def new_identifier() -> str:
    """Return a short identifier; later ones sort after earlier ones."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"


def is_identifier(text: str) -> bool:
    """Tell whether `new_identifier` may have made this."""
    return _IDENTIFIER.fullmatch(text) is not None
