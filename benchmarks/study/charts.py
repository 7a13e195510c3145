"""The study's pictures, drawn from results alone in the house's style."""

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.study.cells import Question, Variant
from benchmarks.study.results import Line, Results, accuracy
from cultivar_trainer.reports import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Chart = Callable[[Question, Results, Path], None]
ALL_IMAGES = 40
"""Training images of each species, where all take part in the small study."""
_NAMES = {
    "train_loss": "training loss (nats)",
    "val_loss": "validation loss (nats)",
    "train_accuracy": "training accuracy (share)",
    "val_accuracy": "validation accuracy (share)",
    "learning_rate": "learning rate",
}


def draw(question: Question, results: Results, path: Path) -> bool:
    """Draw a question's picture; tell whether there were at least two variants to compare."""
    if sum(bool(results.runs(variant)) for variant in question.variants) < 2:
        return False
    _CHARTS.get(question.key, _curves("train_loss", "val_accuracy"))(question, results, path)
    return True


def _curves(left: str, right: str, *, top: dict[str, float] | None = None) -> Chart:
    """Make a chart of two figures over epochs, a line a variant: means over its seeds, the range between them shaded.

    Args:
        left: of `_NAMES`.
        right: likewise.
        top: where an axis ends, for figures that leave it.
    """

    def chart(question: Question, results: Results, path: Path) -> None:
        with style.drawing(columns=2, row_inches=4.4) as figure:
            axes = figure.subplots(1, 2)
            for one, name in zip(axes, (left, right), strict=True):
                _label(one, "epoch", _NAMES[name])
                if top and name in top:
                    one.set_ylim(top=top[name])
            shown = _shown(question, results)
            span = max((len(run["epochs"]) for run in shown[0][1]), default=0)  # of the first: a longer one is cut off
            for (variant, runs), (colour, line) in zip(shown, style.line_styles(len(shown)), strict=True):
                for one, name in zip(axes, (left, right), strict=True):
                    _line(one, [run["epochs"][:span] for run in runs], name, variant.label, colour, line)
            handles, labels = axes[0].get_legend_handles_labels()
            columns = 4 if len(labels) <= 4 else 3
            figure.legend(handles, labels, loc="outside lower center", ncols=columns, title=question.factor or None)
            style.save(figure, path)

    return chart


def _line(axes: "Axes", runs: Sequence[list[Line]], name: str, label: str, colour: str, line: str) -> None:
    curves = [[epoch[name] for epoch in epochs] for epochs in runs if epochs]
    if not curves:  # it diverged before its first epoch was over
        axes.plot([], [], colour, linestyle=line, label=f"{label} (diverged)")
        return
    length = min(map(len, curves))
    columns = list(zip(*(curve[:length] for curve in curves), strict=True))
    epochs = range(1, length + 1)
    marker = "o" if length == 1 else None
    axes.plot(epochs, [statistics.mean(one) for one in columns], colour, linestyle=line, label=label, marker=marker)
    if len(curves) > 1:
        axes.fill_between(epochs, list(map(min, columns)), list(map(max, columns)), color=colour, alpha=0.15, lw=0)


def _images_per_class(question: Question, results: Results, path: Path) -> None:
    """Draw accuracy over images per class, a line a mode; bars are standard deviations over seeds."""
    modes: dict[str, list[tuple[int, float, float]]] = {}
    for variant, runs in _shown(question, results):
        found = accuracy(runs)
        if found:
            mode = variant.label.rpartition(", ")[0]
            modes.setdefault(mode, []).append((_images_of(variant), found.mean, found.deviation))
    with style.drawing(row_inches=4.4) as figure:
        axes = figure.subplots()
        _label(axes, "training images per class", _NAMES["val_accuracy"])
        axes.set_xscale("log")
        for (mode, points), (colour, line) in zip(modes.items(), style.line_styles(len(modes)), strict=True):
            counts, means, deviations = zip(*sorted(points), strict=True)
            axes.errorbar(counts, means, deviations, color=colour, linestyle=line, marker="o", capsize=4, label=mode)
        ticks = sorted({count for points in modes.values() for count, *_ in points})
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.set_xlim(ticks[0] / 1.3, ticks[-1] * 1.3)
        axes.set_ylim(0, 1)
        axes.legend(loc="lower right", bbox_to_anchor=(1, 0.12))
        style.save(figure, path)


def _images_of(variant: Variant) -> int:
    return int(str(variant.spec["data.max_train_images_per_class"])) or ALL_IMAGES


def _depth(question: Question, results: Results, path: Path) -> None:
    """Draw the norm of each layer's gradient, before and after training."""
    with style.drawing(columns=2, row_inches=4.4) as figure:
        axes = figure.subplots(1, 2, sharey=True)
        for one, name in zip(axes, ("before", "after"), strict=True):
            _label(one, "weight layer, 1 next to the input", "")
            one.set_title(f"{name} training")
            one.set_yscale("log")
        axes[0].set_ylabel("gradient norm of the weights")
        measured = [
            (variant.label, line)
            for variant, runs in _shown(question, results)
            if (line := results.measured("gradients", runs[0]["key"])) is not None
        ]
        for (label, line), (colour, dashes) in zip(measured, style.line_styles(len(measured)), strict=True):
            for one, name in zip(axes, ("before", "after"), strict=True):
                norms = line[name]
                one.plot(range(1, len(norms) + 1), norms, colour, linestyle=dashes, marker="o", ms=3, label=label)
        handles, labels = axes[0].get_legend_handles_labels()
        if handles:
            figure.legend(handles, labels, loc="outside lower center", ncols=3)
        style.save(figure, path)


def _batch_size(question: Question, results: Results, path: Path) -> None:
    """Draw time per update, time per epoch and accuracy over the batch size."""
    shown = sorted(_shown(question, results), key=lambda one: int(one[0].label))
    sizes = [int(variant.label) for variant, _ in shown]
    seconds = [epoch_seconds(runs) for _, runs in shown]
    updates = [runs[0]["epochs"][0]["step"] for _, runs in shown]
    with style.drawing(columns=3, row_inches=3.6) as figure:
        axes = figure.subplots(1, 3)
        rows = (
            ([1000 * time / count for time, count in zip(seconds, updates, strict=True)], "time per update (ms)"),
            (seconds, "time per epoch (s)"),
            ([found.mean if (found := accuracy(runs)) else 0.0 for _, runs in shown], _NAMES["val_accuracy"]),
        )
        for one, (values, name) in zip(axes, rows, strict=True):
            _label(one, "batch size (images)", name)
            one.set_xscale("log", base=2)
            one.set_xticks(sizes, [str(size) for size in sizes])
            one.plot(sizes, values, style.TRAINING if "time" in name else style.VALIDATION, marker="o")
            one.set_ylim(bottom=0)
        style.save(figure, path)


def epoch_seconds(runs: Sequence[Line]) -> float:
    """Return the median seconds of a training epoch, the first ones left out: they warm up."""
    seconds: list[float] = [epoch["train_seconds"] for run in runs for epoch in run["epochs"][1:]]
    return statistics.median(seconds)


def _shown(question: Question, results: Results) -> list[tuple[Variant, list[Line]]]:
    return [(variant, runs) for variant in question.variants if (runs := results.runs(variant))]


def _label(axes: "Axes", x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if x == "epoch":
        axes.locator_params(axis="x", integer=True)


_CHARTS: dict[str, Chart] = {
    "images-per-class": _images_per_class,
    "depth": _depth,
    "batch-size": _batch_size,
    "learning-rate": _curves("train_loss", "val_accuracy", top={"train_loss": 3.0}),
    "schedule": _curves("learning_rate", "val_accuracy"),
    "regularisation": _curves("val_loss", "val_accuracy"),
    "augmentation": _curves("train_accuracy", "val_accuracy"),
}
