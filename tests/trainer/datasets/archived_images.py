"""Archives as tests make them: sound ones, and hostile ones."""

import io
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image


def jpeg(seed: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


FLOWERS = {
    f"{split}/{species}/{number}.jpg": jpeg(1000 * position + number)
    for position, (split, species) in enumerate(
        (split, species) for split in ("train", "val") for species in ("aster", "rose")
    )
    for number in range(4)
}
"""Content of a sound archive, by path."""


def tar(path: Path, files: dict[str, bytes], *, mode: str = "w", extra: Iterable[tarfile.TarInfo] = ()) -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            archive.addfile(entry(name, len(content)), io.BytesIO(content))
        for member in extra:
            archive.addfile(member, io.BytesIO(bytes(max(0, member.size))))
    return path


def entry(name: str, size: int = 0, **fields: object) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    for field, value in fields.items():
        setattr(member, field, value)
    return member


def zipped(path: Path, files: dict[str, bytes], *, extra: Iterable[zipfile.ZipInfo] = ()) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        for member in extra:
            archive.writestr(member, b"")
    return path


def zip_entry(name: str, mode: int = 0) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)
    member.external_attr = mode << 16
    return member


def edited(path: Path, edit: Callable[[bytearray], bytes | bytearray]) -> Path:
    path.write_bytes(edit(bytearray(path.read_bytes())))
    return path
