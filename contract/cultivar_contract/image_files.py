"""What encoded bytes are, and what reading them would cost, seen before a decoder reads them.

A decoder's work follows from what a file says about itself, and a small file can say a lot. Pixels are counted from
the header; here is what else costs time or memory out of proportion to them.
"""

import re
import struct
from collections.abc import Iterator

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""Formats that are read, by their names in Pillow."""

MAX_SCANS = 64
"""Of a progressive JPEG, each of which goes over all its pixels; encoders write 10 or so."""
MAX_PARTS = 20_000
"""Segments of a JPEG's header, chunks of a PNG: each costs microseconds and some memory."""
MAX_EXIF_SEGMENTS = 64
"""Of a JPEG, 4 MB of them: Pillow joins each to all before it."""
MAX_FILLING = 1 << 20
"""Bytes between the segments of a JPEG's header, which Pillow reads one by one."""
MAX_STRIPS = 100_000
"""Strips or tiles of a TIFF: as above."""

_HEIF_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"crx ": "CR3 (raw)", b"qt  ": "QuickTime video"}
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"%PDF-", "PDF"),
    (b"%!PS", "PostScript"),
    (b"8BPS", "Photoshop"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\1\0", "ICO"),
    (b"v/1\1", "OpenEXR"),
    (b"\x1aE\xdf\xa3", "Matroska video"),
    (b"PK\3\4", "ZIP"),
    (b"\x1f\x8b", "gzip"),
    (b"DICM", "DICOM"),
)
_TEXTS = (
    (
        re.compile(rb"data:image/[\w.+-]+;base64,|/9j/[\w+/]{8}|iVBORw0KGgo|R0lGOD[\w+/]{2}|UklGR[\w+/]{8}"),
        "base64 text",
    ),
    (re.compile(rb"(?:<\?xml.{0,512}?|<!--.{0,512}?)?<(?:!DOCTYPE )?svg[\s/>]", re.DOTALL | re.IGNORECASE), "SVG"),
    (re.compile(rb"<(?:!doctype )?html[\s>]", re.IGNORECASE), "HTML"),
    (re.compile(rb"https?://\S"), "an address"),
)
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
_START_OF_SCAN, _END_OF_IMAGE, _APP1 = 0xDA, 0xD9, 0xE1
_STRIP_OFFSETS, _TILE_OFFSETS = 273, 324


def format_of(encoded: bytes) -> str | None:
    """Name the format of bytes by their beginning: one of FORMATS, another that people send, or None."""
    if encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP":
        return "WEBP"
    if encoded[4:8] == b"ftyp":
        brand = encoded[8:12]
        return _HEIF_BRANDS.get(brand, "HEIC" if brand in _HEIC_BRANDS else "MP4 video")
    for signature, name in _SIGNATURES:
        if encoded.startswith(signature):
            return name
    if encoded[128:132] == b"DICM":
        return "DICOM"
    start = encoded[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((name for pattern, name in _TEXTS if pattern.match(start)), None)


def excess(encoded: bytes) -> str | None:
    """Return what a file of one of FORMATS has too much of, such as `100 scans, more than 64`; None: nothing."""
    if encoded.startswith(b"\xff\xd8"):
        return _excess_of_jpeg(encoded)
    if encoded.startswith(b"\x89PNG"):
        chunks = sum(1 for _ in zip(_png_chunks(encoded), range(MAX_PARTS + 1), strict=False))
        return f"more than {MAX_PARTS} chunks" if chunks > MAX_PARTS else None
    if encoded[:2] in (b"II", b"MM"):
        strips = max(_counts_of_tiff(encoded), default=0)
        return f"{strips} strips, more than {MAX_STRIPS}" if strips > MAX_STRIPS else None
    return None


def _excess_of_jpeg(encoded: bytes) -> str | None:
    """Walk over the markers: to the first scan, or where it is progressive to the end."""
    parts, scans, exifs, filling, position, is_progressive = 0, 0, 0, 0, 2, False
    while marker := _JPEG_MARKER.search(encoded, position):
        if not scans:
            filling += marker.start() - position
        kind, position = encoded[marker.start() + 1], marker.end()
        if kind == _END_OF_IMAGE:
            break
        parts += 1
        if kind == _START_OF_SCAN:
            if not is_progressive:
                break
            scans += 1
        is_progressive |= kind in _PROGRESSIVE
        exifs += kind == _APP1 and encoded.startswith(b"Exif", position + 2)
        if scans > MAX_SCANS:
            return f"more than {MAX_SCANS} scans"
        if parts > MAX_PARTS:
            return f"more than {MAX_PARTS} segments"
        if exifs > MAX_EXIF_SEGMENTS:
            return f"more than {MAX_EXIF_SEGMENTS} segments of EXIF"
        if filling > MAX_FILLING:
            return f"{filling} bytes between its segments, more than {MAX_FILLING}"
        position += max(2, int.from_bytes(encoded[position : position + 2]))
    return None


def _png_chunks(encoded: bytes) -> Iterator[int]:
    position = 8
    while position + 12 <= len(encoded):
        yield position
        position += 12 + int.from_bytes(encoded[position : position + 4])


def _counts_of_tiff(encoded: bytes) -> Iterator[int]:
    """Give the number of strips and tiles that the first directory names, as Pillow reads it."""
    order = "<" if encoded.startswith(b"II") else ">"
    is_big = 43 in encoded[2:4]
    try:
        (start,) = struct.unpack_from(f"{order}{'Q' if is_big else 'L'}", encoded, 8 if is_big else 4)
        (entries,) = struct.unpack_from(f"{order}{'Q' if is_big else 'H'}", encoded, start)
        first, size = start + (8 if is_big else 2), 20 if is_big else 12
        for entry in range(min(entries, 65_535)):
            tag, _, count = struct.unpack_from(f"{order}HH{'Q' if is_big else 'L'}", encoded, first + entry * size)
            if tag in (_STRIP_OFFSETS, _TILE_OFFSETS):
                yield count
    except (struct.error, OverflowError):  # it ends early: Pillow will say so
        return
