"""Where images come from: folders, and the built-in data sets."""

import errno
import gzip
import io
import os
import pickle
import stat
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cultivar_contract import files, image_folder
from cultivar_trainer.datasets import procedural_flowers
from cultivar_trainer.datasets.download import download
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal

MAX_FILE_BYTES = 64 << 20
"""Larger image files are rejected by name."""
MNIST_VALIDATION_IMAGES = 5000
"""As of CIFAR-10, of which they are a tenth."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceImage:
    """One image before it is imported."""

    path: str
    """Relative to the source."""
    class_id: str
    split: str
    """`train`, `val`, `test`, or empty where the source says nothing."""
    read: Callable[[], bytes]
    """Returns the encoded bytes; may raise OSError."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A collection of images with its classes."""

    classes: dict[str, str]
    """Display name by class id, in label order."""
    images: list[SourceImage]
    splits: tuple[str, ...]
    """`train`, `val`, `test`: those that the source brings; empty where it brings none."""
    protocol: str
    """How the source splits its images: `official`, `as given`, or empty where it does not."""
    validation_images: int = 0
    """Training images, stratified, that become the validation split that the source does not bring; 0: a tenth."""


def folder(path: Path, class_names: Path | None) -> Source:
    """Read a folder of class folders, with or without train/, val/, test/.

    Raises:
        TaskFailed: UNUSABLE_FOLDER or UNUSABLE_CLASS_NAMES.
    """
    try:
        layout = image_folder.scan(path)
    except image_folder.UnusableFolder as error:
        raise TaskFailed("UNUSABLE_FOLDER", f"the folder can't be imported: {error}") from error
    if odd := [class_id for class_id in layout.class_ids if not is_text(class_id)]:
        shown = os.fsencode(odd[0]).decode(errors="backslashreplace")
        raise TaskFailed("UNUSABLE_FOLDER", f"the folder {shown} has a name that is no UTF-8: rename it")
    images = [
        SourceImage(path=file.relative_to(path).as_posix(), class_id=class_id, split=split, read=partial(_read, file))
        for split, root in layout.folders.items()
        for class_id in layout.class_ids
        if (root / class_id).is_dir() and not (root / class_id).is_symlink()
        for file in image_folder.images(root / class_id)
    ]
    names = _class_names(class_names) if class_names else {}
    return Source(
        classes={class_id: names.get(class_id, class_id) for class_id in layout.class_ids},
        images=images,
        splits=layout.splits,
        protocol="as given" if layout.splits else "",
    )


def builtin(name: str, downloads: Path, scratch: Path, journal: Journal) -> Source:
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


def is_text(name: str) -> bool:
    """Tell whether a file's name is UTF-8; Python keeps other bytes as lone surrogates, which can't be written."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


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
        images.append(SourceImage(path=path, class_id=class_id, split=split_of[number], read=partial(_read, file)))
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


def _read(file: Path) -> bytes:
    try:
        # NONBLOCK: opening a pipe would wait for a writer.
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError("is a link, and links are not followed") from error
        raise
    with os.fdopen(descriptor, "rb") as opened:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("is no regular file")
        if status.st_size > MAX_FILE_BYTES:
            raise OSError(f"has {status.st_size} bytes, more than {MAX_FILE_BYTES}")
        return opened.read(MAX_FILE_BYTES)


def _class_names(path: Path) -> dict[str, str]:
    try:
        names = files.read_json(path)
    except (OSError, ValueError) as error:
        raise TaskFailed("UNUSABLE_CLASS_NAMES", f"{path.name} can't be read as JSON: {error}") from error
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise TaskFailed("UNUSABLE_CLASS_NAMES", f'{path.name} is no JSON object {{"class id": "name"}}: make it one')
    return {str(class_id): name for class_id, name in names.items()}
