"""Images as people upload them: each kind drawn, with the upright sRGB picture that it is, or why it is refused."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

WIDTH, HEIGHT = 64, 48
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Kind:
    """A way in which images come."""

    name: str
    encoded: bytes
    expected: Pixels | None = None
    """Upright RGB (height, width, 3); None: it is refused."""
    reason: str = ""
    says: str = ""
    """Part of the refusal."""
    tolerance: float = 1.0
    """Mean difference of levels, by how lossy the format is."""


def encode(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def picture() -> Pixels:
    """Red grows to the right, green downwards: each of the eight orientations looks different."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:, :, 0] = np.linspace(0, 255, WIDTH)
    pixels[:, :, 1] = np.linspace(0, 255, HEIGHT)[:, None]
    pixels[:, :, 2] = 40
    return pixels


RGB = picture()
GREY = np.repeat(np.asarray(Image.fromarray(RGB).convert("L"))[:, :, None], 3, 2)
DEEP = np.linspace(0, 65535, WIDTH * HEIGHT).round().astype(np.uint16).reshape(HEIGHT, WIDTH)
"""16 bits of grey."""
DEEP_RGB = np.repeat((DEEP / 257).round().astype(np.uint8)[:, :, None], 3, 2)
ALPHA = np.linspace(0, 255, WIDTH).round().astype(np.uint8)[None].repeat(HEIGHT, 0)


def on_white(pixels: Pixels, alpha: Pixels = ALPHA) -> Pixels:
    share = alpha[:, :, None] / 255
    return (pixels * share + 255 * (1 - share)).round().astype(np.uint8)


def png(depth: int, colour_type: int, rows: NDArray[np.generic], *chunks: tuple[bytes, bytes]) -> bytes:
    """Write a PNG whose rows are given as bytes or as numbers of 16 bits."""
    rows = rows.astype(rows.dtype.newbyteorder(">"))
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return png_file(WIDTH, len(rows), depth, colour_type, body, *chunks)


def png_file(width: int, height: int, depth: int, colour_type: int, body: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    parts = ((b"IHDR", header), *chunks, (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def bmp(depth: int, rows: bytes, *, height: int = HEIGHT) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, WIDTH, height, 1, depth, 0, len(rows), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(rows), 0, 0, 54) + header + rows


def tiff(entries: list[tuple[int, int, int, int]], data: bytes) -> bytes:
    """Write a TIFF of (tag, type, count, value or offset into the data)."""
    start = 8 + 2 + 12 * len(entries) + 4
    sizes = {1: 1, 3: 2, 4: 4}
    packed = b"".join(
        struct.pack("<HHII", tag, kind, count, value + (start if tag in (273, 324) or count * sizes[kind] > 4 else 0))
        for tag, kind, count, value in entries
    )
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + b"\0" * 4 + data


def with_tag(encoded: bytes, tag: int, value: int) -> bytes:
    """Return a TIFF of Pillow's with another value in a tag of one SHORT."""
    changed = bytearray(encoded)
    (start,) = struct.unpack_from("<I", changed, 4)
    for entry in range(struct.unpack_from("<H", changed, start)[0]):
        if struct.unpack_from("<H", changed, start + 2 + 12 * entry)[0] == tag:
            struct.pack_into("<H", changed, start + 10 + 12 * entry, value)
    return bytes(changed)


def with_size(jpeg: bytes, width: int, height: int) -> bytes:
    """Return a JPEG that claims another size."""
    frame = jpeg.index(b"\xff\xc0")
    return jpeg[: frame + 5] + struct.pack(">HH", height, width) + jpeg[frame + 9 :]


def without_segments(jpeg: bytes, *markers: int) -> bytes:
    """Return a JPEG without some segments of its header."""
    kept, position = jpeg[:2], 2
    while jpeg[position + 1] != 0xDA:
        length = 2 + int.from_bytes(jpeg[position + 2 : position + 4])
        if jpeg[position + 1] not in markers:
            kept += jpeg[position : position + length]
        position += length
    return kept + jpeg[position:]


def ycck() -> bytes:
    """What Photoshop saves for print: CMYK, its inks as luma and chroma, all inverted, which Adobe's segment tells."""
    cmyk = np.asarray(Image.fromarray(RGB).convert("CMYK"))
    inks = np.asarray(Image.fromarray(cmyk[:, :, :3]).convert("YCbCr"))
    stored = np.dstack([255 - inks, cmyk[:, :, 3]])  # Pillow inverts once more
    jpeg = encode(Image.fromarray(stored, "CMYK"), "JPEG", quality=95)
    adobe = jpeg.index(b"Adobe")
    return jpeg[: adobe + 11] + b"\2" + jpeg[adobe + 12 :]


def rotated() -> Iterator[Kind]:
    lying = {
        1: RGB,
        2: RGB[:, ::-1],
        3: RGB[::-1, ::-1],
        4: RGB[::-1],
        5: RGB.transpose(1, 0, 2),
        6: np.rot90(RGB),
        7: RGB[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(RGB, -1),
    }
    for format, options in (("JPEG", {"quality": 95}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})):
        for orientation, pixels in lying.items():
            exif = Image.Exif()
            exif[0x0112] = orientation
            stored = Image.fromarray(np.ascontiguousarray(pixels))
            yield Kind(f"{format}-orientation-{orientation}", encode(stored, format, exif=exif, **options), RGB)


def photographs() -> Iterator[Kind]:
    image, red = Image.fromarray(RGB), Image.new("RGB", (WIDTH, HEIGHT), "red")
    jpeg = encode(image, "JPEG", quality=95)
    yield Kind("JPEG-progressive", encode(image, "JPEG", quality=95, progressive=True), RGB)
    yield Kind("JPEG-grey", encode(image.convert("L"), "JPEG", quality=95), GREY)
    yield Kind("JPEG-CMYK-of-Adobe", encode(image.convert("CMYK"), "JPEG", quality=95), RGB)
    unmarked = without_segments(encode(image.convert("CMYK"), "JPEG", quality=95), 0xEE)
    yield Kind("JPEG-CMYK-unmarked", unmarked, RGB)
    yield Kind("JPEG-YCCK", ycck(), RGB, tolerance=2)
    yield Kind("JPEG-of-a-video-without-its-tables", without_segments(encode(image, "JPEG"), 0xC4), RGB, tolerance=2)
    yield Kind("JPEG-frames-in-a-row", jpeg + encode(red, "JPEG"), RGB)
    yield Kind("MPO-of-two-lenses", encode(image, "MPO", quality=95, save_all=True, append_images=[red]), RGB)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    yield Kind("JPEG-profile-sRGB", encode(image, "JPEG", quality=95, icc_profile=profile), RGB)
    yield Kind("PNG-profile-damaged", encode(image, icc_profile=b"no profile"), RGB)
    broken_exif = b"Exif\0\0II*\0\x08\0\0\0\x20\0\x12\x01\x03\0\xff\xff\xff\xff"
    yield Kind("JPEG-EXIF-damaged", encode(image, "JPEG", quality=95, exif=broken_exif), RGB)
    yield Kind("JPEG-with-a-wrong-name", jpeg, RGB)  # names are not looked at
    yield Kind("JPEG-with-bytes-behind-it", jpeg + b"\0" * 100, RGB)
    yield Kind("WEBP-lossy", encode(image, "WEBP", quality=95), RGB, tolerance=3)
    yield Kind("WEBP-alpha", encode(Image.fromarray(np.dstack([RGB, ALPHA])), "WEBP", lossless=True), on_white(RGB))
    one = np.full((1, 1, 3), (200, 30, 10), np.uint8)
    yield Kind("1x1", encode(Image.fromarray(one)), one)
    long = np.tile(RGB[:20], (1, 188, 1))[:, :12_000]
    yield Kind("12000x20", encode(Image.fromarray(long)), long)


def animations() -> Iterator[Kind]:
    image, red = Image.fromarray(RGB), Image.new("RGB", (WIDTH, HEIGHT), "red")
    more = {"save_all": True, "append_images": [red]}
    yield Kind("GIF-animated", encode(image, "GIF", **more), RGB, tolerance=4)
    yield Kind("WEBP-animated", encode(image, "WEBP", lossless=True, **more), RGB)
    yield Kind("APNG", encode(image, **more), RGB)
    yield Kind("APNG-with-a-still", encode(image, default_image=True, **more), RGB)
    yield Kind("TIFF-of-two-pages", encode(image, "TIFF", **more), RGB)


def depths() -> Iterator[Kind]:
    image, grey = Image.fromarray(RGB), Image.fromarray(RGB).convert("L")
    deep = Image.fromarray(DEEP)
    yield Kind("PNG-16-bit-grey", encode(deep), DEEP_RGB)
    yield Kind("PNG-16-bit-RGB", png(16, 2, np.repeat(DEEP[:, :, None], 3, 2)), DEEP_RGB)
    opaque = np.full_like(DEEP, 65535)
    yield Kind("PNG-16-bit-grey-alpha", png(16, 4, np.dstack([DEEP, opaque])), DEEP_RGB)
    yield Kind("PNG-16-bit-RGB-alpha", png(16, 6, np.dstack([DEEP, DEEP, DEEP, opaque])), DEEP_RGB)
    seen_through = np.where(DEEP[:, :, None] == 0, np.uint8(255), DEEP_RGB)
    yield Kind("PNG-16-bit-transparent-black", png(16, 0, DEEP, (b"tRNS", b"\0\0")), seen_through, tolerance=0.01)
    yield Kind("TIFF-16-bit", encode(deep, "TIFF"), DEEP_RGB)
    inverted = with_tag(encode(Image.fromarray(65535 - DEEP), "TIFF"), 262, 0)
    yield Kind("TIFF-16-bit-white-is-zero", inverted, DEEP_RGB)
    yield Kind("TIFF-32-bit-of-16", encode(Image.fromarray(DEEP.astype(np.int32)), "TIFF"), DEEP_RGB)
    floats = (DEEP / 65535).astype(np.float32)
    yield Kind("TIFF-float-to-1", encode(Image.fromarray(floats), "TIFF"), DEEP_RGB)
    yield Kind("TIFF-float-to-255", encode(Image.fromarray(floats * 255), "TIFF"), DEEP_RGB)
    yield Kind("TIFF-float-to-65535", encode(Image.fromarray(floats * 65535), "TIFF"), DEEP_RGB)
    for name, number in (("huge", 1e9), ("NaN", np.nan), ("infinite", np.inf)):
        odd = floats.copy()
        odd[0, 0] = number
        yield Kind(
            f"TIFF-float-{name}", encode(Image.fromarray(odd), "TIFF"), reason="UNSUPPORTED_PIXELS", says="8 or 16 bits"
        )
    yield Kind("TIFF-CMYK", encode(image.convert("CMYK"), "TIFF"), RGB)
    yield Kind("TIFF-JPEG", encode(image, "TIFF", compression="jpeg", quality=95), RGB, tolerance=3)
    black_and_white = np.where(GREY >= 128, np.uint8(255), np.uint8(0))
    bilevel = Image.fromarray(black_and_white[:, :, 0]).convert("1", dither=Image.Dither.NONE)
    for format in ("PNG", "TIFF", "BMP"):
        yield Kind(f"{format}-1-bit", encode(bilevel, format), black_and_white)
        yield Kind(f"{format}-grey", encode(grey, format), GREY)
    yield Kind("PNG-2-bit", png(2, 0, np.full((HEIGHT, WIDTH // 4), 0b01_01_01_01, np.uint8)), np.full_like(RGB, 85))
    yield Kind("TIFF-fax", encode(bilevel, "TIFF", compression="group4"), black_and_white)


def transparency() -> Iterator[Kind]:
    image = Image.fromarray(RGB)
    few = image.quantize(16)
    indices, colours = np.asarray(few), np.array(few.getpalette()[:48], np.uint8).reshape(16, 3)
    shades = np.linspace(0, 255, 16).round().astype(np.uint8)
    yield Kind("PNG-palette", encode(few), colours[indices], tolerance=0)
    yield Kind("GIF-palette", encode(few, "GIF"), colours[indices], tolerance=0)
    yield Kind("BMP-palette", encode(few, "BMP"), colours[indices], tolerance=0)
    holes = on_white(colours[indices], np.where(indices == 3, np.uint8(0), np.uint8(255)))
    yield Kind("PNG-palette-transparent-colour", encode(few, transparency=3), holes)
    yield Kind("GIF-transparent-colour", encode(few, "GIF", transparency=3), holes)
    yield Kind(
        "PNG-palette-alpha", encode(few, transparency=shades.tobytes()), on_white(colours[indices], shades[indices])
    )
    grey = Image.fromarray(GREY[:, :, 0])
    grey.putalpha(Image.fromarray(ALPHA))
    yield Kind("PNG-grey-alpha", encode(grey), on_white(GREY))
    yield Kind("PNG-RGB-alpha", encode(Image.fromarray(np.dstack([RGB, ALPHA]))), on_white(RGB))
    corner = RGB.copy()
    corner[(RGB[0, 0] == RGB).all(2)] = 255
    key = struct.pack(">HHH", *RGB[0, 0].tolist())
    yield Kind("PNG-RGB-transparent-colour", png(8, 2, RGB, (b"tRNS", key)), corner, tolerance=0)


def bitmaps() -> Iterator[Kind]:
    upwards = RGB[::-1].astype(np.uint16)
    fives = ((upwards[:, :, 0] >> 3) << 10) | ((upwards[:, :, 1] >> 3) << 5) | (upwards[:, :, 2] >> 3)
    yield Kind("BMP-15-bit", bmp(16, fives.astype("<u2").tobytes()), RGB, tolerance=4)
    yield Kind("BMP-from-the-top", bmp(24, RGB[:, :, ::-1].tobytes(), height=-HEIGHT), RGB, tolerance=0)
    unused = np.dstack([RGB[::-1, :, ::-1], np.zeros((HEIGHT, WIDTH), np.uint8)])
    yield Kind("BMP-32-bit-without-alpha", bmp(32, unused.tobytes()), RGB, tolerance=0)
    yield Kind("BMP-64-bit", bmp(64, b"\0" * (8 * WIDTH * HEIGHT)), reason="CORRUPT_IMAGE", says="the BMP image")


def damaged() -> Iterator[Kind]:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))
    yield Kind("empty", b"", reason="EMPTY_IMAGE", says="0 bytes")
    for format in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        whole = encode(noise, format)
        yield Kind(f"{format}-cut", whole[: len(whole) * 2 // 3], reason="CORRUPT_IMAGE", says=f"the {format} image")
        yield Kind(f"{format}-cut-early", whole[:14], reason="CORRUPT_IMAGE", says=f"the {format} image")


def claims() -> Iterator[Kind]:
    """Small files that claim to be large."""
    jpeg = encode(Image.fromarray(RGB), "JPEG")
    huge = encode(Image.new("L", (1, 1)), "BMP")
    yield Kind("JPEG-of-65000x65000", with_size(jpeg, 65_000, 65_000), reason="TOO_MANY_PIXELS", says="4225000000")
    yield Kind("JPEG-of-9000x9000", with_size(jpeg, 9_000, 9_000), reason="TOO_MANY_PIXELS", says="9000 x 9000")
    yield Kind("BMP-of-9000x9000", huge[:18] + struct.pack("<ii", 9_000, 9_000) + huge[26:], reason="TOO_MANY_PIXELS")
    tags = [(256, 4, 1, 10), (257, 4, 1, 10), (258, 3, 1, 8), (259, 3, 1, 5), (262, 3, 1, 1), (277, 3, 1, 1)]
    tile = [*tags, (322, 4, 1, 40_000), (323, 4, 1, 40_000), (324, 4, 1, 0), (325, 4, 1, 50)]
    yield Kind("TIFF-tile-of-40000x40000", tiff(tile, b"\x80" * 50), reason="TOO_MANY_PIXELS", says="smaller tiles")
    strips = 200_000
    many = [*tags[:1], (257, 4, 1, strips), *tags[2:], (278, 4, 1, 1), (273, 3, strips, 0), (279, 3, strips, 0)]
    yield Kind(
        "TIFF-of-200000-strips", tiff(many, b"\1\0" * strips), reason="TOO_MUCH_WORK", says="200000 strips, more than"
    )
    progressive = encode(Image.fromarray(RGB), "JPEG", progressive=True)
    last = progressive.rindex(b"\xff\xda")
    scans = progressive[:last] + progressive[last:-2] * 100 + b"\xff\xd9"
    yield Kind("JPEG-of-100-scans", scans, reason="TOO_MUCH_WORK", says="more than 64 scans")
    yield Kind(
        "JPEG-of-30000-comments",
        jpeg[:2] + b"\xff\xfe\0\2" * 30_000 + jpeg[2:],
        reason="TOO_MUCH_WORK",
        says="segments",
    )
    exif = b"\xff\xe1" + struct.pack(">H", 1008) + b"Exif\0\0" + bytes(1000)
    yield Kind(
        "JPEG-of-100-EXIFs", jpeg[:2] + exif * 100 + jpeg[2:], reason="TOO_MUCH_WORK", says="more than 64 segments of"
    )
    yield Kind(
        "JPEG-of-filling",
        jpeg[:2] + b"\xff" * (2 << 20) + jpeg[2:],
        reason="TOO_MUCH_WORK",
        says="between its segments",
    )
    empty = struct.pack(">I", 0) + b"abCd" + struct.pack(">I", zlib.crc32(b"abCd"))
    whole = encode(Image.fromarray(RGB))
    yield Kind("PNG-of-30000-chunks", whole[:33] + empty * 30_000 + whole[33:], reason="TOO_MUCH_WORK", says="chunks")


def foreign() -> Iterator[Kind]:
    """What is no image, or of a format that is not read; the refusal names it where it can be told."""
    image = Image.fromarray(RGB)
    samples = {
        "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64),
        "AVIF": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(64),
        "JPEG XL": b"\xff\x0a" + bytes(64),
        "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(64),
        "SVG": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
        "PDF": b"%PDF-1.7\n",
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n",
        "Photoshop": b"8BPS\0\1" + bytes(64),
        "ICO": encode(image, "ICO"),
        "MP4 video": b"\0\0\0\x20ftypisom" + bytes(64),
        "ZIP": b"PK\3\4" + bytes(64),
        "HTML": b"<!DOCTYPE html><title>404 Not Found</title>",
        "base64 text": b"/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRofHh0aHBwgJC4nICIs",
        "an address": b"https://example.org/rose.jpg",
        "no image": b"just words",
    }
    for name, encoded in samples.items():
        says = name if name == "no image" else f"look like {name}"
        yield Kind(name.replace(" ", "-"), encoded, reason="UNKNOWN_IMAGE_FORMAT", says=says)


KINDS = (
    *rotated(),
    *photographs(),
    *animations(),
    *depths(),
    *transparency(),
    *bitmaps(),
    *damaged(),
    *claims(),
    *foreign(),
)
