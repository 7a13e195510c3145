"""The procedural flowers carry their species in the number and shape of their petals, and not in their colours."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from scipy.ndimage import map_coordinates
from scipy.optimize import minimize
from scipy.special import log_softmax

from cultivar_trainer.datasets.procedural_flowers import IMAGE_SIZE, SPECIES, draw, petal_outline, write_folder

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

TRAINING = 70
HELD_OUT = 40


@pytest.fixture(scope="module")
def images() -> Pixels:
    return drawn(TRAINING + HELD_OUT)


def test_a_seed_gives_the_same_bytes_each_time() -> None:
    for species in SPECIES:
        assert draw(species, seed=7) == draw(species, seed=7)


def test_each_seed_and_each_species_gives_other_bytes() -> None:
    files = {draw(species, seed=seed) for species in SPECIES for seed in range(10)}

    assert len(files) == 10 * len(SPECIES)


def test_the_folder_has_a_jpeg_file_for_each_image_of_a_split_and_species(tmp_path: Path) -> None:
    write_folder(tmp_path, images_per_species={"train": 3, "val": 2})

    names = {
        f"{split}/{species.id}/{number:04}.jpg"
        for split, count in (("train", 3), ("val", 2))
        for species in SPECIES
        for number in range(count)
    }
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.relative_to(tmp_path).as_posix() for path in files} == names
    assert len({path.read_bytes() for path in files}) == len(files)
    for path in files:
        with Image.open(path) as image:
            image.load()
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (IMAGE_SIZE, IMAGE_SIZE))


def test_a_folder_is_the_same_for_the_same_seed_and_another_for_another(tmp_path: Path) -> None:
    counts = {"train": 2, "test": 1}
    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        write_folder(tmp_path / name, images_per_species=counts, seed=seed)

    first, again, other = (
        [path.read_bytes() for path in sorted((tmp_path / name).rglob("*.jpg"))] for name in ("first", "again", "other")
    )
    assert first == again
    assert not set(first) & set(other)


def test_the_petals_of_every_species_cover_the_same_area() -> None:
    areas = []
    for species in SPECIES:
        x, y = petal_outline(species).T
        areas.append(species.petals * abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)

    assert areas == pytest.approx([areas[0]] * len(SPECIES))


def test_colour_histograms_do_not_tell_the_species_apart(images: Pixels) -> None:
    assert held_out_accuracy(colour_histograms(images), training=TRAINING) < 0.5


def test_histograms_of_each_channel_do_not_tell_the_species_apart(images: Pixels) -> None:
    assert held_out_accuracy(channel_histograms(images), training=TRAINING) < 0.5


@pytest.mark.all
def test_colour_histograms_of_thousands_of_images_do_not_tell_the_species_apart_either() -> None:
    images = drawn(600 + 200)

    assert held_out_accuracy(colour_histograms(images), training=600) < 0.4
    assert held_out_accuracy(channel_histograms(images), training=600) < 0.4


def test_symmetry_under_rotation_tells_the_species_apart(images: Pixels) -> None:
    assert held_out_accuracy(rotational_symmetry(images[:60]), training=40) > 0.8


def drawn(count: int) -> Pixels:
    """The pixels of a count of images of each species, as image x species x row x column x channel."""
    files = [[draw(species, seed=seed) for species in SPECIES] for seed in range(count)]
    return np.array([[np.asarray(Image.open(io.BytesIO(file))) for file in row] for row in files])


def colour_histograms(images: Pixels) -> Floats:
    """The part of the pixels in each of 8 x 8 x 8 cubes of colour."""
    return shares((images >> 5) @ np.array((64, 8, 1)), 512)


def channel_histograms(images: Pixels) -> Floats:
    """The part of the pixels in each of 16 levels of red, of green and of blue."""
    return shares((images >> 4) + np.array((0, 16, 32)), 48)


def shares(bins: npt.NDArray[np.int64], number: int) -> Floats:
    """How much of an image is in each of a number of bins."""
    counts = [[np.bincount(one.ravel(), minlength=number) for one in row] for row in bins]
    return np.array(counts) / IMAGE_SIZE**2


def rotational_symmetry(images: Pixels) -> Floats:
    """How strongly the spectrum repeats 0 to 15 times in half a turn, on circles of several spatial frequencies.

    A spectrum's magnitude is the same wherever the flower lies, and these strengths are the same however it's turned.
    """
    window = np.outer(np.hanning(IMAGE_SIZE), np.hanning(IMAGE_SIZE))
    # Colours differ between the flowers: take the direction in which an image's pixels vary most.
    pixels = images.reshape(*images.shape[:2], -1, 3)
    pixels = pixels - pixels.mean(axis=2, keepdims=True)
    axes = np.linalg.eigh(np.swapaxes(pixels, -1, -2) @ pixels)[1][..., -1:]
    grey = (pixels @ axes).reshape(images.shape[:4])
    spectra = np.log(np.abs(np.fft.fftshift(np.fft.fft2(grey * window), axes=(-2, -1))) + 1e-3)
    angles = np.linspace(0, np.pi, 64, endpoint=False)
    radii = np.arange(2, 20)[:, np.newaxis]
    circles = IMAGE_SIZE / 2 + np.stack((radii * np.sin(angles), radii * np.cos(angles)))
    rings = np.array([[map_coordinates(one, circles, order=1) for one in row] for row in spectra])
    return np.abs(np.fft.rfft(rings, axis=-1))[..., :16].reshape(*images.shape[:2], -1)


def held_out_accuracy(features: Floats, *, training: int) -> float:
    """Fits a logistic regression to convergence on the first images of each species, and scores it on the rest.

    Features are image x species x feature. The penalty is just enough to make the optimum finite.
    """
    species = features.shape[1]
    mean, deviation = features[:training].mean(axis=(0, 1)), features[:training].std(axis=(0, 1))
    known = deviation > 0
    scaled = ((features - mean)[..., known] / deviation[known]).reshape(-1, known.sum())
    fitted, held_out = np.split(np.column_stack((scaled, np.ones(len(scaled)))), [training * species])
    truth = np.tile(np.eye(species), (training, 1))
    penalty = 1e-3

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(-1, species)
        log_odds = log_softmax(fitted @ weights, axis=1)
        gradient = fitted.T @ (np.exp(log_odds) - truth) / len(truth) + penalty * weights
        return float(-(log_odds * truth).sum() / len(truth) + penalty / 2 * (flat @ flat)), gradient.ravel()

    start = np.zeros(fitted.shape[1] * species)
    result = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 5000, "maxfun": 10000})
    assert result.success, result.message
    predicted = (held_out @ result.x.reshape(-1, species)).argmax(axis=1)
    return float((predicted == np.tile(np.arange(species), len(predicted) // species)).mean())
