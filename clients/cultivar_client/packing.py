"""Packs a folder into an archive whose bytes depend on its files alone, so that an upload of it can go on later."""

import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def archive_of(path: Path) -> Iterator[Path]:
    """Gives a file as it is; for a folder a tar of it in the system's temporary folder, which goes at the end.

    Raises OSError where something can't be read, and FileNotFoundError for a folder without files.
    """
    if not path.is_dir():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="cultivar-") as folder:
        archive = Path(folder) / "archive.tar"
        _pack(path, archive)
        yield archive


def _pack(folder: Path, archive: Path) -> None:
    """Writes a tar of a folder's files; hidden ones, and links, stay behind."""
    empty = True
    with tarfile.open(archive, "w") as tar:
        for file in _files(folder):
            member = tar.gettarinfo(file, file.relative_to(folder).as_posix())
            # Nothing of who packed it, where and when: the same files give the same bytes.
            member.mtime, member.mode, member.uid, member.gid, member.uname, member.gname = 0, 0o644, 0, 0, "", ""
            member.type = tarfile.REGTYPE  # also for a second name of one file
            with file.open("rb") as content:
                tar.addfile(member, content)
            empty = False
    if empty:
        raise FileNotFoundError(f"{folder} holds no files")


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(root) / name
            if not name.startswith(".") and file.is_file() and not file.is_symlink():
                yield file
