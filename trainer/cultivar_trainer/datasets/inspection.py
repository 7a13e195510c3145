"""What one pass over an image's bytes and pixels tells: whether it can be used, its size, sums and fingerprint."""

import hashlib
from dataclasses import dataclass

import numpy as np

from cultivar_contract import preprocessing
from cultivar_trainer.datasets import sources
from cultivar_trainer.datasets.fingerprints import Fingerprint, fingerprint
from cultivar_trainer.datasets.sources import SourceImage

_LEVELS = np.arange(256)
_SQUARES = _LEVELS**2


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFacts:
    """What is known of an image that can be decoded."""

    sha256: str
    """Of the encoded bytes, in hexadecimal."""
    width: int
    """Pixels, upright."""
    height: int
    """Pixels, upright."""
    sums: tuple[int, ...]
    """Of red, green and blue, 0 to 255, over all pixels."""
    squares: tuple[int, ...]
    """Sums of their squares."""
    fingerprint: Fingerprint


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspected:
    """An image that was read, and what it is or why it can't be used."""

    image: SourceImage
    encoded: bytes
    facts: ImageFacts | None
    """None where it is rejected."""
    rejection: str
    """Why; empty where it is not."""


def inspect(image: SourceImage) -> Inspected:
    """Read and decode an image."""
    encoded, rejection = b"", ""
    try:
        if not sources.is_text(image.path):
            raise OSError("its name is no UTF-8: rename it")
        encoded = image.read()
        return Inspected(image=image, encoded=encoded, facts=facts_of(encoded), rejection="")
    except OSError as error:
        rejection = error.strerror or str(error)
    except preprocessing.UnreadableImage as error:
        rejection = str(error)
    return Inspected(image=image, encoded=b"", facts=None, rejection=rejection)


def facts_of(encoded: bytes) -> ImageFacts:
    """Decode an image and measure it.

    Raises:
        UnreadableImage: the bytes are no image that we read.
    """
    pixels = preprocessing.decode(encoded)
    # From how often each level occurs, sums are exact whatever the image's size, and made without a copy of it.
    histogram = np.array(pixels.histogram(), np.int64).reshape(3, 256)
    return ImageFacts(
        sha256=hashlib.sha256(encoded).hexdigest(),
        width=pixels.width,
        height=pixels.height,
        sums=tuple((histogram @ _LEVELS).tolist()),
        squares=tuple((histogram @ _SQUARES).tolist()),
        fingerprint=fingerprint(pixels),
    )
