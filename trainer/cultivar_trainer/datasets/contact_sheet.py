"""A picture of a data set: some training images of each class."""

from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw, ImageFont, ImageOps

from cultivar_contract import preprocessing
from cultivar_trainer.datasets.draws import shuffled
from cultivar_trainer.datasets.parallel import on_all_cores
from cultivar_trainer.datasets.version import DatasetClass, Sample

MAX_CLASSES = 200
"""Rows; further classes are not shown."""
MAX_IMAGES = 400
"""All together: a sheet is drawn in a fraction of a second."""
MAX_IMAGES_PER_CLASS = 8
SIDE = 64
"""Height and width of an image in pixels."""
_MARGIN = 4
_NAME_WIDTH = 160
_MAX_NAME = 24
"""Characters."""
_PAPER, _INK = (255, 255, 255), (32, 32, 32)


def contact_sheet(
    classes: Sequence[DatasetClass], samples: Sequence[Sample], read: Callable[[Sample], bytes], seed: int
) -> Image.Image:
    """Draw a row for each class: its name, and training images drawn by the seed."""
    rows: list[list[Sample]] = [[] for _ in classes]
    for sample in samples:
        if sample.split == "train":
            rows[sample.label].append(sample)
    rows = rows[:MAX_CLASSES]
    columns = min(MAX_IMAGES_PER_CLASS, MAX_IMAGES // len(rows))
    shown = [
        (row, column, images[place])
        for row, images in enumerate(rows)
        for column, place in enumerate(shuffled([one.path for one in images], seed)[:columns])
    ]
    step = SIDE + _MARGIN
    width = _NAME_WIDTH + columns * step
    sheet = Image.new("RGB", (width, _MARGIN + len(rows) * step), _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for row, one in enumerate(classes[:MAX_CLASSES]):
        pen.text((_MARGIN, _MARGIN + row * step + SIDE // 3), one.display_name[:_MAX_NAME], _INK, font)
    small = on_all_cores(lambda cell: _square(read(cell[2])), shown)
    for (row, column, _), image in zip(shown, small, strict=True):
        sheet.paste(image, (_NAME_WIDTH + column * step, _MARGIN + row * step))
    return sheet


def _square(encoded: bytes) -> Image.Image:
    return ImageOps.fit(preprocessing.decode(encoded, shorter_side=SIDE), (SIDE, SIDE))
