"""Finds image files and groups them into requests that a service accepts."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from cultivar_client.channel import MESSAGE_LIMIT_BYTES

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}

IMAGES_PER_REQUEST = 16
REQUEST_BYTES = 8 * 1024 * 1024
# A request also holds the model's name and a few bytes around the image.
LARGEST_IMAGE_BYTES = MESSAGE_LIMIT_BYTES - 64 * 1024


def find_images(paths: Iterable[Path]) -> list[Path]:
    """Returns the files among `paths` as they are, and in place of each folder the images below it, sorted.

    Raises FileNotFoundError for a path that does not exist.
    """
    images: list[Path] = []
    for path in paths:
        if path.is_dir():
            images.extend(
                sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
            )
        elif path.exists():
            images.append(path)
        else:
            raise FileNotFoundError(f"{path} does not exist")
    return images


def batches(sizes_bytes: Iterable[int]) -> Iterator[list[int]]:
    """Yields positions of images, in order, in groups that fit a request; one that is larger goes alone."""
    batch: list[int] = []
    batch_bytes = 0
    for position, size_bytes in enumerate(sizes_bytes):
        if batch and (len(batch) == IMAGES_PER_REQUEST or batch_bytes + size_bytes > REQUEST_BYTES):
            yield batch
            batch, batch_bytes = [], 0
        batch.append(position)
        batch_bytes += size_bytes
    if batch:
        yield batch
