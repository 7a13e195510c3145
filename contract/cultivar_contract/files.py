"""Files that a reader sees whole or not at all, also after a power cut, and disks that have no room for them."""

import errno
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Yield a file under a temporary name; where no error ends the block, flush it to disk and give it its name."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file in whole or not at all."""
    with writing(path) as file:
        file.write(data)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON that people can read, in whole or not at all."""
    write_bytes(path, (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        OSError: it can't be read.
        ValueError: it is no JSON.
    """
    return json.loads(path.read_bytes())


def is_disk_full(error: BaseException) -> bool:
    """Tell whether an error, or one that it came of, is the operating system's refusal to write any more."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and (
            seen.errno in (errno.ENOSPC, errno.EDQUOT)
            # NumPy tells of a short write in words: "1024 requested and 512 written".
            or (seen.errno is None and "requested and" in str(seen))
        ):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def reserve(path: Path, size_bytes: int) -> bool:
    """Take `size_bytes` of the disk under a name, so that removing the file gives room; tell whether it is there."""
    try:
        with path.open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, size_bytes)
    except OSError:
        path.unlink(missing_ok=True)
        return False
    return True


def sync_tree(folder: Path) -> None:
    """Flush every file and folder below `folder` to disk, so that a rename of it publishes whole files."""
    for root, _, names in os.walk(folder):
        for name in names:
            sync_folder(Path(root) / name)
        sync_folder(Path(root))


def sync_folder(path: Path) -> None:
    """Flush one folder's entries (or one file's bytes) to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
