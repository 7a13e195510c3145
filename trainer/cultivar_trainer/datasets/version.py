"""A data set version on disk: the original bytes in one file, an index of them, and the facts about them."""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cultivar_contract import dataset_files, files

SPLITS = ("train", "val", "test")
_INDEX, _IMAGES, _FACTS = "index.jsonl", "images.pack", "dataset.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One image of a version."""

    path: str
    """Relative to the source."""
    label: int
    """Position of its class."""
    split: str
    """`train`, `val` or `test`."""
    sha256: str
    """Of the encoded bytes, in hexadecimal."""
    offset: int
    """Byte of the pack at which it starts."""
    size: int
    """Bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetClass:
    """One class of images."""

    id: str
    display_name: str


class DatasetVersion:
    """Reads one version; its images are read on demand."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        facts = files.read_json(folder / _FACTS)
        self.classes = tuple(DatasetClass(**one) for one in facts["classes"])
        self.digest = str(facts["digest"])
        self.split_protocol = str(facts["split_protocol"])
        with (folder / _INDEX).open() as lines:
            self.samples = tuple(Sample(**json.loads(line)) for line in lines)
        self._descriptor = os.open(folder / _IMAGES, os.O_RDONLY | os.O_CLOEXEC)

    def read(self, sample: Sample) -> bytes:
        """Return an image's encoded bytes; safe to call from several threads."""
        return os.pread(self._descriptor, sample.size, sample.offset)

    def report(self) -> dict[str, Any] | None:
        """Return what its import found, a DatasetReport as proto JSON; None where an older release imported it."""
        try:
            report: dict[str, Any] = files.read_json(self._folder / dataset_files.REPORT)
        except FileNotFoundError:
            return None
        return report

    def __enter__(self) -> "DatasetVersion":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


class Pack:
    """Collects the encoded images of a version that is being made."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._file = (folder / _IMAGES).open("w+b")
        self._offset = 0

    def __enter__(self) -> "Pack":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, encoded: bytes) -> int:
        """Append an image and return the byte at which it starts."""
        start = self._offset
        self._file.write(encoded)
        self._offset += len(encoded)
        return start

    def read(self, sample: Sample) -> bytes:
        """Return the bytes of an image that was added; safe to call from several threads while none is added."""
        self._file.flush()
        return os.pread(self._file.fileno(), sample.size, sample.offset)

    def finish(self, classes: Sequence[DatasetClass], samples: Sequence[Sample], split_protocol: str) -> str:
        """Write index and facts, flush all to disk, and return the version's digest."""
        self._file.close()
        digest = version_digest(classes, samples)
        with (self._folder / _INDEX).open("w") as index:
            index.writelines(json.dumps(asdict(sample)) + "\n" for sample in samples)
        facts: dict[str, Any] = {
            "schema_version": 1,
            "digest": digest,
            "classes": [asdict(one) for one in classes],
            "split_protocol": split_protocol,
        }
        files.write_json(self._folder / _FACTS, facts)
        files.sync_tree(self._folder)
        return digest


def version_digest(classes: Sequence[DatasetClass], samples: Iterable[Sample]) -> str:
    """Return the sha256 over sorted (path, file digest, label, split) and the classes: no decoder takes part."""
    digest = hashlib.sha256()
    for row in sorted((one.path, one.sha256, one.label, one.split) for one in samples):
        digest.update(json.dumps(row).encode() + b"\n")
    for one in classes:
        digest.update(json.dumps([one.id, one.display_name]).encode() + b"\n")
    return digest.hexdigest()


def split_digest(samples: Iterable[Sample]) -> str:
    """Return the sha256 over the sorted file digests and labels of some images: equal where the images are."""
    digest = hashlib.sha256()
    for row in sorted((one.sha256, one.label) for one in samples):
        digest.update(f"{row[0]} {row[1]}\n".encode())
    return digest.hexdigest()


def class_counts(samples: Iterable[Sample], num_classes: int) -> list[int]:
    """Return how many of the images each class has."""
    counts = [0] * num_classes
    for sample in samples:
        counts[sample.label] += 1
    return counts


def by_split(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    """Return the images of each split that has some."""
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.split, []).append(sample)
    return {split: found[split] for split in SPLITS if split in found}


def label_order(samples: Sequence[Sample]) -> list[int]:
    """Return positions of images sorted by label, then path."""
    return sorted(range(len(samples)), key=lambda position: (samples[position].label, samples[position].path))
