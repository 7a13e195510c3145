"""Makes a data directory of a backup, the service being stopped: `cultivar-service restore DIR`."""

import os
import shutil
from pathlib import Path

from cultivar_contract import files
from cultivar_service.backup import contents
from cultivar_service.backup.contents import BackupRefused, Listing
from cultivar_service.catalog.migrations import MIGRATIONS
from cultivar_service.catalog.storage import LOCK, take_lock
from cultivar_service.config import Config
from cultivar_service.errors import StartupRefused


def restore(config: Config, source: Path) -> Listing:
    """Copy a backup into an empty data directory: all of it, checked, or nothing.

    While it goes on the folder `restoring` is there: a service does not start beside it, and whoever restores again
    after a crash begins anew.

    Raises:
        BackupRefused: the backup or the data directory can't be used.
    """
    listing = contents.read_listing(source)
    if listing.catalog_schema > len(MIGRATIONS):
        raise BackupRefused(
            f"{source} has schema {listing.catalog_schema}, this service knows {len(MIGRATIONS)}: use a newer service"
        )
    try:
        config.data_dir.mkdir(parents=True, exist_ok=True)
        lock = take_lock(config.data_dir)
    except (OSError, StartupRefused) as error:
        raise BackupRefused(str(error)) from error
    try:
        _clear_leftovers(config)
        _check_empty(config)
        _check_room(config, listing)
        _copy(source, config.restoring, listing)
        _move_in(config)
    except OSError as error:
        raise BackupRefused(f"{source} could not be restored: {error}") from error
    finally:
        os.close(lock)
    return listing


def _clear_leftovers(config: Config) -> None:
    """Remove what a restore that was cut off has moved in; it began with an empty data directory."""
    if config.restoring.exists():
        config.catalog.unlink(missing_ok=True)
        for folder in contents.FOLDERS:
            shutil.rmtree(config.data_dir / folder, ignore_errors=True)
        shutil.rmtree(config.restoring)


def _check_empty(config: Config) -> None:
    brought = {config.weights_dir, config.datasets_root, config.data_dir / LOCK}
    for path in sorted(config.data_dir.iterdir()):
        if path in brought or (path.is_dir() and not any(path.iterdir())):
            continue
        raise BackupRefused(f"{config.data_dir} is not empty ({path.name}): restore into a new folder")


def _check_room(config: Config, listing: Listing) -> None:
    free = shutil.disk_usage(config.data_dir).free
    needed = listing.size_bytes + config.min_free_bytes
    if free < needed:
        raise BackupRefused(f"{free >> 20} MiB of disk are free, {needed >> 20} MiB are needed: make room")


def _copy(source: Path, target: Path, listing: Listing) -> None:
    try:
        for path, listed in listing.files.items():
            copy = target / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copy2(source / path, copy)
            except FileNotFoundError as error:
                raise BackupRefused(f"{source} lacks {path}: use another backup") from error
            if copy.stat().st_size != listed.size_bytes or files.sha256_file(copy) != listed.sha256:
                raise BackupRefused(f"{path} in {source} has changed since the backup: use another one")
        contents.schema_of(target / contents.CATALOG)
        files.sync_tree(target)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _move_in(config: Config) -> None:
    """Rename all into place, the catalog last: without it the rest means nothing."""
    for name in (*contents.FOLDERS, contents.CATALOG):
        moved = config.restoring / name
        if moved.exists():
            moved.replace(config.data_dir / name)
    files.sync_folder(config.data_dir)
    config.restoring.rmdir()
    files.sync_folder(config.data_dir)
