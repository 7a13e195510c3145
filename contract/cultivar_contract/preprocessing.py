"""Encoded image to pixels: the one implementation that training, validation and serving share."""

import functools
import io
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from cultivar_contract import image_files
from cultivar_contract.image_files import FORMATS

try:
    import cykooz_resizer as simd
except ImportError:  # a trainer can do without it
    simd = None

NEWEST_VERSION = 2
"""1: Pillow decodes and resizes. 2: cykooz_resizer resizes, with SIMD: some times as fast, at most two levels off."""
VERSION = NEWEST_VERSION if simd else 1
"""How this installation makes new packages' pixels. Changes whenever the same bytes would give other pixels.

Not for bytes whose pixels meant nothing before, which were put right without a new version: floating-point numbers
from 0 to 1 (they came out black), 16 bits of grey with white as zero, PNGs of 16 bits or of RGB with a transparent
colour. Golden images tell where a package was made with some.
"""

MAX_IMAGE_PIXELS = 80_000_000
"""Larger images are refused from their header, before a pixel is decoded.

Decoding takes up to 16 bytes for each pixel, which WebP needs; most formats take 4 to 8.
"""
MAX_LARGE_PIXELS = MAX_IMAGE_PIXELS
"""Large images that are decoded at a time have no more pixels together: one of 80 million, or four of 20."""
LARGE_PIXELS = 4_000_000
"""Images up to this size are decoded without waiting for others."""
_MAX_RESIZE = 8192
"""Pixels that a manifest may have a shorter side resized to."""
_STRIP_PIXELS = 1 << 20
"""Pixels that are converted at a time, so that no step takes a second copy of a large image."""
MAX_ASPECT_RATIO = 3.0
"""Training images longer than this are cut to it around their centre, so that one panorama can't fill a store."""

Pixels = NDArray[np.uint8]
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By EXIF's orientation."""
_PHOTOMETRIC, _TILE_SIDES = 262, (322, 323)
"""Tags of TIFF."""
_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


class UnreadableImage(ValueError):
    """An image that can't be classified or learnt from."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        """UPPER_SNAKE_CASE, stable.

        EMPTY_IMAGE, UNKNOWN_IMAGE_FORMAT, UNSUPPORTED_PIXELS, TOO_MANY_PIXELS, TOO_MUCH_WORK or CORRUPT_IMAGE.
        """


@functools.cache
def decoder(version: int = VERSION) -> str:
    """Name the libraries that a version's pixels are made with here."""
    names = [f"Pillow {metadata.version('pillow')}", f"libjpeg-turbo {features.version('libjpeg_turbo')}"]
    if version >= 2 and simd:
        names.append(f"cykooz_resizer {metadata.version('cykooz_resizer')}")
    return ", ".join(names)


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocessing:
    """How an image becomes a network's input."""

    size: int
    """Height and width of the input in pixels."""
    resize: int
    """Length in pixels that the shorter side gets before the centre is cut out."""
    interpolation: str
    """`bilinear` or `bicubic`, both antialiased."""
    mean: tuple[float, ...]
    """Subtracted from each channel, which is 0 to 1. Applied inside the exported graph."""
    std: tuple[float, ...]
    """Divides each channel after that. Applied inside the exported graph."""
    channels: int = 3
    """3: red, green, blue. 1: grey, as ITU-R 601-2 weighs them."""
    version: int = VERSION
    """Which of this module's ways the pixels come from."""
    decoder: str = field(default_factory=decoder)
    """Libraries that made the pixels, with their versions; empty in packages older than this field."""

    def to_json(self) -> dict[str, Any]:
        """Return the manifest's form."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Preprocessing":
        """Read the manifest's form; fields of newer writers are ignored.

        Raises:
            KeyError, TypeError, ValueError: a field is missing, of another type, or no such value can be.
        """
        found = cls(
            size=int(value["size"]),
            resize=int(value["resize"]),
            interpolation=str(value["interpolation"]),
            mean=_floats(value["mean"]),
            std=_floats(value["std"]),
            channels=int(value.get("channels", 3)),
            version=int(value["version"]),
            decoder=str(value.get("decoder", "")),
        )
        if not 1 <= found.size <= found.resize <= _MAX_RESIZE or found.channels not in (1, 3):
            raise ValueError(f"no image becomes {found.size} pixels of {found.resize}, {found.channels} channels")
        if found.interpolation not in _RESAMPLING:
            raise ValueError(f"interpolation {found.interpolation!r}")
        return found


class NoRoom(Exception):
    """A large image has to wait for others."""


def load(encoded: bytes, preprocessing: Preprocessing, *, wait: bool = True) -> Pixels:
    """Return an image as the network sees it: uint8 (size, size, channels), RGB or grey.

    Raises:
        UnreadableImage: the bytes are no image that we read.
        NoRoom: it is large, others are being decoded, and the caller would not `wait` for them.
    """
    with _decoded(encoded, preprocessing.resize, wait=wait) as decoded:
        image = _channels(decoded, preprocessing.channels)
        width, height = image.size
        scale = preprocessing.resize / min(width, height)
        resized = (max(preprocessing.resize, int(width * scale)), max(preprocessing.resize, int(height * scale)))
        size = preprocessing.size
        left, top = round((resized[0] - size) / 2), round((resized[1] - size) / 2)
        to_source = (width / resized[0], height / resized[1])
        # Only the crop's box is resampled: resizing first and cutting afterwards does the same work on more pixels.
        box = (
            left * to_source[0],
            top * to_source[1],
            min((left + size) * to_source[0], width),
            min((top + size) * to_source[1], height),
        )
        return _pixels(_resize(image, (size, size), preprocessing.interpolation, box, preprocessing.version))


def load_with_aspect(encoded: bytes, shorter_side: int, channels: int) -> Pixels:
    """Return an image for random crops: uint8 (height, width, channels), its shorter side `shorter_side` pixels long.

    Raises:
        UnreadableImage: the bytes are no image that we read.
    """
    with _decoded(encoded, shorter_side) as decoded:
        image = _channels(decoded, channels)
        width, height = image.size
        longest = int(MAX_ASPECT_RATIO * min(width, height))
        box = (
            max(0, (width - longest) // 2),
            max(0, (height - longest) // 2),
            min(width, (width - longest) // 2 + longest) if width > longest else width,
            min(height, (height - longest) // 2 + longest) if height > longest else height,
        )
        scale = shorter_side / min(width, height)
        resized = (
            max(shorter_side, round((box[2] - box[0]) * scale)),
            max(shorter_side, round((box[3] - box[1]) * scale)),
        )
        return _pixels(_resize(image, resized, "bilinear", box, VERSION))


def decode(encoded: bytes, *, shorter_side: int | None = None) -> Image.Image:
    """Return an upright RGB image; of an animation the first frame.

    Args:
        encoded: a file's bytes in one of FORMATS.
        shorter_side: length in pixels that the caller will resize to. Large JPEGs are then decoded at half, a quarter
            or an eighth of their size, yet never below twice this length.

    Raises:
        UnreadableImage: the bytes are no image that we read.
    """
    with _decoded(encoded, shorter_side) as image:
        return image


@contextmanager
def _decoded(encoded: bytes, shorter_side: int | None, *, wait: bool = True) -> Iterator[Image.Image]:
    """Decode an image as `decode` does; a large one takes its room until the caller is done with it."""
    image = _open(encoded)
    pixels = image.width * image.height
    try:
        if shorter_side is not None:
            image.draft(image.mode, (2 * shorter_side, 2 * shorter_side))
    except Exception as error:  # Pillow's readers raise whatever broken bytes lead them to.
        raise _corrupt(str(image.format), error) from error
    if "progressive" not in image.info:  # of a progressive JPEG all is held, however small it is drawn
        pixels = image.width * image.height
    with _room_for(max(pixels, _tile_pixels(image)), wait=wait):
        try:
            upright = _upright_rgb(image)
        except UnreadableImage:
            raise
        except Exception as error:  # As above.
            raise _corrupt(str(image.format), error) from error
        del image  # the larger half of the memory
        yield upright


def _upright_rgb(image: Image.Image) -> Image.Image:
    turn = _turn(image)
    rgb = _to_rgb(image)
    return rgb if turn is None else rgb.transpose(turn)


def _open(encoded: bytes) -> Image.Image:
    """Return an image of which nothing but the header is read.

    Raises:
        UnreadableImage: it is of another format, damaged, or takes more than it should.
    """
    if not encoded:
        raise UnreadableImage("EMPTY_IMAGE", "the image has 0 bytes: send an encoded image")
    excess = image_files.excess(encoded)
    if excess is not None:
        raise UnreadableImage("TOO_MUCH_WORK", f"the image has {excess}: save it anew and send that")
    try:
        image = Image.open(io.BytesIO(encoded), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels(re.sub(r"\D*(\d+).*", r"\1", str(error))) from error
    except Exception as error:  # As above.
        named = image_files.format_of(encoded)
        if named in FORMATS:
            raise _corrupt(named, error) from error
        what = f"look like {named}, which is not read" if named else "are no image"
        raise UnreadableImage(
            "UNKNOWN_IMAGE_FORMAT", f"the {len(encoded)} bytes {what}: send one of {', '.join(FORMATS)}"
        ) from error
    if image.width * image.height > MAX_IMAGE_PIXELS:
        raise _too_many_pixels(f"{image.width} x {image.height}")
    tile = _tile_pixels(image)
    if tile > MAX_IMAGE_PIXELS:
        raise UnreadableImage(
            "TOO_MANY_PIXELS", f"a tile has {tile} pixels, more than {MAX_IMAGE_PIXELS}: save it in smaller tiles"
        )
    return image


def _corrupt(format: str, error: Exception) -> UnreadableImage:
    return UnreadableImage(
        "CORRUPT_IMAGE",
        f"the {format} image can't be decoded ({type(error).__name__}): send it whole, or save it anew as PNG or JPEG",
    )


def _tile_pixels(image: Image.Image) -> int:
    """Return the pixels of a TIFF's tiles, each of which is decoded whole, however much of it the image shows."""
    sides = [getattr(image, "tag_v2", {}).get(tag, 0) for tag in _TILE_SIDES]
    return int(sides[0] * sides[1]) if all(isinstance(side, int) for side in sides) else 0


class _Room:
    """The pixels of large images that are being decoded in this process."""

    def __init__(self) -> None:
        self.taken = 0
        self.waiting = 0
        """Callers that wait for room: no later one that would not wait goes before them."""
        self.changed = threading.Condition()


_room = _Room()


@contextmanager
def _room_for(pixels: int, *, wait: bool = True) -> Iterator[None]:
    """Wait until a large image has room among the others.

    Raises:
        NoRoom: it has none, and the caller would not `wait`.
    """
    if pixels <= LARGE_PIXELS:
        yield
        return
    with _room.changed:
        if not wait and (_room.waiting or _room.taken + pixels > MAX_LARGE_PIXELS):
            raise NoRoom
        _room.waiting += 1
        _room.changed.wait_for(lambda: _room.taken + pixels <= MAX_LARGE_PIXELS)
        _room.waiting -= 1
        _room.taken += pixels
    try:
        yield
    finally:
        with _room.changed:
            _room.taken -= pixels
            _room.changed.notify_all()


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Return how an image is set upright; None where it is, or where its EXIF is too damaged to tell."""
    image.load()  # of a PNG, EXIF may follow the pixels
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # Its readers raise whatever broken bytes lead them to; the pixels are whole.
        return None


class _Resizers(threading.local):
    """A resizer keeps buffers: every thread has its own."""

    def __init__(self) -> None:
        self.resizer = simd.Resizer()
        self.filters = {
            "bilinear": simd.ResizeAlg.convolution(simd.FilterType.bilinear),
            "bicubic": simd.ResizeAlg.convolution(simd.FilterType.catmull_rom),
        }


_resizers = _Resizers() if simd else None


def _resize(
    image: Image.Image, size: tuple[int, int], interpolation: str, box: tuple[float, float, float, float], version: int
) -> Image.Image:
    """Resample `box` of an RGB or grey image to `size`, antialiased, as that version of this module does."""
    if version < 2 or _resizers is None:
        # Where version 2 can't be had, pixels are a level off: whoever loads a package replays its golden images.
        return image.resize(size, _RESAMPLING[interpolation], box=box)
    resized = Image.new(image.mode, size)
    crop = simd.CropBox(box[0], box[1], box[2] - box[0], box[3] - box[1])
    options = simd.ResizeOptions(resize_alg=_resizers.filters[interpolation], crop_box=crop)
    # Its buffers are as large as the largest image that it had, and every thread keeps its own.
    resizer = simd.Resizer() if image.width * image.height > LARGE_PIXELS else _resizers.resizer
    resizer.resize_pil(image, resized, options)
    return resized


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode.startswith(("I", "F")):  # 16 bits and more: scaled, not cut off at 255
        return _in_strips(image, _deep_to_rgb(image))
    if image.has_transparency_data:
        return _in_strips(image, _on_white)
    return image.convert("RGB")


def _in_strips(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Return an RGB image of what `convert` makes of some rows at a time."""
    rows = max(1, _STRIP_PIXELS // image.width)
    if rows >= image.height:
        return convert(image)
    rgb = Image.new("RGB", image.size)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        rgb.paste(convert(image.crop(box)), box)
    return rgb


def _on_white(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def _deep_to_rgb(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """Return what makes RGB of a grey image of 16 bits, 32 bits or floating-point numbers.

    Raises:
        UnreadableImage: nobody can tell which numbers are black and white.
    """
    is_16_bit = image.mode.startswith("I;16")
    # `I;16` is 16 bits deep by name; `I` and `F` don't say, so their largest value has to.
    white = 65535.0 if is_16_bit else _white(image)
    is_inverted = is_16_bit and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0  # white is zero
    transparent = image.info.get("transparency")

    def convert(rows: Image.Image) -> Image.Image:
        values = np.asarray(rows, dtype=np.float32) * (255 / white)
        if is_inverted:
            values = 255 - values
        if is_16_bit and isinstance(transparent, int):
            values[np.asarray(rows) == transparent] = 255
        return Image.fromarray(np.clip(values, 0, 255).round().astype(np.uint8)).convert("RGB")

    return convert


def _white(image: Image.Image) -> float:
    rows = max(1, _STRIP_PIXELS // image.width)
    tops = range(0, image.height, rows)
    # NumPy's maximum, since NaN comes through it.
    largest = max(
        (np.asarray(image.crop((0, top, image.width, min(top + rows, image.height)))).max() for top in tops),
        key=lambda value: np.inf if np.isnan(value) else value,
    )
    if image.mode == "F" and largest <= 1:
        return 1.0
    for white in (255.0, 65535.0):
        if largest <= white:
            return white
    raise UnreadableImage(
        "UNSUPPORTED_PIXELS", f"the pixels are numbers up to {largest:g}: save them with 8 or 16 bits and send that"
    )


def _too_many_pixels(size: str) -> UnreadableImage:
    return UnreadableImage(
        "TOO_MANY_PIXELS", f"the image has {size} pixels, more than {MAX_IMAGE_PIXELS}: send a smaller one"
    )


def _channels(image: Image.Image, channels: int) -> Image.Image:
    return image.convert("L") if channels == 1 else image


def _pixels(image: Image.Image) -> Pixels:
    pixels = np.asarray(image)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _floats(value: Any) -> tuple[float, ...]:
    return tuple(float(channel) for channel in value)
