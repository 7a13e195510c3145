"""Pictures of what excites a channel, and of what channels tell of two classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cultivar_trainer.inspection.ascent import Ascent
from cultivar_trainer.inspection.page import LINE, MARGIN, WIDTH, Finish, Page, as_picture, page
from cultivar_trainer.inspection.rankings import Separation
from cultivar_trainer.inspection.receptive_field import Box
from cultivar_trainer.reports.style import COLOURS

_PAIRS = 3
"""Images, each beside its part, in a row."""
_GAP = 6
_BINS = 20
_HISTOGRAM = 150
"""Height of a histogram in pixels."""
_COLUMNS = 3
_ASCENT = 360


@dataclass(frozen=True, kw_only=True, slots=True)
class Exciting:
    """An image that excites a channel."""

    pixels: NDArray[np.uint8]
    """(S, S, C)"""
    box: Box
    value: float
    """The channel's largest activation."""
    class_name: str
    position: int
    """Among the validation images."""


def exciting_images(found: Sequence[Exciting], title: str, note: str, finish: Finish) -> None:
    """Draw images with the part that a channel sees, and that part by itself, enlarged."""
    pair = (WIDTH - 2 * MARGIN - (_PAIRS - 1) * 2 * _GAP) / _PAIRS
    side = (pair - _GAP) / 2
    row_height = side + 2 * LINE + _GAP
    top = MARGIN + 3 * LINE
    with page(top + -(-len(found) // _PAIRS) * row_height + MARGIN, finish) as sheet:
        sheet.text(title, MARGIN, MARGIN, size=11)
        sheet.text(note, MARGIN, MARGIN + 1.4 * LINE, size=8, color="0.35")
        for rank, one in enumerate(found):
            row, column = divmod(rank, _PAIRS)
            x, y = MARGIN + column * (pair + 2 * _GAP), top + row * row_height
            sheet.text(f"{rank + 1}. {one.class_name}", x, y, width=pair, size=9)
            told = f"activation {one.value:.4g}, image {one.position}"
            sheet.text(told, x, y + LINE - 3, width=pair, size=8, color="0.35")
            _pair(sheet, one, x, y + 2 * LINE - 4, side)


def _pair(sheet: Page, one: Exciting, x: float, y: float, side: float) -> None:
    from matplotlib.patches import Rectangle

    picture = as_picture(one.pixels)
    left, top, right, bottom = one.box
    axes = sheet.image(picture, x, y, side)
    # White below vermilion: seen on bright and on dark images.
    for colour, width in (("white", 3.5), (COLOURS[1], 1.8)):
        corner = (left - 0.5, top - 0.5)
        axes.add_patch(Rectangle(corner, right - left, bottom - top, fill=False, edgecolor=colour, linewidth=width))
    crop = picture[top:bottom, left:right]
    if crop.size:
        # Parts keep their proportions: a crop at the border is no square.
        scale = side / max(crop.shape[:2])
        sheet.image(crop, x + side + _GAP, y, crop.shape[1] * scale, height=crop.shape[0] * scale)


def gradient_ascent(found: Ascent, pixels: NDArray[np.uint8], title: str, finish: Finish) -> None:
    """Draw the input that was found, and how the activation rose."""
    top = MARGIN + 2 * LINE
    with page(top + _ASCENT + LINE + MARGIN, finish) as sheet:
        sheet.text(title, MARGIN, MARGIN, size=11)
        sheet.image(as_picture(pixels), MARGIN, top, _ASCENT)
        sheet.text(f"the input found: mean activation {found.value:.4g}", MARGIN, top + _ASCENT + 2, width=_ASCENT)
        left = MARGIN + _ASCENT + 90
        axes = sheet.panel(left, top, WIDTH - left - 2 * MARGIN, _ASCENT - 30)
        axes.plot(found.course, color=COLOURS[0])
        axes.set_xlabel("step", fontsize=9)
        axes.set_ylabel("mean activation of the channel", fontsize=9)
        axes.tick_params(labelsize=8)


def separating_channels(
    found: Sequence[Separation], names: tuple[str, str], title: str, note: str, finish: Finish
) -> None:
    """Draw histograms of channels' mean activations in the images of two classes."""
    cell = (WIDTH - 2 * MARGIN) / _COLUMNS
    row_height = _HISTOGRAM + 4 * LINE
    top = MARGIN + 4 * LINE
    with page(top + -(-len(found) // _COLUMNS) * row_height, finish) as sheet:
        sheet.text(title, MARGIN, MARGIN, size=11)
        sheet.text(note, MARGIN, MARGIN + 1.4 * LINE, size=8, color="0.35")
        half = (WIDTH - 2 * MARGIN) / 2
        for number, (name, values) in enumerate(zip(names, (found[0].first, found[0].second), strict=True)):
            line, x = f"{name} ({len(values)} images)", MARGIN + number * half
            mark = sheet.panel(x, MARGIN + 2.5 * LINE, 14, 10)
            mark.set_facecolor(COLOURS[number])
            mark.set_xticks([])
            mark.set_yticks([])
            sheet.text(line, x + 20, MARGIN + 2.4 * LINE, width=half - 30, size=9)
        for rank, one in enumerate(found):
            row, column = divmod(rank, _COLUMNS)
            x, y = MARGIN + column * cell, top + row * row_height
            sheet.text(f"channel {one.channel}: area under ROC {one.area:.3f}", x + 40, y, width=cell - 50, size=9)
            _histogram(sheet, one, x + 44, y + LINE, cell - 62)


def _histogram(sheet: Page, one: Separation, x: float, y: float, width: float) -> None:
    from matplotlib.ticker import MaxNLocator

    axes = sheet.panel(x, y, width, _HISTOGRAM)
    edges = np.linspace(*_range(np.concatenate((one.first, one.second))), _BINS + 1)
    for number, values in enumerate((one.first, one.second)):
        counts, _ = np.histogram(values, edges)
        axes.stairs(counts, edges, fill=True, color=COLOURS[number], alpha=0.35)
        axes.stairs(counts, edges, color=COLOURS[number], linestyle=("-", "--")[number])
    axes.tick_params(labelsize=7)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("mean activation", fontsize=8, labelpad=1)
    axes.set_ylabel("images", fontsize=8, labelpad=1)


def _range(values: NDArray[np.float32]) -> tuple[float, float]:
    """Return the lowest and highest value, apart from each other."""
    low, high = float(values.min()), float(values.max())
    margin = 0.5 * max(1e-6, abs(low) * 1e-3)
    return (low, high) if high - low > margin else (low - margin, high + margin)
