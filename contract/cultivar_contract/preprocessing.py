"""Encoded image to pixels: the one implementation that training, validation and serving share."""

import functools
import io
import re
import threading
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, features

try:
    import cykooz_resizer as simd
except ImportError:  # a trainer can do without it
    simd = None

NEWEST_VERSION = 2
"""1: Pillow decodes and resizes. 2: cykooz_resizer resizes, with SIMD: some times as fast, at most two levels off."""
VERSION = NEWEST_VERSION if simd else 1
"""How this installation makes new packages' pixels. Changes whenever the same bytes would give other pixels."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MAX_IMAGE_PIXELS = 80_000_000
"""Larger images are refused from their header, before a pixel is decoded: this many take 240 MB."""
MAX_ASPECT_RATIO = 3.0
"""Training images longer than this are cut to it around their centre, so that one panorama can't fill a store."""

Pixels = NDArray[np.uint8]
_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


class UnreadableImage(ValueError):
    """An image that can't be classified or learnt from."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        """UPPER_SNAKE_CASE, stable: EMPTY_IMAGE, UNKNOWN_IMAGE_FORMAT, TOO_MANY_PIXELS or CORRUPT_IMAGE."""


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
            KeyError, TypeError, ValueError: a field is missing or of another type.
        """
        return cls(
            size=int(value["size"]),
            resize=int(value["resize"]),
            interpolation=str(value["interpolation"]),
            mean=_floats(value["mean"]),
            std=_floats(value["std"]),
            channels=int(value.get("channels", 3)),
            version=int(value["version"]),
            decoder=str(value.get("decoder", "")),
        )


def load(encoded: bytes, preprocessing: Preprocessing) -> Pixels:
    """Return an image as the network sees it: uint8 (size, size, channels), RGB or grey.

    Raises:
        UnreadableImage: the bytes are no image that we read.
    """
    image = _channels(decode(encoded, shorter_side=preprocessing.resize), preprocessing.channels)
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
    image = _channels(decode(encoded, shorter_side=shorter_side), channels)
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
    if not encoded:
        raise UnreadableImage("EMPTY_IMAGE", "the image has 0 bytes: send an encoded image")
    try:
        image = Image.open(io.BytesIO(encoded), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels(re.sub(r"\D*(\d+).*", r"\1", str(error))) from error
    except Exception as error:  # Pillow's readers raise whatever broken bytes lead them to.
        raise UnreadableImage(
            "UNKNOWN_IMAGE_FORMAT", f"the {len(encoded)} bytes are no image in one of {', '.join(FORMATS)}: send one"
        ) from error
    if image.width * image.height > MAX_IMAGE_PIXELS:
        raise _too_many_pixels(f"{image.width} x {image.height}")
    try:
        if shorter_side is not None:
            image.draft(image.mode, (2 * shorter_side, 2 * shorter_side))
        image.load()
        return _to_rgb(ImageOps.exif_transpose(image))
    except Exception as error:  # As above: from here on the pixels themselves are read.
        raise UnreadableImage(
            "CORRUPT_IMAGE", f"the {image.format} image can't be decoded ({type(error).__name__}): send it whole"
        ) from error


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
    _resizers.resizer.resize_pil(image, resized, options)
    return resized


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith(("I", "F")):  # 16 bits and more: scaled, not cut off at 255
        values = np.asarray(image, dtype=np.float32)
        # `I;16` is 16 bits deep by name; `I` and `F` don't say, so their largest value has to.
        scale = 255 / 65535 if image.mode.startswith("I;16") or values.max(initial=0) > 255 else 1.0
        return Image.fromarray(np.clip(values * scale, 0, 255).round().astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


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
