"""Preprocessing and top 5 as people write them by hand: Pillow, numpy, a float-input graph."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


def prepare(encoded: bytes) -> NDArray[np.float32]:
    """Return an encoded image as float32 (3, 224, 224): shorter side to 256, centre crop, normalised."""
    return normalise(Image.open(io.BytesIO(encoded)))


def normalise(image: Image.Image) -> NDArray[np.float32]:
    """Return an image as float32 (3, 224, 224)."""
    image = image.convert("RGB")
    scale = 256 / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    image = image.crop((left, top, left + 224, top + 224))
    values = (np.asarray(image, dtype=np.float32) / 255 - MEAN) / STD
    return np.ascontiguousarray(values.transpose(2, 0, 1))


def top5(logits: NDArray[np.float32]) -> list[dict[str, Any]]:
    """Return the five most probable classes and their probabilities of each row of logits (N, K)."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    return [best(row) for row in probabilities]


def best(probabilities: NDArray[np.float32]) -> dict[str, Any]:
    """Return the five most probable classes of one image."""
    classes = np.argsort(-probabilities)[:5]
    return {"classes": classes.tolist(), "probabilities": probabilities[classes].tolist()}
