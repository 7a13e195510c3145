"""Pixels derived from images: decoded once, kept as uint8, shared by jobs, dropped when space is short."""

import hashlib
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cultivar_contract import derived, files, preprocessing
from cultivar_contract.preprocessing import Preprocessing
from cultivar_trainer.datasets.parallel import on_all_cores
from cultivar_trainer.datasets.version import DatasetVersion, Sample
from cultivar_trainer.journal import Journal

ASPECT_MARGIN = 1.15
"""Shorter side of images kept for random crops, in inputs."""


@dataclass(frozen=True, slots=True)
class PixelStore:
    """Images as the network sees them: uint8 (N, size, size, channels)."""

    images: NDArray[np.uint8]
    key: str
    """Identifies the pixels: equal keys, equal bytes."""


@dataclass(frozen=True, slots=True)
class AspectStore:
    """Images with their aspect ratio kept, one after the other."""

    pixels: NDArray[np.uint8]
    """Flat."""
    offsets: NDArray[np.int64]
    """Start of each image, (N,)."""
    shapes: NDArray[np.int64]
    """Height and width of each image, (N, 2)."""
    channels: int

    def image(self, index: int) -> NDArray[np.uint8]:
        """Return one image, uint8 (H, W, C)."""
        height, width = self.shapes[index]
        start = self.offsets[index]
        return self.pixels[start : start + height * width * self.channels].reshape(height, width, self.channels)


class Caches:
    """A folder of derived files under a size budget; the least recently used go first.

    What was found or filled through it is held as long as it lives: nobody removes it meanwhile.
    """

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self._folder = folder
        self._budget_bytes = budget_bytes
        self._held: list[int] = []
        folder.mkdir(parents=True, exist_ok=True)

    def __del__(self) -> None:
        """Let go of what was held."""
        for descriptor in self._held:
            os.close(descriptor)

    def find(self, key: str) -> Path | None:
        """Return the folder of a finished entry, and remember that it was used."""
        path = self._folder / key
        descriptor = derived.hold(path)
        if descriptor is None:
            return None
        self._held.append(descriptor)
        return path

    def entry(self, key: str) -> Path:
        """Return the folder of an entry that has just been filled."""
        return self._folder / key

    @contextmanager
    def filling(self, key: str, needed_bytes: int) -> Iterator[Path]:
        """Lend an empty folder that becomes the entry `key`, after older entries have made room for it.

        Where another job was faster, its entry stays; where filling fails, nothing stays.
        """
        self._make_room(needed_bytes)
        with derived.filling(self._folder) as path:
            yield path
            files.sync_tree(path)
            with suppress(OSError):
                path.rename(self._folder / key)
            self.find(key)

    def _make_room(self, needed_bytes: int) -> None:
        used = sum(entry.size_bytes for entry in derived.entries(self._folder))
        free = shutil.disk_usage(self._folder).free
        derived.make_room(self._folder, max(used + needed_bytes - self._budget_bytes, needed_bytes - free))


def create_array(path: Path, dtype: type[Any], shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    """Make a .npy file of zeros and map it; its space is taken at once, so that a full disk is an OSError here.

    Writing to a mapped page that the disk has no room for would kill the process instead.
    """
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    with path.open("rb+") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def pixel_store(
    dataset: DatasetVersion, samples: Sequence[Sample], spec: Preprocessing, caches: Caches, journal: Journal
) -> PixelStore:
    """Return exactly what `preprocessing.load` gives for each sample, from the cache where it is there."""
    geometry = f"{spec.size}-{spec.resize}-{spec.interpolation}-{spec.channels}"
    key = _key("pixels", f"{geometry}-{preprocessing.decoder(spec.version)}", samples)
    shape = (len(samples), spec.size, spec.size, spec.channels)
    path = caches.find(key)
    if path is None:
        with caches.filling(key, math.prod(shape)) as partial:
            images = create_array(partial / "images.npy", np.uint8, shape)
            decoded = on_all_cores(lambda sample: preprocessing.load(dataset.read(sample), spec), samples)
            for index, image in enumerate(decoded):
                images[index] = image
                journal.progress(f"decoding {samples[0].split}", index + 1, len(samples), "images")
            images.flush()
        path = caches.entry(key)
    # Copy-on-write: torch wants memory that it could write to, and the file must never change.
    return PixelStore(np.load(path / "images.npy", mmap_mode="c"), key)


def aspect_store(
    dataset: DatasetVersion, samples: Sequence[Sample], spec: Preprocessing, caches: Caches, journal: Journal
) -> AspectStore:
    """Return the samples with their aspect ratio kept and a shorter side of 1.15 times the input's size."""
    shorter_side = round(spec.size * ASPECT_MARGIN)
    key = _key("aspect", f"{shorter_side}-{spec.channels}-{preprocessing.decoder()}", samples)
    path = caches.find(key)
    if path is None:
        shapes = np.zeros((len(samples), 2), np.int64)
        with (
            caches.filling(key, int(len(samples) * shorter_side**2 * spec.channels * 4 / 3)) as partial,
            (partial / "pixels.bin").open("wb") as file,
        ):
            decoded = on_all_cores(
                lambda sample: preprocessing.load_with_aspect(dataset.read(sample), shorter_side, spec.channels),
                samples,
            )
            for index, image in enumerate(decoded):
                shapes[index] = image.shape[:2]
                file.write(image.tobytes())
                journal.progress("decoding for crops", index + 1, len(samples), "images")
            np.save(partial / "shapes.npy", shapes)
        path = caches.entry(key)
    shapes = np.load(path / "shapes.npy")
    ends = np.cumsum(shapes[:, 0] * shapes[:, 1] * spec.channels)
    offsets = np.concatenate([[0], ends[:-1]])
    return AspectStore(np.memmap(path / "pixels.bin", np.uint8, mode="c"), offsets, shapes, spec.channels)


def _key(kind: str, geometry: str, samples: Sequence[Sample]) -> str:
    digest = hashlib.sha256(f"{kind} {geometry}\n".encode())
    for sample in samples:
        digest.update(sample.sha256.encode())
    return f"{kind}-{digest.hexdigest()[:40]}"
