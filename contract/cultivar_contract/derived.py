"""A folder of derived files that trainers share: who uses an entry holds its lock, and others go, the oldest first.

An entry is a folder. While it is being filled its name begins with a dot. Whoever fills or uses it holds a shared lock
on it (flock), which the kernel takes back however a process ends; whoever removes it takes the lock for itself first.
So nothing disappears between looking and opening, what a killed process left is known at once, and only what really
gives its space back is removed.
"""

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_BEING_FILLED = "."


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One entry, as it was a moment ago."""

    path: Path
    used: float
    """When it was last asked for, in seconds since 1970."""
    size_bytes: int


def hold(path: Path) -> int | None:
    """Keep an entry from being removed, and remember that it was used.

    Returns:
        A descriptor, whose closing lets the entry go; None where there is no such entry.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    try:
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            os.utime(path)
            return descriptor
    except FileNotFoundError:  # removed while this waited for the lock
        pass
    os.close(descriptor)
    return None


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """Lend an empty folder that is held; what is left of it at the end is removed."""
    path = folder / f"{_BEING_FILLED}{uuid.uuid4().hex}"
    descriptor = None
    while descriptor is None:  # until it is held, it may be taken for one that a killed process left
        path.mkdir()
        descriptor = hold(path)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)


def entries(folder: Path) -> list[Entry]:
    """Return the entries of a folder, the one that was not used for longest first."""
    found = []
    for path in folder.iterdir():
        with suppress(FileNotFoundError, NotADirectoryError):  # removed meanwhile, or not ours
            size = sum(file.stat().st_size for file in path.iterdir())
            found.append(Entry(path=path, used=path.stat().st_mtime, size_bytes=size))
    return sorted(found, key=lambda entry: entry.used)


def remove(entry: Entry) -> bool:
    """Remove an entry unless somebody holds it; tell whether it is gone."""
    try:
        descriptor = os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(entry.path, ignore_errors=True)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)


def make_room(folder: Path, needed_bytes: int) -> int:
    """Remove what killed processes left, then what nobody holds, the oldest first, until enough has been given back.

    Args:
        folder: of the entries.
        needed_bytes: how much is enough.

    Returns:
        The bytes that were given back.
    """
    freed = 0
    found = entries(folder)
    begun = [entry for entry in found if entry.path.name.startswith(_BEING_FILLED)]
    whole = [entry for entry in found if entry not in begun]
    for entry in (*begun, *whole):
        if (entry in begun or freed < needed_bytes) and remove(entry):
            freed += entry.size_bytes
    return freed
