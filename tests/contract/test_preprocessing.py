import io
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_contract.preprocessing import Preprocessing, UnreadableImage, decode, load, load_with_aspect

SMALL = Preprocessing(size=32, resize=36, interpolation="bilinear", mean=(0, 0, 0), std=(1, 1, 1))


def encode(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def png_that_claims(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 64)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("shape", [(500, 400), (400, 500), (37, 36), (30, 300), (36, 36)])
def test_pixels_are_those_of_torchvisions_resize_and_centre_crop(shape: tuple[int, int]) -> None:
    from torchvision.transforms import functional

    image = noise(*shape)

    pixels = load(encode(image), replace(SMALL, version=1))

    reference = np.asarray(functional.center_crop(functional.resize(image, SMALL.resize), SMALL.size))
    assert pixels.shape == (32, 32, 3)
    # A box on the original and a cut after resizing round at different places, most where a thin image is enlarged.
    assert np.abs(pixels.astype(int) - reference).max() <= 1
    assert (pixels != reference).mean() < (0.3 if min(shape) < SMALL.resize else 0.001)


@pytest.mark.parametrize("shape", [(500, 400), (37, 36), (30, 300), (1, 1), (1200, 2)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_faster_resampling_is_at_most_two_levels_off(shape: tuple[int, int], channels: int) -> None:
    image = encode(noise(*shape))

    slow, fast = (load(image, replace(SMALL, version=version, channels=channels)) for version in (1, 2))

    assert slow.shape == fast.shape == (32, 32, channels)
    assert np.abs(slow.astype(int) - fast).max() <= 2
    assert np.abs(slow.astype(int) - fast).mean() < 0.5


def test_the_faster_resampling_gives_the_same_bytes_on_every_processor() -> None:
    simd = pytest.importorskip("cykooz_resizer")
    image, box = noise(500, 400), simd.CropBox(20.5, 10.25, 400.0, 380.0)
    options = simd.ResizeOptions(resize_alg=simd.ResizeAlg.convolution(simd.FilterType.bilinear), crop_box=box)
    results = set()
    for extension in (simd.CpuExtensions.none, simd.Resizer().cpu_extensions):
        resizer, resized = simd.Resizer(), Image.new("RGB", (32, 32))
        resizer.cpu_extensions = extension
        resizer.resize_pil(image, resized, options)
        results.add(resized.tobytes())

    assert len(results) == 1


def test_pixels_name_the_libraries_that_made_them() -> None:
    assert f"Pillow {Image.__version__}" in SMALL.decoder
    assert Preprocessing.from_json(SMALL.to_json()) == SMALL
    older = {key: value for key, value in SMALL.to_json().items() if key != "decoder"}
    assert Preprocessing.from_json(older).decoder == ""


def test_an_image_that_is_lying_on_its_side_is_set_upright() -> None:
    image = Image.new("RGB", (60, 40), "black")
    image.paste("red", (0, 0, 30, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to view

    upright = decode(encode(image, "JPEG", exif=exif, quality=95))

    assert upright.size == (40, 60)
    assert upright.getpixel((20, 5))[0] > 200
    assert upright.getpixel((20, 55))[0] < 50


@pytest.mark.parametrize(
    ("image", "format"),
    [
        (Image.new("L", (40, 40), 255), "PNG"),
        (Image.new("LA", (40, 40), (0, 0)), "PNG"),
        (Image.new("RGBA", (40, 40), (9, 9, 9, 0)), "PNG"),
        (Image.new("P", (40, 40), 0).convert("RGBA").quantize(), "GIF"),
        (Image.fromarray(np.full((40, 40), 65535, np.uint16)), "PNG"),
        (Image.new("CMYK", (40, 40), (0, 0, 0, 0)), "JPEG"),
        (Image.new("1", (40, 40), 1), "TIFF"),
        (Image.new("RGB", (40, 40), "white"), "WEBP"),
        (Image.new("RGB", (40, 40), "white"), "BMP"),
    ],
    ids=["grey", "grey-alpha", "alpha", "palette", "16-bit", "cmyk", "bilevel", "webp", "bmp"],
)
def test_images_of_every_mode_become_rgb_on_white(image: Image.Image, format: str) -> None:
    pixels = load(encode(image, format), SMALL)

    expected = 0 if format == "GIF" else 255
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - expected).max() <= 3


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        (b"", "EMPTY_IMAGE"),
        (b"no image at all", "UNKNOWN_IMAGE_FORMAT"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "UNKNOWN_IMAGE_FORMAT"),
        (encode(noise(200, 200), "JPEG")[:2000], "CORRUPT_IMAGE"),
        (png_that_claims(65_000, 65_000), "TOO_MANY_PIXELS"),
        (png_that_claims(9_000, 9_000), "TOO_MANY_PIXELS"),
    ],
)
def test_bytes_that_are_no_usable_image_are_refused_with_a_reason(encoded: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImage) as caught:
        load(encoded, SMALL)

    assert caught.value.reason == reason
    assert ":" in str(caught.value)  # fact and value, then the remedy


def test_a_jpeg_header_that_claims_65000_pixels_a_side_is_refused_unread() -> None:
    jpeg = bytearray(encode(noise(64, 64), "JPEG"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 65_000, 65_000)

    with pytest.raises(UnreadableImage, match="4225000000 pixels"):
        load(bytes(jpeg), SMALL)


def test_a_photograph_of_48_megapixels_is_fine() -> None:
    photograph = encode(Image.new("RGB", (8000, 6000), (10, 200, 30)), "JPEG")

    assert np.abs(load(photograph, SMALL).astype(int) - (10, 200, 30)).max() <= 3


def test_images_kept_for_crops_keep_their_aspect_ratio_up_to_three() -> None:
    assert load_with_aspect(encode(noise(200, 100)), 50, 3).shape == (50, 100, 3)
    assert load_with_aspect(encode(noise(100, 120)), 50, 3).shape == (60, 50, 3)
    assert load_with_aspect(encode(noise(12_000, 20)), 50, 3).shape == (50, 150, 3)


def test_one_pixel_is_an_image_too() -> None:
    assert load(encode(Image.new("RGB", (1, 1), "red")), SMALL).reshape(-1, 3).mean(0).tolist() == [255, 0, 0]


def test_preprocessing_survives_the_manifest() -> None:
    spec = ARCHITECTURES["mobilenet_v2"].preprocessing(
        pb.TrainingSpec(
            weights="IMAGENET1K_V2", input=pb.InputSpec(size=224, normalisation=pb.NORMALISATION_PRETRAINED)
        )
    )

    assert spec.resize == 232
    assert Preprocessing.from_json({**spec.to_json(), "unknown": 1}) == spec
