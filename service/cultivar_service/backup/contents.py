"""What a backup is: a catalog, the folders that it names, and a listing of every file with its digest.

Left out is what can be made or fetched again (caches, downloads, imports under way) and what is not the service's own
(weight files, data sets' sources, the tokens file).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from cultivar_contract import files
from cultivar_contract.names import OutsideFolder, inside
from cultivar_service.catalog import datasets, folders, jobs, models, studies
from cultivar_service.catalog.database import read_only
from cultivar_service.catalog.references import parse_dataset, parse_version

SCHEMA_VERSION = 1
"""Of the listing; a newer one is refused."""
LISTING = "backup.json"
CATALOG = "catalog.sqlite"
FOLDERS = ("datasets", "evaluations", "models", "runs", "studies")


class BackupRefused(ValueError):
    """A backup can't be made or used; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """A folder that a catalog names, relative to the data directory."""

    path: str
    is_final: bool
    """Whether nothing in it ever changes: it can be linked."""
    is_required: bool
    """Whether the service needs it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """A file of a backup."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """Every file of a backup, by its path in it."""

    catalog_schema: int
    files: dict[str, File]

    @property
    def size_bytes(self) -> int:
        """Size of all files together."""
        return sum(one.size_bytes for one in self.files.values())

    def to_json(self) -> dict[str, Any]:
        """Return the form that the backup keeps."""
        listed = {path: {"size_bytes": one.size_bytes, "sha256": one.sha256} for path, one in self.files.items()}
        return {"schema_version": SCHEMA_VERSION, "catalog_schema": self.catalog_schema, "files": listed}


def named_folders(catalog: Path) -> list[Folder]:
    """Return the folders that a catalog names: run directories first.

    A package that is published meanwhile moves from its run directory to the models; in this order it is met at least
    once.
    """
    return read_only(catalog, _named_folders)


def schema_of(catalog: Path) -> int:
    """Return a catalog's schema.

    Raises:
        BackupRefused: it is damaged.
    """

    def read(connection: sa.Connection) -> int:
        if connection.exec_driver_sql("PRAGMA integrity_check").scalar() != "ok":
            raise BackupRefused(f"{catalog} is damaged: use another backup")
        return int(connection.exec_driver_sql("SELECT version FROM schema_version").scalar_one())

    try:
        return read_only(catalog, read)
    except sa.exc.DatabaseError as error:
        raise BackupRefused(f"{catalog} can't be read ({error.orig}): use another backup") from error


def list_files(folder: Path) -> Listing:
    """Read every file of a backup that is being made."""
    listed = {
        str(path.relative_to(folder)): File(size_bytes=path.stat().st_size, sha256=files.sha256_file(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return Listing(catalog_schema=schema_of(folder / CATALOG), files=listed)


def read_listing(folder: Path) -> Listing:
    """Read a backup's listing.

    Raises:
        BackupRefused: there is none that this service can use.
    """
    try:
        body = files.read_json(folder / LISTING)
        if int(body["schema_version"]) > SCHEMA_VERSION:
            raise BackupRefused(f"{folder} was written by a newer service: restore it with that")
        listed = {
            str(path): File(size_bytes=int(one["size_bytes"]), sha256=str(one["sha256"]))
            for path, one in body["files"].items()
        }
        listing = Listing(catalog_schema=int(body["catalog_schema"]), files=listed)
    except BackupRefused:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackupRefused(f"{folder} is no backup: its {LISTING} can't be read ({error})") from error
    for path in listing.files:
        _check_path(folder, path)
    if CATALOG not in listing.files:
        raise BackupRefused(f"{folder} is no whole backup: it lists no {CATALOG}")
    return listing


def _check_path(folder: Path, path: str) -> None:
    try:
        inside(folder, path)
    except OutsideFolder as error:
        raise BackupRefused(f"{folder} lists a file that is not in it: {path!r}") from error
    if path != CATALOG and Path(path).parts[0] not in FOLDERS:
        raise BackupRefused(f"{folder} lists {path!r}, which no backup has")


def _named_folders(connection: sa.Connection) -> list[Folder]:
    runs = [Folder(path=f"runs/{one}", is_final=False, is_required=False) for one in jobs.identifiers(connection)]
    data = []
    for name in datasets.ready(connection):
        reference = parse_dataset(name)
        path = f"datasets/{reference.dataset}/{reference.version}"
        data.append(Folder(path=path, is_final=True, is_required=True))
    versions = []
    for one in models.every_version(connection):
        model, number = parse_version(one.name)
        path = f"models/{model}/{number}"
        versions.append(Folder(path=path, is_final=True, is_required=one.state == models.READY))
    evaluated = [f"evaluations/{one}" for one in sorted(folders.evaluations(connection))]
    compared = [f"studies/{one}" for one in studies.identifiers(connection)]
    reports = [Folder(path=one, is_final=True, is_required=False) for one in (*evaluated, *compared)]
    return [*runs, *data, *versions, *reports]
