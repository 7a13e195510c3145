"""Images that people upload: each is the picture that it should be, or is refused for a reason that says what to do."""

import re
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from image_kinds import KINDS, Kind, encode, png_file
from PIL import Image

from cultivar_contract import preprocessing
from cultivar_contract.image_files import format_of
from cultivar_contract.preprocessing import UnreadableImage, decode

DOCUMENT = Path(__file__).parents[2] / "docs" / "images.md"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.expected is not None], ids=lambda kind: kind.name)
def test_an_image_of_this_kind_is_the_picture_it_should_be(kind: Kind) -> None:
    pixels = np.asarray(decode(kind.encoded))

    assert pixels.shape == kind.expected.shape
    assert np.abs(pixels.astype(int) - kind.expected).mean() <= kind.tolerance


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.expected is None], ids=lambda kind: kind.name)
def test_an_image_of_this_kind_is_refused_and_told_why(kind: Kind) -> None:
    with pytest.raises(UnreadableImage) as caught:
        decode(kind.encoded)

    assert caught.value.reason == kind.reason
    assert kind.says in str(caught.value)
    assert re.search(r": (send|save) ", str(caught.value))  # the remedy
    assert len(str(caught.value)) < 300


def test_the_table_of_images_lists_every_reason() -> None:
    reasons = {kind.reason for kind in KINDS if kind.reason}

    assert reasons <= set(re.findall(r"`([A-Z_]+)`", DOCUMENT.read_text()))


def test_nothing_that_is_read_looks_like_another_format() -> None:
    for kind in KINDS:
        if kind.expected is not None:
            assert format_of(kind.encoded) in preprocessing.FORMATS, kind.name


def test_a_large_image_is_the_same_picture_strip_by_strip(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = [kind for kind in KINDS if kind.name.startswith(("PNG", "TIFF-16", "TIFF-float", "WEBP-alpha", "GIF"))]
    readable = [kind for kind in odd if kind.expected is not None]
    whole = [np.asarray(decode(kind.encoded)) for kind in readable]

    monkeypatch.setattr(preprocessing, "_STRIP_PIXELS", 1000)

    for kind, pixels in zip(readable, whole, strict=True):
        assert np.array_equal(np.asarray(decode(kind.encoded)), pixels), kind.name


def test_large_images_wait_for_one_another_and_small_ones_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preprocessing, "LARGE_PIXELS", 1000)
    monkeypatch.setattr(preprocessing, "MAX_LARGE_PIXELS", 5000)
    large, small = encode(Image.new("RGB", (64, 48))), encode(Image.new("RGB", (10, 10)))
    with preprocessing._room_for(3000):
        waiting = threading.Thread(target=decode, args=(large,))
        waiting.start()

        decode(small)
        time.sleep(0.05)
        assert waiting.is_alive()
        with pytest.raises(preprocessing.NoRoom), preprocessing._room_for(1500, wait=False):
            pass  # it would fit, but another was first

    waiting.join(5)
    assert not waiting.is_alive()
    assert preprocessing._room.taken == 0


PEAK = """
import resource, sys, time
from pathlib import Path
from cultivar_contract.preprocessing import Preprocessing, UnreadableImage, load
inputs = Preprocessing(size=224, resize=256, interpolation="bilinear", mean=(0, 0, 0), std=(1, 1, 1))
encoded = Path(sys.argv[1]).read_bytes()
before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
load(encoded, inputs)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, time.process_time() - started)
"""
LARGEST = (10_000, 8_000)


def empty_png(depth: int, colour_type: int, bytes_per_pixel: int) -> bytes:
    width, height = LARGEST
    compressor = zlib.compressobj(9)
    rows = b"\0" * (1 + width * bytes_per_pixel) * 100
    body = b"".join(compressor.compress(rows) for _ in range(height // 100)) + compressor.flush()
    return png_file(width, height, depth, colour_type, body)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "mb"),
    [
        ("RGB.png", 350),
        ("RGBA.png", 700),
        ("16-bit.png", 550),
        ("lossless.webp", 1300),
        ("lzw.tiff", 350),
        ("float.tiff", 700),
        ("progressive.jpg", 550),
    ],
)
def test_the_largest_image_takes_the_memory_and_time_that_are_stated(tmp_path: Path, name: str, mb: int) -> None:
    file = tmp_path / name
    file.write_bytes(BOMBS[name]())

    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(file)], capture_output=True, text=True, timeout=60, check=True
    )

    kb, seconds = map(float, done.stdout.split())
    assert file.stat().st_size < 4 << 20
    assert kb / 1024 < mb
    assert seconds < 8


BOMBS = {
    "RGB.png": lambda: empty_png(8, 2, 3),
    "RGBA.png": lambda: empty_png(8, 6, 4),
    "16-bit.png": lambda: empty_png(16, 0, 2),
    "lossless.webp": lambda: encode(Image.new("RGB", LARGEST), "WEBP", lossless=True, method=0),
    "lzw.tiff": lambda: encode(Image.new("RGB", LARGEST), "TIFF", compression="tiff_lzw"),
    "float.tiff": lambda: encode(Image.new("F", LARGEST), "TIFF", compression="tiff_lzw"),
    "progressive.jpg": lambda: encode(Image.new("RGB", LARGEST), "JPEG", progressive=True, subsampling=0),
}
