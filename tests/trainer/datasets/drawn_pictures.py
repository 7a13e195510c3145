"""Pictures with something to be known by, each seed's its own, and files of them."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from cultivar_trainer.datasets.inspection import ImageFacts, facts_of


def picture(seed: int, width: int = 96, height: int = 80) -> Image.Image:
    """Draw soft patches of colour under a little grain."""
    generator = np.random.default_rng(seed)
    patches = Image.fromarray(generator.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    soft = np.asarray(patches.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    grain = generator.integers(-8, 9, soft.shape)
    return Image.fromarray((soft + grain).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "BMP", **options: int) -> bytes:
    """Encode a picture; BMP by default, whose bytes are the same with every library."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def facts(image: Image.Image) -> ImageFacts:
    """What an import knows of a picture."""
    return facts_of(encoded(image))


def write(root: Path, path: str, image: Image.Image, kind: str = "BMP", **options: int) -> None:
    """Write a picture's file below a root."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(encoded(image, kind, **options))


def write_class(root: Path, folder: str, seeds: range) -> None:
    """Write a picture of each seed into a class folder."""
    for seed in seeds:
        write(root, f"{folder}/{seed:04d}.bmp", picture(seed))
