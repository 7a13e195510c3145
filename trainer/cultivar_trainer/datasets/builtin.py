"""The built-in data sets: drawn here, or downloaded."""

import gzip
import io
import pickle
import struct
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cultivar_trainer.datasets import procedural_flowers
from cultivar_trainer.datasets.download import download
from cultivar_trainer.datasets.folders import read_file
from cultivar_trainer.datasets.sources import Source, SourceImage, folder
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal

MNIST_VALIDATION_IMAGES = 5000
"""As of CIFAR-10, of which they are a tenth."""


def read_builtin(name: str, downloads: Path, scratch: Path, journal: Journal) -> Source:
    """Read a built-in data set, downloading or drawing it first.

    Args:
        name: `procedural-flowers`, `cifar10`, `flowers102` or `mnist`.
        downloads: folder that keeps archives.
        scratch: empty folder for drawn or unpacked files.
        journal: gets the progress.

    Raises:
        TaskFailed: unknown name, or the download failed.
    """
    match name:
        case "procedural-flowers":
            return _procedural_flowers(scratch)
        case "cifar10":
            return _cifar10(downloads, journal)
        case "flowers102":
            return _flowers102(downloads, scratch, journal)
        case "mnist":
            return _mnist(downloads, journal)
    raise TaskFailed("UNKNOWN_BUILTIN", f"{name!r} is unknown: use procedural-flowers, cifar10, flowers102 or mnist")


def _procedural_flowers(scratch: Path) -> Source:
    procedural_flowers.write_folder(scratch, images_per_species=procedural_flowers.IMAGES_PER_SPECIES)
    drawn = folder(scratch, None)
    names = {species.id: species.display_name for species in procedural_flowers.SPECIES}
    return Source(
        classes={class_id: names[class_id] for class_id in drawn.classes},
        images=drawn.images,
        splits=drawn.splits,
        protocol="as drawn",
    )


def _cifar10(downloads: Path, journal: Journal) -> Source:
    from torchvision.datasets import CIFAR10

    archive = download(
        CIFAR10.url, downloads / CIFAR10.filename, algorithm="md5", digest=CIFAR10.tgz_md5, journal=journal
    )
    names: list[str] = []
    images: list[SourceImage] = []
    for member, content in _tar_files(archive):
        if member.endswith("batches.meta"):
            names = [name.decode() for name in _unpickle(content)[b"label_names"]]
    for member, content in _tar_files(archive):
        base = member.rpartition("/")[2]
        if not base.startswith(("data_batch", "test_batch")):
            continue
        split = "test" if base.startswith("test") else "train"
        batch = _unpickle(content)
        pixels = batch[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        for row, label, name in zip(pixels, batch[b"labels"], batch[b"filenames"], strict=True):
            path = f"{split}/{names[label]}/{name.decode()}"
            images.append(SourceImage(path=path, class_id=names[label], split=split, read=partial(_to_bmp, row)))
    return Source(classes={name: name for name in names}, images=images, splits=("train", "test"), protocol="official")


def _flowers102(downloads: Path, scratch: Path, journal: Journal) -> Source:
    from scipy.io import loadmat
    from torchvision.datasets import Flowers102

    paths = {
        key: download(
            Flowers102._download_url_prefix + file, downloads / file, algorithm="md5", digest=md5, journal=journal
        )
        for key, (file, md5) in Flowers102._file_dict.items()
    }
    labels = loadmat(paths["label"], squeeze_me=True)["labels"]  # 1 to 102, one per image
    numbers = loadmat(paths["setid"], squeeze_me=True)
    split_of = {
        int(number): split
        for split, key in (("train", "trnid"), ("val", "valid"), ("test", "tstid"))
        for number in numbers[key]
    }
    with tarfile.open(paths["image"]) as archive:
        archive.extractall(scratch, filter="data")
    ids = [f"{number:03d}" for number in range(1, 103)]
    names = [name.rstrip("?") for name in Flowers102.classes]  # one is published with a question mark
    images = []
    for number in sorted(split_of):
        file = scratch / "jpg" / f"image_{number:05d}.jpg"
        class_id = ids[int(labels[number - 1]) - 1]
        path = f"{split_of[number]}/{class_id}/{file.name}"
        images.append(SourceImage(path=path, class_id=class_id, split=split_of[number], read=partial(read_file, file)))
    return Source(
        classes=dict(zip(ids, names, strict=True)),
        images=images,
        splits=("train", "val", "test"),
        protocol="official",
    )


def _mnist(downloads: Path, journal: Journal) -> Source:
    from torchvision.datasets import MNIST

    arrays = {
        file.removesuffix(".gz"): _read_idx(_from_a_mirror(MNIST.mirrors, file, md5, downloads / "mnist", journal))
        for file, md5 in MNIST.resources
    }
    names = {name[0]: name.rpartition(" ")[2] for name in MNIST.classes}  # `0 - zero`
    images = []
    for split, part in (("train", "train"), ("test", "t10k")):
        pixels, labels = arrays[f"{part}-images-idx3-ubyte"], arrays[f"{part}-labels-idx1-ubyte"]
        for number, (digit, label) in enumerate(zip(pixels, labels, strict=True)):
            path = f"{split}/{label}/{number:05d}.png"
            images.append(SourceImage(path=path, class_id=str(label), split=split, read=partial(_to_grey_png, digit)))
    return Source(
        classes=names,
        images=images,
        splits=("train", "test"),
        protocol="official",
        validation_images=MNIST_VALIDATION_IMAGES,
    )


def _from_a_mirror(mirrors: Sequence[str], file: str, md5: str, folder: Path, journal: Journal) -> Path:
    for mirror in mirrors[:-1]:
        try:
            return download(mirror + file, folder / file, algorithm="md5", digest=md5, journal=journal)
        except TaskFailed as error:
            journal.warning(f"{error.message}; trying the next mirror")
    return download(mirrors[-1] + file, folder / file, algorithm="md5", digest=md5, journal=journal)


def _read_idx(path: Path) -> NDArray[np.uint8]:
    """Read unsigned bytes in the IDX format: two zero bytes, a type, the number of dimensions, their extents, values.

    Raises:
        TaskFailed: DOWNLOAD_CORRUPT.
    """
    data = gzip.decompress(path.read_bytes())
    dimensions = data[3] if len(data) > 3 else 0
    start = 4 + 4 * dimensions
    shape = struct.unpack(f">{dimensions}I", data[4:start]) if len(data) >= start else ()
    values = np.frombuffer(data, np.uint8, offset=min(start, len(data)))
    if data[:3] != b"\0\0\x08" or values.size != np.prod(shape, dtype=np.int64):
        raise TaskFailed("DOWNLOAD_CORRUPT", f"{path.name} is no IDX file of unsigned bytes: remove it and try again")
    return values.reshape(shape)


def _to_grey_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode uint8 (H, W) as a PNG whose bytes no library decides: unfiltered rows in one stored block."""
    height, width = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    stored = struct.pack("<BHH", 1, len(rows), len(rows) ^ 0xFFFF)  # the last block, not compressed (RFC 1951)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", b"\x78\x01" + stored + rows + struct.pack(">I", zlib.adler32(rows))),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _to_bmp(pixels: NDArray[np.uint8]) -> bytes:
    """Encode uint8 (H, W, 3) without losing a bit, to the same bytes by every version of every library."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "BMP")
    return buffer.getvalue()


def _tar_files(archive: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member)
            if file is not None:
                yield member.name, file.read()


def _unpickle(content: bytes) -> dict[bytes, Any]:
    # The format that the data set is published in; the archive's md5 has been compared with torchvision's.
    return dict(pickle.loads(content, encoding="bytes"))
