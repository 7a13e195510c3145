"""A page of panels and texts at given pixels, so that no text ever meets another."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cultivar_trainer.reports.style import drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Finish = Callable[["Figure"], None]
"""What is done with a picture that is drawn: saving it."""

WIDTH = 900
"""Pixels."""
MARGIN = 12
"""Pixels around all."""
LINE = 18
"""Height of a line of text in pixels."""
_PIXELS_PER_INCH = 100
_MAX_LETTERS, _SHORTEST = 300, 4
"""Letters of a line, before and after it is cut."""


class Page:
    """Places panels and texts by pixels from the upper left corner."""

    def __init__(self, figure: "Figure", height: int) -> None:
        self.figure = figure
        self._height = height

    def panel(self, left: float, top: float, width: float, height: float) -> "Axes":
        """Add axes."""
        bottom = 1 - (top + height) / self._height
        return self.figure.add_axes((left / WIDTH, bottom, width / WIDTH, height / self._height))

    def image(
        self, pixels: NDArray[Any], left: float, top: float, side: float, *, height: float = 0.0, **style: Any
    ) -> "Axes":
        """Show pixels (H, W, 3), or (H, W) in the colours of `style`, in a square or in `side` by `height`."""
        axes = self.panel(left, top, side, height or side)
        axes.set_axis_off()
        axes.imshow(pixels, aspect="auto", interpolation="nearest", **style)
        return axes

    def text(
        self, text: str, left: float, top: float, *, width: float = WIDTH - 2 * MARGIN, size: float = 9, **style: Any
    ) -> None:
        """Write one line, cut to a width in pixels. Names are no formulas, whatever they are made of."""
        line = short(text, _MAX_LETTERS)
        place = (left / WIDTH, 1 - top / self._height)
        drawn = self.figure.text(*place, line, fontsize=size, va="top", ha="left", parse_math=False, **style)
        while (taken := drawn.get_window_extent().width) > width and len(line) > _SHORTEST:
            line = short(line, max(_SHORTEST, min(len(line) - 1, int(len(line) * width / taken))))
            drawn.set_text(line)


@contextmanager
def page(height: float, finish: Finish) -> Iterator[Page]:
    """Give an empty page of that many pixels; it goes to `finish` at the end."""
    with drawing(rows=1, row_inches=height / _PIXELS_PER_INCH) as figure:
        figure.set_layout_engine("none")
        yield Page(figure, int(height))
        finish(figure)


def short(text: str, letters: int) -> str:
    """Return a text on one line, at most so long."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return line if len(line) <= letters else line[: max(1, letters - 2)].rstrip(".") + ".."


def as_picture(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return pixels (H, W, C) as imshow takes them: grey images in three channels."""
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
