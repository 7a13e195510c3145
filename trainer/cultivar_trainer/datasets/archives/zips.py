"""Zip archives: members are read from where they lie, each on its own."""

import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from cultivar_trainer.datasets.archives.members import Headers, Members, shown, unusable

_MAX_DIRECTORY_BYTES = 512 << 20
_MEMBER = struct.Struct("<4s22xHH")
"""What precedes a member's name: signature, ..., length of the name, length of what follows the name."""
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_DEFLATE_OVERHEAD_BYTES = 1 << 20
_KINDS = {stat.S_IFLNK: "a symbolic link", stat.S_IFIFO: "a pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
_DAMAGE = (zipfile.BadZipFile, NotImplementedError, struct.error, EOFError, ValueError, LookupError, OverflowError)
"""What the library raises where the directory makes no sense."""


@dataclass(frozen=True, slots=True)
class ZipMember:
    """Where a file lies, and what it unpacks to."""

    offset: int
    """First byte of its header."""
    packed_size: int
    """Bytes in the archive."""
    size: int
    """Bytes when unpacked."""
    crc: int
    """Of the unpacked bytes."""
    is_deflated: bool

    def read(self, archive: Path, path: str) -> bytes:
        """Return its bytes.

        Raises:
            TaskFailed: UNUSABLE_ARCHIVE; they are not what the archive's directory says.
        """
        with archive.open("rb") as file:
            file.seek(self.offset)
            header = file.read(_MEMBER.size)
            signature, name_size, extra_size = _MEMBER.unpack(header.ljust(_MEMBER.size, b"\0"))
            file.seek(self.offset + _MEMBER.size + name_size + extra_size)
            data = file.read(self.packed_size)
        if self.is_deflated:
            try:
                # One byte more than it may have tells whether there is more; a bomb gets no further.
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self.size + 1)
            except zlib.error as error:
                raise unusable(f"{shown(path)} is damaged ({error})") from error
        if signature != b"PK\x03\x04" or len(data) != self.size or zlib.crc32(data) != self.crc:
            raise unusable(f"{shown(path)} is damaged: its bytes are not those that the directory tells of")
        return data


def zip_members(archive: Path) -> Members:
    """Return what a zip holds.

    Raises:
        TaskFailed: UNUSABLE_ARCHIVE.
    """
    members = Members(archive.stat().st_size)
    with Headers(archive, _MAX_DIRECTORY_BYTES) as file:
        try:
            with zipfile.ZipFile(file) as opened:
                entries, end = opened.infolist(), opened.start_dir
        except _DAMAGE as error:
            raise unusable(f"it is cut off or damaged ({error})") from error
    for entry in entries:
        _add(members, entry)
    _check_overlaps(entries, end)
    return members


def _add(members: Members, entry: zipfile.ZipInfo) -> None:
    name = entry.orig_filename  # the other one ends at a NUL
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise unusable(f"{shown(name)} is {_KINDS.get(kind, 'no file')}", "pack files and folders only")
    if name.endswith("/"):
        members.add_folder(name)
        return
    if entry.flag_bits & _ENCRYPTED:
        raise unusable(f"{shown(name)} is encrypted", "pack it without a password")
    # Other methods unpack a few bytes to gigabytes before anybody can look.
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise unusable(f"{shown(name)} is packed by method {entry.compress_type}", "pack it stored or deflated")
    if entry.compress_size > entry.file_size + _DEFLATE_OVERHEAD_BYTES:
        raise unusable(f"{shown(name)} takes {entry.compress_size} bytes for {entry.file_size}")
    is_deflated = entry.compress_type == zipfile.ZIP_DEFLATED
    member = ZipMember(entry.header_offset, entry.compress_size, entry.file_size, entry.CRC, is_deflated)
    members.add_file(name, member)


def _check_overlaps(entries: list[zipfile.ZipInfo], end: int) -> None:
    """Check that members lie one after the other: bombs let many share their bytes.

    Raises:
        TaskFailed: UNUSABLE_ARCHIVE.
    """
    for entry in sorted(entries, key=lambda entry: entry.header_offset, reverse=True):
        if entry.header_offset < 0 or entry.header_offset + _MEMBER.size + entry.compress_size > end:
            raise unusable(f"{shown(entry.orig_filename)} overlaps what follows it, or is cut off")
        end = entry.header_offset
