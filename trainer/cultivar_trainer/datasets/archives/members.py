"""What an archive holds, by names that were checked, and within limits."""

import io
import os
import re
from pathlib import Path
from typing import Protocol

from cultivar_contract.image_folder import SPLIT_FOLDERS
from cultivar_trainer.errors import TaskFailed

MAX_MEMBERS = 2_000_000
"""Files and folders in one archive."""
MAX_DEPTH = 8
"""Folders inside each other."""
MAX_UNPACKED_BYTES = 200 << 30
MAX_RATIO = 200
"""Unpacked bytes for each byte of the archive; images hardly shrink at all."""
UNSUSPICIOUS_BYTES = 64 << 20
"""Unpacked bytes that any archive may have, whatever the ratio."""

_MAX_NAME = 1024
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MAX_SHOWN = 120
_ZIP_ENTRY = b"PK\x01\x02"


class Member(Protocol):
    """Where a file lies in an archive."""

    @property
    def size(self) -> int:
        """Bytes when unpacked, by the archive's word."""

    def read(self, archive: Path, path: str) -> bytes:
        """Return its bytes.

        Raises:
            TaskFailed: UNUSABLE_ARCHIVE; they are not what the archive says.
        """


class Members:
    """Files and folders of an archive, added one by one."""

    def __init__(self, archive_bytes: int) -> None:
        self._max_bytes = unpacked_limit(archive_bytes)
        self._count = 0
        self._bytes = 0
        self._files: dict[str, Member] = {}
        self._folders: set[str] = set()

    def add_folder(self, name: str) -> None:
        """Take a folder.

        Raises:
            TaskFailed: UNUSABLE_ARCHIVE; the name is hostile, or there is too much of something.
        """
        self._count_one()
        parts = _parts(name)
        _check_depth(name, len(parts))
        if not _is_hidden(parts):
            self._add_folders(parts)

    def add_file(self, name: str, member: Member) -> None:
        """Take a file.

        Raises:
            TaskFailed: UNUSABLE_ARCHIVE; the name is hostile or there already, or there is too much of something.
        """
        self._count_one()
        self._bytes += member.size
        if self._bytes > self._max_bytes:
            raise too_large(self._max_bytes)
        parts = _parts(name)
        _check_depth(name, len(parts) - 1)
        path = "/".join(parts)
        if not path or path in self._files:
            raise unusable(f"{shown(name)} is in it twice" if path else "a file has no name")
        if not _is_hidden(parts):
            self._files[path] = member
            self._add_folders(parts[:-1])

    def finish(self) -> tuple[dict[str, Member], set[str]]:
        """Return files and folders by their paths, without the one folder that holds everything, where there is one.

        Raises:
            TaskFailed: UNUSABLE_ARCHIVE; there are no files, or one has a folder's name.
        """
        if not self._files:
            raise unusable("it holds no files")
        for path in self._files.keys() & self._folders:
            raise unusable(f"{shown(path)} is in it twice, as a file and as a folder")
        tops = {path.partition("/")[0] for path in (*self._files, *self._folders)}
        top = next(iter(tops))
        if len(tops) > 1 or top in self._files or top.lower() in SPLIT_FOLDERS:
            return self._files, self._folders
        start = len(top) + 1
        files = {path[start:]: member for path, member in self._files.items()}
        return files, {path[start:] for path in self._folders if path != top}

    def _count_one(self) -> None:
        self._count += 1
        if self._count > MAX_MEMBERS:
            raise too_many()

    def _add_folders(self, parts: list[str]) -> None:
        for end in range(len(parts), 0, -1):
            path = "/".join(parts[:end])
            if path in self._folders:
                return
            self._folders.add(path)


class Headers(io.BufferedReader):
    """An archive whose headers a library reads: it gives up before what they claim to be fills the memory."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        super().__init__(io.FileIO(path))
        self._size = path.stat().st_size
        self._max_bytes = max_bytes
        self._read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read.

        Raises:
            TaskFailed: UNUSABLE_ARCHIVE; that would be too much.
        """
        self._read_bytes += self._size - self.tell() if size is None or size == -1 else size
        if self._read_bytes > self._max_bytes:
            raise unusable(f"it has headers of more than {self._max_bytes >> 20} MiB")
        data = super().read(size)
        if data.count(_ZIP_ENTRY) > MAX_MEMBERS:
            raise too_many()
        return data

    def start_afresh(self) -> None:
        """Count from zero again."""
        self._read_bytes = 0


def unpacked_limit(archive_bytes: int) -> int:
    """Return how many bytes an archive may have when unpacked."""
    return min(MAX_UNPACKED_BYTES, max(UNSUSPICIOUS_BYTES, MAX_RATIO * archive_bytes))


def unusable(fact: str, remedy: str = "pack the images anew") -> TaskFailed:
    """Make the error of an archive that can't be imported."""
    return TaskFailed("UNUSABLE_ARCHIVE", f"the archive can't be imported: {fact}: {remedy}")


def too_large(max_bytes: int) -> TaskFailed:
    """Make the error of an archive that unpacks to too much."""
    return unusable(f"it unpacks to more than {max_bytes} bytes", "split it, or pack it less tightly")


def too_many() -> TaskFailed:
    """Make the error of an archive with too many members."""
    return unusable(f"it has more than {MAX_MEMBERS} files and folders", "split it")


def shown(name: str) -> str:
    """Quote a member's name for a message, shortened."""
    text = os.fsencode(name).decode(errors="backslashreplace")
    return repr(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "...")


def _parts(name: str) -> list[str]:
    if len(name) > _MAX_NAME:
        raise unusable(f"the name {shown(name)} has {len(name)} characters, more than {_MAX_NAME}")
    if name.startswith("/") or "\\" in name or _DRIVE.match(name):
        raise unusable(f"{shown(name)} is no relative path with `/` between folders")
    if _CONTROL.search(name):
        raise unusable(f"the name {shown(name)} has control characters")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise unusable(f"{shown(name)} leads out of its folder")
    return parts


def _check_depth(name: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise unusable(f"{shown(name)} is {depth} folders deep, more than {MAX_DEPTH}")


def _is_hidden(parts: list[str]) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)
