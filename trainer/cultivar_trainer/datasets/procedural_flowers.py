"""Draws flowers of five invented species that differ in the number and the shape of their petals alone.

Colours, sizes, positions, light and backgrounds come from the same distributions for every species, and the petals
cover the same area whatever their number, so that colours alone say next to nothing about the species.
"""

import colorsys
import io
import itertools
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Floats = npt.NDArray[np.float64]
Colour = tuple[int, int, int]
Placement = Callable[[Floats], list[float]]  # from corners in units of a flower's radius to pixels x, y, x, y, ...

IMAGE_SIZE = 96
"""Width and height of an image in pixels."""

IMAGES_PER_SPECIES: Mapping[str, int] = {"train": 160, "val": 40, "test": 40}
"""How many images of each species a split holds by default."""

_JPEG_QUALITY = 92
_SUPERSAMPLING = 3
_CANVAS_SIZE = IMAGE_SIZE * _SUPERSAMPLING  # flowers are drawn larger and scaled down, which smooths their edges
_CIRCLE = np.array([(math.cos(angle), math.sin(angle)) for angle in np.linspace(0, math.tau, 36, endpoint=False)])
# Lengths of a flower are in units of its radius, from the centre to a petal's tip.
_PETAL_BASE = 0.14
_PETALS_AREA = 1.5
_DISC_RADIUS = (0.19, 0.25)


@dataclass(frozen=True, kw_only=True, slots=True)
class PetalShape:
    """A petal's outline: at the part t of its length it is as wide as t**base * (1 - t)**tip.

    A tip of 0.5 or less is round and one of 1 or more is pointed; the notch is the part of the length cut into the tip.
    """

    base: float
    tip: float
    notch: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Species:
    """A kind of flower: the name of its folder, the name to show, and what its petals are like."""

    id: str
    display_name: str
    petals: int
    shape: PetalShape


SPECIES: tuple[Species, ...] = (
    Species(id="moon-trillet", display_name="Moon Trillet", petals=3, shape=PetalShape(base=0.6, tip=0.45)),
    Species(id="heartwing", display_name="Heartwing", petals=4, shape=PetalShape(base=1.0, tip=0.33, notch=0.22)),
    Species(id="steeple-star", display_name="Steeple Star", petals=5, shape=PetalShape(base=0.75, tip=1.0)),
    Species(id="lancewheel", display_name="Lancewheel", petals=8, shape=PetalShape(base=1.2, tip=1.2)),
    Species(id="threadray-daisy", display_name="Threadray Daisy", petals=13, shape=PetalShape(base=0.5, tip=0.3)),
)


def draw(species: Species, *, seed: int) -> bytes:
    """Returns a JPEG file of IMAGE_SIZE x IMAGE_SIZE pixels, the same for the same species and seed (0 or more)."""
    rng = np.random.default_rng((seed, zlib.crc32(species.id.encode())))
    hue, saturation, value = _petal_colour(rng)
    flower = _flower(species, (hue, saturation, value), rng)
    ground = _with_far_blossoms(_background(rng), _rgb(hue, saturation, value * 0.93), rng)
    scene = _with_shadow(ground, flower, rng)
    scene.paste(flower, mask=flower.getchannel("A"))
    file = io.BytesIO()
    _lit(scene, rng).save(file, format="JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()


def write_folder(folder: Path, *, images_per_species: Mapping[str, int] = IMAGES_PER_SPECIES, seed: int = 0) -> None:
    """Writes folder/<split>/<species id>/NNNN.jpg for every split and its number of images; no two are the same."""
    for species in SPECIES:
        # Splits share no image, and neither do folders of different seeds whose sizes are equal.
        seeds = itertools.count(seed * sum(images_per_species.values()))
        for split, count in images_per_species.items():
            directory = folder / split / species.id
            directory.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                (directory / f"{number:04}.jpg").write_bytes(draw(species, seed=next(seeds)))


def petal_outline(species: Species) -> Floats:
    """Returns a petal's corners as rows (along, across) in units of its length, from its base at 0 to its tip at 1.

    Its width is such that the petals of every species, all together, cover the same area.
    """
    shape = species.shape
    along = (1 - np.cos(np.linspace(0, math.pi, 28))) / 2
    across = along**shape.base * (1 - along) ** shape.tip
    across /= across.max()
    # Only the outer half gives way, and most near the midrib, which leaves two lobes.
    along = along - shape.notch * np.exp(-((across / 0.45) ** 2)) * (along > 0.5)
    area = 2 * float(np.trapezoid(across, along))
    across *= _PETALS_AREA / (species.petals * area)
    return np.column_stack((np.concatenate((along, along[::-1])), np.concatenate((across, -across[::-1]))))


def _flower(species: Species, petal_colour: tuple[float, float, float], rng: np.random.Generator) -> Image.Image:
    """Returns the flower alone, on a transparent ground."""
    place = _placement(_CANVAS_SIZE * rng.uniform(0.35, 0.44), rng)
    hue, saturation, value = petal_colour
    tip_tint = rng.uniform(-0.18, 0.18)
    # The transparent ground has the petals' colour, so that scaling down leaves no dark fringe.
    image = Image.new("RGBA", (_CANVAS_SIZE, _CANVAS_SIZE), (*_rgb(hue, saturation, value), 0))
    canvas = ImageDraw.Draw(image)
    outline = petal_outline(species)
    turn = rng.uniform(0, math.tau)
    for petal in rng.permutation(species.petals):
        angle = turn + math.tau * petal / species.petals + rng.normal(0, 0.12 / species.petals)
        stretch = np.array((rng.normal(1, 0.03), rng.normal(1, 0.04)))
        shade = rng.normal(1, 0.03)
        # Layers that shrink towards the base and the midrib make the petal look curved.
        for layer in np.linspace(0, 1, 5):
            points = outline * stretch * (1 - 0.45 * layer, 1 - 0.75 * layer)
            corners = place((points * (1 - _PETAL_BASE) + (_PETAL_BASE, 0)) @ _rotation(angle).T)
            colour = _rgb(hue, saturation * (1 - tip_tint * layer), value * shade * (0.86 + 0.14 * layer))
            canvas.polygon(corners, fill=(*colour, 255))
    _draw_disc(canvas, place, rng)
    return image.reduce(_SUPERSAMPLING)


def _draw_disc(canvas: ImageDraw.ImageDraw, place: Placement, rng: np.random.Generator) -> None:
    """Draws the centre of a flower: a disc, lighter in the middle, with florets on it."""
    radius = rng.uniform(*_DISC_RADIUS)
    hue, saturation, value = rng.uniform(0.06, 0.17), rng.uniform(0.6, 0.95), rng.uniform(0.35, 0.95)
    for part in (1.0, 0.85, 0.6, 0.35):
        canvas.polygon(place(_CIRCLE * radius * part), fill=(*_rgb(hue, saturation, value * (1.1 - 0.35 * part)), 255))
    for _ in range(24):
        spot = radius * 0.92 * math.sqrt(rng.uniform()) * rng.choice(_CIRCLE)
        colour = _rgb(hue, saturation, value * rng.uniform(0.6, 1.35))
        canvas.polygon(place(spot + _CIRCLE[::6] * 0.026), fill=(*colour, 255))


def _placement(radius: float, rng: np.random.Generator) -> Placement:
    """Returns what takes a flower's corners to the canvas: tilted away a little, and near the middle."""
    axis = _rotation(rng.uniform(0, math.tau))
    tilt = axis @ np.diag((1, rng.uniform(0.82, 1))) @ axis.T
    room = _CANVAS_SIZE / 2 - radius
    centre = _CANVAS_SIZE / 2 + rng.uniform(-room, room, 2) * 0.9
    return lambda points: (centre + radius * points @ tilt).ravel().tolist()


def _background(rng: np.random.Generator) -> Image.Image:
    """Returns a meadow or bare earth, out of focus."""
    hue = rng.choice((rng.uniform(0.2, 0.36), rng.uniform(0.05, 0.11)))
    saturation, value = rng.uniform(0.3, 0.65), rng.uniform(0.18, 0.38)
    ground = Image.new("RGB", (IMAGE_SIZE, IMAGE_SIZE), _rgb(hue, saturation, value))
    canvas = ImageDraw.Draw(ground)
    for _ in range(36):
        foot = rng.uniform(-0.1, 1.1, 2) * IMAGE_SIZE
        tip = foot + rng.normal(0, 0.16, 2) * IMAGE_SIZE
        colour = _rgb(hue + rng.normal(0, 0.025), saturation * rng.uniform(0.7, 1.3), value * rng.uniform(0.45, 1.6))
        canvas.line((*foot, *tip), fill=colour, width=int(rng.integers(2, 8)))
    return ground.filter(ImageFilter.GaussianBlur(rng.uniform(1.6, 3.2)))


def _with_far_blossoms(ground: Image.Image, colour: Colour, rng: np.random.Generator) -> Image.Image:
    """Returns the ground with none to many blurred blossoms of the flower's own colour in the distance."""
    # At its edges a petal's colour mixes with the ground's, and many thin petals have more edge than few broad ones.
    # These blossoms mix the two as well, in amounts that have nothing to do with the species.
    veil = Image.new("L", ground.size)
    canvas = ImageDraw.Draw(veil)
    for _ in range(rng.integers(0, 12)):
        x, y = rng.uniform(0, IMAGE_SIZE, 2)
        radius = rng.uniform(2, 7)
        canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=int(rng.integers(60, 256)))
    veil = veil.filter(ImageFilter.GaussianBlur(rng.uniform(2, 4)))
    return Image.composite(Image.new("RGB", ground.size, colour), ground, veil)


def _with_shadow(ground: Image.Image, flower: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Returns the ground with the flower's soft shadow on it."""
    shadow = flower.getchannel("A").filter(ImageFilter.GaussianBlur(rng.uniform(2, 4)))
    right, down = rng.integers(-4, 5), rng.integers(1, 6)
    shadow = shadow.transform(shadow.size, Image.Transform.AFFINE, (1, 0, -right, 0, 1, -down))
    darkness = rng.uniform(0.35, 0.6)
    return Image.composite(Image.new("RGB", ground.size), ground, shadow.point(lambda alpha: alpha * darkness))


def _lit(scene: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Returns the scene under light from one side, as a camera with some noise sees it."""
    across = np.linspace(-1, 1, IMAGE_SIZE)
    direction = rng.uniform(0, math.tau)
    slope = rng.uniform(0, 0.2) * (math.cos(direction) * across + math.sin(direction) * across[:, np.newaxis])
    warmth = rng.normal(0, 0.03)
    light = (rng.uniform(0.85, 1.1) + slope)[..., np.newaxis] * (1 + warmth, 1, 1 - warmth)
    noise = rng.normal(0, rng.uniform(1, 5), (IMAGE_SIZE, IMAGE_SIZE, 3))
    return Image.fromarray(np.clip(np.asarray(scene) * light + noise, 0, 255).astype(np.uint8))


def _petal_colour(rng: np.random.Generator) -> tuple[float, float, float]:
    """Returns hue, saturation and value of any colour that petals have: every hue but green, and white."""
    hue = rng.uniform(0.55, 1.17) % 1
    saturation = rng.choice((rng.uniform(0.02, 0.15), rng.uniform(0.3, 0.9)), p=(0.25, 0.75))
    return hue, saturation, rng.uniform(0.82, 1)


def _rgb(hue: float, saturation: float, value: float) -> Colour:
    """Returns the colour as three bytes; saturation and value beyond 0 to 1 are clipped."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0), 1), min(max(value, 0), 1))
    return round(255 * red), round(255 * green), round(255 * blue)


def _rotation(angle: float) -> Floats:
    """Returns the matrix that turns a column vector by an angle in radians."""
    return np.array(((math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle))))
