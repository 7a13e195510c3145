"""Tar archives: members are read from where they lie; compressed ones are first turned into a plain one."""

import bz2
import gzip
import lzma
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cultivar_trainer.datasets.archives.members import Headers, Members, shown, too_large, unpacked_limit, unusable
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal

_BLOCK = tarfile.BLOCKSIZE
_PIECE_BYTES = 1 << 20
_MAX_HEADER_BYTES = 16 << 20
"""Of one member: headers may hold long names and more, which the library reads into memory."""
_MIN_FREE_BYTES = 500 << 20
_Compressed = gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile
_DECOMPRESSORS: dict[bytes, Callable[[Path], _Compressed]] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}
"""By an archive's first bytes."""
_KINDS = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
}
_DAMAGE = (tarfile.TarError, EOFError, ValueError, LookupError, OverflowError, RecursionError)
"""What the library raises where headers make no sense."""


@dataclass(frozen=True, slots=True)
class TarMember:
    """Where a file lies."""

    offset: int
    """Its first byte."""
    size: int
    """Bytes."""

    def read(self, archive: Path, path: str) -> bytes:
        """Return its bytes.

        Raises:
            TaskFailed: UNUSABLE_ARCHIVE; the archive is shorter than it was.
        """
        with archive.open("rb") as file:
            data = os.pread(file.fileno(), self.size, self.offset)
        if len(data) != self.size:
            raise unusable(f"{shown(path)} is cut off")
        return data


def plain_tar(archive: Path, first_bytes: bytes, scratch: Path, journal: Journal) -> Path:
    """Return an uncompressed tar: the archive itself, or what it decompresses to, in `scratch`.

    Raises:
        TaskFailed: UNUSABLE_ARCHIVE or INSUFFICIENT_DISK.
    """
    for magic, decompressor in _DECOMPRESSORS.items():
        if first_bytes.startswith(magic):
            scratch.mkdir(parents=True, exist_ok=True)
            plain = scratch / "archive.tar"
            with decompressor(archive) as source, plain.open("wb") as target:
                _decompress(source, target, unpacked_limit(archive.stat().st_size), journal)
            return plain
    return archive


def tar_members(archive: Path) -> Members:
    """Return what an uncompressed tar holds.

    Raises:
        TaskFailed: UNUSABLE_ARCHIVE.
    """
    members = Members(archive.stat().st_size)
    with Headers(archive, _MAX_HEADER_BYTES) as file:
        try:
            with tarfile.open(fileobj=file, mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
                while (member := tar.next()) is not None:
                    if tar.offset <= member.offset:  # its size is negative: the library would go round in circles
                        raise unusable(f"{shown(member.name)} has a size below zero")
                    _add(members, member)
                    tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all
                    file.start_afresh()
                end = tar.offset
        except _DAMAGE as error:
            raise unusable(f"it is cut off or damaged, or no tar or zip file at all ({error})") from error
    _check_end(archive, end)
    return members


def _add(members: Members, member: tarfile.TarInfo) -> None:
    if member.isdir():
        members.add_folder(member.name)
        return
    if member.issparse() or not member.isreg():
        kind = "a sparse file" if member.issparse() else _KINDS.get(member.type, f"of type {member.type!r}")
        raise unusable(f"{shown(member.name)} is {kind}", "pack files and folders only")
    members.add_file(member.name, TarMember(member.offset_data, member.size))


def _check_end(archive: Path, end: int) -> None:
    # The library takes whatever is no header for the end.
    with archive.open("rb") as file:
        file.seek(end)
        mark = file.read(_BLOCK)
        if len(mark) < _BLOCK or any(mark):
            raise unusable(f"it is cut off or damaged at byte {end}, where a header or the end mark is due")
        while piece := file.read(_PIECE_BYTES):
            if piece.count(0) != len(piece):
                raise unusable("something follows its end mark, such as another archive")


def _decompress(source: _Compressed, target: IO[bytes], max_bytes: int, journal: Journal) -> None:
    done = 0
    while piece := _piece(source):
        done += len(piece)
        if done > max_bytes:
            raise too_large(max_bytes)
        if shutil.disk_usage(target.name).free < _MIN_FREE_BYTES:
            raise TaskFailed("INSUFFICIENT_DISK", f"the disk is full after {done} unpacked bytes: delete something")
        target.write(piece)
        journal.progress("unpacking", done, 0, "bytes")


def _piece(source: _Compressed) -> bytes:
    try:
        return source.read(_PIECE_BYTES)
    except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        raise unusable(f"it is cut off or damaged ({error})") from error
