"""What a picture looks like in a few numbers that survive new encodings, other sizes and slight changes."""

from typing import NamedTuple

import numpy as np
from PIL import Image

THUMBNAIL_SIDE = 16
"""Pixels."""
_GREY_SIDE = 32
_FREQUENCIES = 8
_DCT = np.cos(np.pi * np.outer(np.arange(_FREQUENCIES), 2 * np.arange(_GREY_SIDE) + 1) / (2 * _GREY_SIDE))
"""Rows of the DCT-II, unscaled: coefficients are only compared with their median."""


class Fingerprint(NamedTuple):
    """Of one picture, whatever its size."""

    bits: int
    """64-bit perceptual hash."""
    thumbnail: bytes
    """uint8 (16, 16, 3)."""


def fingerprint(image: Image.Image) -> Fingerprint:
    """Return an RGB image's fingerprint.

    The hash is pHash: which of the 8 x 8 lowest frequencies of the grey picture lie above their median. Zauner,
    Implementation and Benchmarking of Perceptual Image Hash Functions (2010).
    """
    small = image.resize((_GREY_SIDE, _GREY_SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    grey = np.asarray(small.convert("L"), np.float64)
    coefficients = (_DCT @ grey @ _DCT.T).ravel()
    coefficients[0] = 0.0  # how bright a picture is says nothing of what it shows
    middle = len(coefficients) // 2
    bits = np.packbits(coefficients > np.partition(coefficients, middle)[middle])
    return Fingerprint(int.from_bytes(bits.tobytes()), small.reduce(_GREY_SIDE // THUMBNAIL_SIDE).tobytes())
