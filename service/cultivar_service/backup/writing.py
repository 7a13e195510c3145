"""Makes backups, also while the service works: `cultivar-service backup DIR`."""

import contextlib
import errno
import os
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cultivar_contract import files, package
from cultivar_contract.package import DamagedPackage
from cultivar_service.backup import contents
from cultivar_service.backup.contents import BackupRefused, Folder
from cultivar_service.catalog.database import copy_catalog
from cultivar_service.config import Config

_TRIES = 20
"""Looks at a folder that changes while it is copied; each takes milliseconds."""
_NOT_LINKABLE = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP)


@dataclass(kw_only=True, slots=True)
class Summary:
    """What a backup holds."""

    num_files: int
    size_bytes: int
    problems: list[str]
    """What the service itself lacks: such files are missing or damaged in the backup too."""


def back_up(config: Config, target: Path) -> Summary:
    """Write a backup under a temporary name, check it and give it its name.

    Files that never change are hard links where the file system allows it, else copies.

    Raises:
        BackupRefused: it can't be made there.
    """
    target = target.absolute()
    _check_target(config, target)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        partial.mkdir(parents=True)
        missing = _collect(config, partial)
        listing = contents.list_files(partial)
        files.write_json(partial / contents.LISTING, listing.to_json())
        files.sync_tree(partial)
        problems = [f"{path}: its files are missing" for path in sorted(missing)] + _damaged(partial)
        partial.rename(target)
        files.sync_folder(target.parent)
    except (OSError, sqlite3.Error) as error:
        raise BackupRefused(f"the backup could not be made ({error}): nothing of it is left") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Summary(num_files=len(listing.files), size_bytes=listing.size_bytes, problems=problems)


def _check_target(config: Config, target: Path) -> None:
    if not config.catalog.is_file():
        raise BackupRefused(f"there is no catalog in {config.data_dir}: set CULTIVAR_DATA_DIR or --data-dir")
    if target.resolve().is_relative_to(config.data_dir.resolve()):
        raise BackupRefused(f"{target} is in the data directory, which it would be lost with: name another folder")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BackupRefused(f"{target} is not empty: name a new folder")


def _collect(config: Config, partial: Path) -> set[str]:
    """Copy the catalog, then what it names; return what is missing.

    A version that is deleted meanwhile is missing only until the catalog is copied once more.
    """
    catalog, missing = partial / contents.CATALOG, None
    while True:
        copy_catalog(config.catalog, catalog)
        named = contents.named_folders(catalog)
        if missing is None:
            _check_room(config, partial, named)
        _remove_others(partial, {one.path for one in named})
        lacking = {one.path for one in named if not _place(config.data_dir, partial, one) and one.is_required}
        if lacking == (missing or set()):
            return lacking
        missing = lacking


def _check_room(config: Config, partial: Path, named: list[Folder]) -> None:
    same_disk = partial.stat().st_dev == config.data_dir.stat().st_dev
    copied = [one for one in named if not (same_disk and one.is_final)]
    needed = config.catalog.stat().st_size + sum(_size_of(config.data_dir / one.path) for one in copied)
    spare = config.min_free_bytes if same_disk else 0
    free = shutil.disk_usage(partial).free
    if free < needed + spare:
        raise BackupRefused(
            f"{free >> 20} MiB of disk are free, the backup needs {needed + spare >> 20} MiB: name a folder elsewhere"
        )


def _size_of(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # gone meanwhile
            size += path.stat().st_size if path.is_file() else 0
    return size


def _remove_others(partial: Path, named: set[str]) -> None:
    """Remove what an earlier copy of the catalog named and this one does not."""
    for folder in contents.FOLDERS:
        depth = "*" if folder in ("runs", "studies") else "*/*"
        for path in (partial / folder).glob(depth):
            if str(path.relative_to(partial)) not in named:
                shutil.rmtree(path)


def _place(data_dir: Path, partial: Path, folder: Folder) -> bool:
    """Put a folder into the backup; tell whether it is there."""
    source, target = data_dir / folder.path, partial / folder.path
    if folder.is_final and target.exists():
        return True
    for _ in range(_TRIES):
        shutil.rmtree(target, ignore_errors=True)
        if not source.is_dir():
            return False
        try:
            if folder.is_final:
                _link_tree(source, target)
                return True
            if _copy_snapshot(source, target):
                return True
        except FileNotFoundError:  # deleted or moved on meanwhile: look again
            continue
    raise BackupRefused(f"{source} changes all the time: back up again later")


def _link_tree(source: Path, target: Path) -> None:
    for path in _files_in(source):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, copy)
        except OSError as error:
            if error.errno not in _NOT_LINKABLE:
                raise
            shutil.copy2(path, copy)
            if files.sha256_file(copy) != files.sha256_file(path):
                raise BackupRefused(f"{copy} differs from what was copied: check the disk") from error


def _copy_snapshot(source: Path, target: Path) -> bool:
    """Copy a run directory as it was at one moment; tell whether there was such a moment.

    Its files are replaced by renaming, or grow at their end. All are opened, and if none was replaced while that went
    on, what is open belongs together, whatever the trainer does next.
    """
    with contextlib.ExitStack() as opened:
        snapshot = {path: opened.enter_context(path.open("rb")) for path in _files_in(source)}
        inodes = {path: os.fstat(file.fileno()).st_ino for path, file in snapshot.items()}
        if inodes != {path: path.stat().st_ino for path in _files_in(source)}:
            return False
        target.mkdir(parents=True)
        for path, file in snapshot.items():
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            with copy.open("wb") as writing:
                shutil.copyfileobj(file, writing, 1 << 20)
            status = os.fstat(file.fileno())
            os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    return True


def _files_in(folder: Path) -> Iterator[Path]:
    """Yield the files that belong to a folder: neither locks nor those that are being written under other names."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.name != "lock" and not path.name.startswith("."):
            yield path


def _damaged(partial: Path) -> list[str]:
    """Compare every package with the digests in its manifest."""
    damaged = []
    for folder in sorted((partial / "models").glob("*/*")):
        try:
            package.verify(package.open_package(folder))
        except DamagedPackage as error:
            damaged.append(f"{folder.relative_to(partial)}: {error}")
    return damaged
