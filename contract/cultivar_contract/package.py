"""The model package: everything that a finished job hands to serving, in one folder."""

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cultivar_contract import files
from cultivar_contract.names import OutsideFolder, inside
from cultivar_contract.preprocessing import Preprocessing

SCHEMA_VERSION = 1
"""Major version of the manifest; readers refuse a newer one and ignore fields they don't know."""
MANIFEST = "manifest.json"
REPORT_PAGE = "report.html"
"""The evaluation report for people: one file that needs nothing else."""
REPORT_JSON = "report.json"
"""The same for programs."""
GOLDEN_TOLERANCE = 1e-4
"""Largest difference of a probability when golden images are replayed."""

ENSEMBLE, SOUP = "ENSEMBLE", "SOUP"
"""How several models became one, as the manifest's `combination.method` says it."""

REASONS = ("files", "manifest", "graph", "golden")
"""What can be wrong: files missing or changed, a manifest that can't be used, a graph, the answers to golden images."""


class DamagedPackage(ValueError):
    """A package that must not be served; the message says what is wrong, `reason` with what: one of REASONS."""

    def __init__(self, message: str, *, reason: str = "files") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, kw_only=True, slots=True)
class GoldenImage:
    """An encoded validation image with the answer that the export gave."""

    file: str
    """Path in the package."""
    pixels_sha256: str
    """Digest of its preprocessed pixels."""
    probabilities: tuple[float, ...]
    """By class."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """An opened package."""

    path: Path
    manifest: dict[str, Any]

    @property
    def class_ids(self) -> tuple[str, ...]:
        """Class identifiers in label order."""
        return tuple(str(one["id"]) for one in self.manifest["classes"])

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names to show, in label order."""
        return tuple(str(one["display_name"]) for one in self.manifest["classes"])

    @property
    def preprocessing(self) -> Preprocessing:
        """How images become inputs."""
        return Preprocessing.from_json(self.manifest["preprocessing"])

    @property
    def is_ensemble(self) -> bool:
        """Whether the graph is several networks: it has no weights to start from, and no layers of one network."""
        combination = self.manifest.get("combination")
        return isinstance(combination, dict) and combination.get("method") == ENSEMBLE

    @property
    def onnx(self) -> Path:
        """The fp32 graph."""
        return self.path / str(self.manifest["variants"][0]["file"])

    @property
    def golden(self) -> tuple[GoldenImage, ...]:
        """Images to replay at every load."""
        return tuple(
            GoldenImage(
                file=str(one["file"]),
                pixels_sha256=str(one["pixels_sha256"]),
                probabilities=tuple(float(probability) for probability in one["probabilities"]),
            )
            for one in self.manifest["golden"]
        )


def finish(folder: Path, manifest: dict[str, Any]) -> Package:
    """Complete a package: add the digests of its files to the manifest and write it, last."""
    digests = {
        str(path.relative_to(folder)): files.sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    complete = {**manifest, "schema_version": SCHEMA_VERSION, "files": digests}
    files.write_json(folder / MANIFEST, complete)
    return Package(path=folder, manifest=complete)


def assign_version(folder: Path, *, model: str, version: int) -> None:
    """Write the model and version that a package was published as into its manifest."""
    manifest = {**open_package(folder).manifest, "model": model, "version": version}
    files.write_json(folder / MANIFEST, manifest)


def is_shortage(error: Exception) -> bool:
    """Tell whether a file can't be read for what the process or the host lacks: no fault of the package."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def open_package(folder: Path) -> Package:
    """Read a package's manifest.

    Raises:
        DamagedPackage: there is none, it is damaged, or its schema is newer than this reader's.
        OSError: it can't be read right now, for want of file descriptors or memory.
    """
    try:
        manifest = files.read_json(folder / MANIFEST)
        newer = int(manifest["schema_version"]) > SCHEMA_VERSION
    except (OSError, ValueError, KeyError, TypeError) as error:
        if is_shortage(error):
            raise
        raise DamagedPackage(f"{MANIFEST} can't be read ({type(error).__name__})", reason="manifest") from error
    if newer:
        raise DamagedPackage(
            f"schema_version {manifest['schema_version']} is newer than {SCHEMA_VERSION}: upgrade", reason="manifest"
        )
    return Package(path=folder, manifest=manifest)


def verify(package: Package) -> None:
    """Compare every file with the digest in the manifest.

    Raises:
        DamagedPackage: a file is missing, changed, or named outside the package.
        OSError: as `open_package` does.
    """
    listed = package.manifest.get("files")
    if not isinstance(listed, dict) or str(package.onnx.relative_to(package.path)) not in listed:
        raise DamagedPackage(f"{MANIFEST} lists no model file", reason="manifest")
    for name, digest in listed.items():
        try:
            path = inside(package.path, name)
            actual = files.sha256_file(path)
        except OutsideFolder as error:
            raise DamagedPackage(f"{MANIFEST} names a file outside the package", reason="manifest") from error
        except OSError as error:
            if is_shortage(error):
                raise
            raise DamagedPackage(f"{name} can't be read") from error
        if actual != digest:
            raise DamagedPackage(f"{name} has changed since it was made: sha256 {actual[:12]}, not {digest[:12]}")
