"""The report's pictures: a split's confusion matrix and its reliability diagram, side by side."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cultivar_trainer.reports import style
from cultivar_trainer.reports.evaluation.measures import BINS
from cultivar_trainer.reports.evaluation.split import SplitFigures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_NAMED = 20
"""Classes up to which the matrix names them."""
_MAX_COUNTED = 12
"""Classes up to which it writes counts into its cells: hundreds of texts take a second."""
_MAX_CELLS = 512
"""Rows and columns of a matrix; more classes share them."""
_MAX_NAME = 16
"""Characters of a class's name."""
_NAME_POINTS = 8
_NUMBERS_PIXELS = 62
"""Room for an axis' ticks, numbers and title."""
_ROW_INCHES, _TALL_INCHES = 4.6, 5.2
"""Height without and with more than a dozen names, which need a line each."""


@contextmanager
def picture(figures: SplitFigures, names: Sequence[str]) -> Iterator["Figure"]:
    """Draw a split's confusion matrix and reliability diagram.

    Args:
        figures: of the split.
        names: to show, of every class in label order; they may be anything.
    """
    shown = [short(name) for name in names] if len(names) <= MAX_NAMED else []
    row_inches = _TALL_INCHES if len(shown) > _MAX_COUNTED else _ROW_INCHES
    with style.drawing(columns=2, row_inches=row_inches) as figure, warnings.catch_warnings():
        # Fonts lack some scripts; whoever looks at an SVG has others.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        # Margins by hand: finding them by drawing everything twice takes as long again.
        figure.set_layout_engine("none")
        width, height = figure.get_size_inches() * figure.dpi
        room = _NUMBERS_PIXELS + _widest(figure, shown)
        left, bottom = room / width, room / height
        matrix = figure.add_axes((left, bottom, 0.53 - left, 0.91 - bottom))
        diagram = figure.add_axes((0.63, 0.13, 0.35, 0.78))
        _draw_matrix(matrix, figures, len(names), shown)
        _draw_reliability(diagram, figures)
        yield figure


def short(name: str) -> str:
    """Return a name without what fonts and XML do not have, short enough for a picture: names may share either end."""
    plain = "".join(one if one.isprintable() else "\ufffd" for one in name)
    half = _MAX_NAME // 2
    return plain if len(plain) <= _MAX_NAME else f"{plain[: half - 1]}…{plain[-half:]}"


def _widest(figure: "Figure", names: Sequence[str]) -> float:
    """Return the width of the widest name in pixels, 0 without names."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.font_manager import FontProperties

    renderer, font = FigureCanvasAgg(figure).get_renderer(), FontProperties(size=_NAME_POINTS)  # type: ignore[no-untyped-call]
    return max((renderer.get_text_width_height_descent(name, font, False)[0] for name in names), default=0.0)


def _draw_matrix(axes: "Axes", figures: SplitFigures, num_classes: int, names: Sequence[str]) -> None:
    cells = min(num_classes, _MAX_CELLS)
    limits = ((0, num_classes), (0, num_classes))
    counts = np.histogram2d(figures.labels, figures.answers, bins=cells, range=limits)[0]  # (class, answer)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.grid(False)
    ends = (-0.5, num_classes - 0.5, num_classes - 0.5, -0.5)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest", aspect="auto", extent=ends)
    axes.set_title("confusion matrix (share of class)", loc="left", fontsize=9)
    axes.set_xlabel("answer" if names else "answer (class number)", fontsize=9)
    axes.set_ylabel("class" if names else "class (number)", fontsize=9)
    axes.tick_params(labelsize=_NAME_POINTS)
    if not names:
        numbers = range(0, num_classes, num_classes // 5)
        axes.set_xticks(numbers)
        axes.set_yticks(numbers)
        return
    axes.set_xticks(range(num_classes), names, rotation=90)
    axes.set_yticks(range(num_classes), names)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)  # a name may hold dollar signs
    if num_classes <= _MAX_COUNTED:
        _write_counts(axes, counts, shares)


def _write_counts(axes: "Axes", counts: NDArray[np.float64], shares: NDArray[np.float64]) -> None:
    size = 9 if len(counts) <= 8 else 8
    for row, column in np.argwhere(counts > 0):
        colour = "white" if shares[row, column] > 0.5 else "black"
        text = str(int(counts[row, column]))
        points = size if len(text) < 4 else size - 2
        axes.text(column, row, text, ha="center", va="center", fontsize=points, color=colour)


def _draw_reliability(axes: "Axes", figures: SplitFigures) -> None:
    filled = [one for one in figures.bins if one.image_count]
    places: Any = [(one.low + one.high) / 2 for one in filled]
    heights = [one.accuracy for one in filled]
    axes.bar(places, heights, width=0.9 / BINS, color=style.VALIDATION, label="accuracy of the answers")
    axes.plot([0, 1], [0, 1], color="black", linestyle="--", label="perfect calibration")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.tick_params(labelsize=8)
    axes.set_title(f"reliability: calibration error {figures.calibration_error:.3f}", loc="left", fontsize=9)
    axes.set_xlabel("probability of the answer", fontsize=9)
    axes.set_ylabel("top-1 accuracy", fontsize=9)
    axes.legend(loc="upper left", fontsize=8, frameon=True, edgecolor="none")
