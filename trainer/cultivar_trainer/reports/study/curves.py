"""The four curves of a study, overlaid over its variants in one picture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cultivar.v1 import study_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.reports import style
from cultivar_trainer.reports.study.trials import FIGURES, Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_EXPLODED = 100.0
"""How much higher than another line's top one must be for a logarithmic axis: it would flatten all others."""
_MARKED_EPOCHS = 20
"""Up to so many epochs each is a dot too."""
_DRAWN_EPOCHS = 400
"""More can't be told apart in a picture so wide, and would make the SVG large."""
_LEGEND_MARGIN_INCHES = 0.1
_BAND_ALPHA = 0.15
_APART = 0.02
"""Epochs between variants that have one epoch."""

Curve = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Epochs, and over them the mean, smallest and largest value of all seeds."""


def draw(figure: "Figure", study: study_pb2.TrainingStudy, trials: Sequence[Trial]) -> None:
    """Fill an empty figure with four axes: a line per variant, a band from the lowest to the highest seed.

    Where seeds end at different epochs, later points are of those that go on. The legend stands below the axes, so it
    covers no line.

    Args:
        figure: two rows high; becomes higher by the legend.
        study: names the variants and their order.
        trials: with their histories; those without are left out.
    """
    from matplotlib.ticker import MaxNLocator

    variants = [one.variant for one in study.spec.variants]
    by_variant = {name: [one for one in trials if one.variant == name and one.epochs] for name in variants}
    # A hinge has no unit, so it shares no axis with the cross-entropy that all validation losses are.
    kinds = [study.spec.base.loss.kind, *(one.changes.loss.kind for one in study.spec.variants)]
    hinge = pb.LOSS_KIND_MULTI_CLASS_HINGE in kinds
    axes = list(figure.subplots(2, 2, sharey=False if hinge else "row").flat)
    for name, one in zip(FIGURES, axes, strict=True):
        lines = _draw_lines(one, name, by_variant)
        one.set_xlabel("epoch")
        one.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, nbins=8))
        one.tick_params(labelleft=True)
    for one, name, unit in zip(
        axes, ("training loss", "validation loss"), ("" if hinge else "nats", "nats"), strict=False
    ):
        scale = _log_scale(one)
        told = ", ".join(filter(None, (unit, scale)))
        one.set_ylabel(f"{name} ({told})" if told else name)
    for one, name in zip(axes[2:], ("training accuracy", "validation accuracy"), strict=True):
        one.set_ylabel(f"{name} (top-1)")
    _add_legend(figure, lines, variants)


def over_seeds(trials: Sequence[Trial], figure: str) -> Curve:
    """Return a figure's mean, smallest and largest value in each epoch, over the trials that reached it."""
    length = max((one.epochs for one in trials), default=0)
    if not length:
        return np.zeros(0, np.int64), *(np.zeros(0),) * 3
    values = np.full((len(trials), length), np.nan)
    for row, trial in zip(values, trials, strict=True):
        row[: trial.epochs] = trial.columns[figure]
    places = np.unique(np.linspace(0, length - 1, min(length, _DRAWN_EPOCHS)).round().astype(int))
    values = values[:, places]
    return places + 1, np.nanmean(values, axis=0), np.nanmin(values, axis=0), np.nanmax(values, axis=0)


def _draw_lines(axes: "Axes", figure: str, by_variant: dict[str, list[Trial]]) -> list["Line2D"]:
    """Draw a figure's line and band for each variant; return the lines, empty ones for variants without a history."""
    lines = []
    for place, (trials, (colour, dashes)) in enumerate(
        zip(by_variant.values(), style.line_styles(len(by_variant)), strict=True)
    ):
        epochs, mean, low, high = over_seeds(trials, figure)
        # Single epochs would stand on top of each other.
        at = epochs if len(epochs) != 1 else epochs + _APART * (place - (len(by_variant) - 1) / 2)
        marker = "." if len(epochs) <= _MARKED_EPOCHS else ""
        lines += axes.plot(at, mean, color=colour, linestyle=dashes, marker=marker)
        if len(trials) > 1 and len(epochs) > 1:
            axes.fill_between(at, low, high, color=colour, alpha=_BAND_ALPHA, linewidth=0)
        elif len(trials) > 1:  # a band of one epoch has no width
            axes.vlines(at, low, high, color=colour)
    return lines


def _log_scale(axes: "Axes") -> str:
    """Make an axis logarithmic where a loss on it explodes; return how its label says so."""
    siblings = axes.get_shared_y_axes().get_siblings(axes)
    lines = [np.asarray(line.get_ydata(), dtype=float) for one in siblings for line in one.get_lines()]
    drawn = [values for values in lines if len(values)]
    tops = [values.max() for values in drawn]
    if tops and min(values.min() for values in drawn) > 0 and max(tops) > _EXPLODED * min(tops):
        axes.set_yscale("log")
        return "log scale"
    return ""


def _add_legend(figure: "Figure", lines: Sequence["Line2D"], variants: Sequence[str]) -> None:
    """Put a legend below the axes, in as many columns as the names leave room for."""
    for columns in range(min(len(variants), 5), 0, -1):
        legend = figure.legend(lines, variants, loc="outside lower center", ncols=columns)
        for text in legend.get_texts():
            text.set_parse_math(False)  # a name is no formula
        extent = legend.get_window_extent()
        if columns == 1 or extent.width <= figure.bbox.width * 0.98:
            figure.set_figheight(figure.get_figheight() + extent.height / figure.dpi + _LEGEND_MARGIN_INCHES)
            return
        legend.remove()
