"""The curves of a training: for programs as JSON, for people drawn from the same JSON."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from statistics import median
from textwrap import fill
from typing import TYPE_CHECKING, Any

from cultivar.v1 import event_pb2, state_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import files
from cultivar_trainer.loop.history import Histories, History
from cultivar_trainer.reports import style
from cultivar_trainer.reports.course import Course

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FILES = ("curves.json", "curves.svg", "curves.png")
_LOSSES = {
    pb.LOSS_KIND_BINARY_CROSS_ENTROPY: "nats, summed over classes",
    pb.LOSS_KIND_MULTI_CLASS_HINGE: "hinge",
}
_MOST_MARKERS = 60
"""Epochs up to which each gets a point."""
_FAR = 20.0
"""A curve whose largest value is so many times its median is drawn on a logarithmic axis."""
_SEVERAL_RATES = 10.0
"""Likewise learning rates, where one phase's peak is so many times another's."""
_TITLE_LETTERS = 115
"""In a line of the title: as many as the narrowest axes hold."""
_SELECTED, _TURNING = "#000000", "#CC79A7"
_SHADES = {"HEAD_WARMUP": "#56B4E9", "TRAINING": "#BBBBBB"}


def write_curves(
    folder: Path, histories: Histories, recipe: pb.TrainingSpec, course: Course, fit: event_pb2.FitAssessed
) -> None:
    """Write the selected candidate's curves as `curves.json`, `.svg` and `.png`; equal histories give equal bytes."""
    body = curves(histories, recipe, course, fit)
    files.write_json(folder / FILES[0], body)
    with drawn(body) as figure:
        for name in FILES[1:]:
            style.save(figure, folder / name)


def curves(histories: Histories, recipe: pb.TrainingSpec, course: Course, fit: event_pb2.FitAssessed) -> dict[str, Any]:
    """Return the selected candidate's curves with units, marks and verdict, and nothing that a clock said."""
    best = histories.best
    unit = _LOSSES.get(recipe.loss.kind, "nats")
    series = [
        ("train_loss", "training", unit, "loss"),
        ("val_loss", "validation", "nats", "loss"),
        ("train_accuracy", "training", "share of images", "top-1 accuracy"),
        ("val_accuracy", "validation", "share of images", "top-1 accuracy"),
        ("learning_rate", "learning rate", "per update", "learning rate"),
    ]
    return {
        "schema_version": 1,
        "epochs": [one.epoch for one in best.epochs],
        "series": [
            {
                "name": name,
                "label": label,
                "quantity": quantity,
                "unit": unit,
                "values": [getattr(one, name) for one in best.epochs],
            }
            for name, label, unit, quantity in series
        ],
        "phases": _phases(best),
        "selected_epoch": best.best_epoch,
        "selection_metric": pb.SelectionMetric.Name(recipe.selection_metric).removeprefix("SELECTION_METRIC_"),
        "turning_epoch": course.turning_epoch,
        "candidate": {
            "number": histories.selected + 1,
            "of": len(histories.candidates),
            "learning_rate": best.learning_rate,
            "weight_decay": best.weight_decay,
        },
        "fit": {
            "verdict": event_pb2.FitVerdict.Name(fit.verdict).removeprefix("FIT_VERDICT_"),
            "reason": fit.reason,
            "remedy": fit.remedy,
            "numbers": asdict(course),
        },
    }


@contextmanager
def drawn(body: dict[str, Any]) -> Iterator["Figure"]:
    """Give a figure of loss, accuracy and learning rate below each other, over the same epochs.

    Args:
        body: as `curves` returns it.
    """
    with style.drawing(rows=3, row_inches=2.7) as figure:
        _draw(figure, body)
        yield figure


def _draw(figure: "Figure", body: dict[str, Any]) -> None:
    loss, accuracy, rate = figure.subplots(3, 1, sharex=True, gridspec_kw={"height_ratios": (3, 3, 1.6)})
    series = {one["name"]: one for one in body["series"]}
    epochs = body["epochs"]
    for axes, kind in ((loss, "loss"), (accuracy, "accuracy")):
        _pair(axes, epochs, series[f"train_{kind}"], series[f"val_{kind}"])
    _line(rate, epochs, series["learning_rate"], style.COLOURS[2])
    units = {one["unit"] for one in body["series"] if one["quantity"] == "loss"}
    loss.set_ylabel("loss (nats)" if len(units) == 1 else "loss (see legend)")
    accuracy.set_ylabel("top-1 accuracy\n(share of images)")
    rate.set_ylabel("learning rate\n(per update)")
    rate.set_xlabel("epoch")
    if _is_far(series["train_loss"]["values"] + series["val_loss"]["values"]):
        loss.set_yscale("log")
    peaks = [
        max(series["learning_rate"]["values"][one["first_epoch"] - 1 : one["last_epoch"]]) for one in body["phases"]
    ]
    if min(peaks) > 0 and max(peaks) >= _SEVERAL_RATES * min(peaks):
        rate.set_yscale("log", nonpositive="mask")
        rate.set_ylim(bottom=min(peaks) / 100)  # a schedule that ends at 0 would stretch it without end
    else:
        rate.set_ylim(bottom=0)
    if len(epochs) == 1:
        loss.set_ylim(0, 1.1 * max(series["train_loss"]["values"] + series["val_loss"]["values"]))
        accuracy.set_ylim(0, 1)
    for axes in (loss, accuracy, rate):
        _mark(axes, body)
    _count(rate, len(epochs))
    handles, labels = loss.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, fontsize=9)
    loss.set_title(_title(body), fontsize=9, loc="left", parse_math=False)


def _phases(history: History) -> list[dict[str, Any]]:
    """Return runs of epochs of one phase each."""
    runs = [(phase, list(group)) for phase, group in groupby(history.epochs, key=lambda one: one.phase)]
    return [
        {
            "phase": state_pb2.TrainingPhase.Name(phase).removeprefix("TRAINING_PHASE_"),
            "first_epoch": group[0].epoch,
            "last_epoch": group[-1].epoch,
        }
        for phase, group in runs
    ]


def _pair(axes: "Axes", epochs: list[int], training: dict[str, Any], validation: dict[str, Any]) -> None:
    same = training["unit"] == validation["unit"]
    for one, colour, line in ((training, style.TRAINING, "-"), (validation, style.VALIDATION, "--")):
        label = one["label"] + (", as seen" if one is training else "") + ("" if same else f" ({one['unit']})")
        _line(axes, epochs, one, colour, line, label)


def _line(
    axes: "Axes", epochs: list[int], one: dict[str, Any], colour: str, line: str = "-", label: str | None = None
) -> None:
    marker = "o" if len(epochs) <= _MOST_MARKERS else ""
    axes.plot(epochs, one["values"], color=colour, linestyle=line, marker=marker, markersize=4, label=label)


def _mark(axes: "Axes", body: dict[str, Any]) -> None:
    """Mark the selected and the turning epoch, and shade phases where there are several."""
    selected, turning = body["selected_epoch"], body["turning_epoch"]
    if turning is not None:  # below the other, wider: both are seen where they are the same epoch
        label = f"validation loss turns up after epoch {turning}"
        axes.axvline(turning, color=_TURNING, linewidth=4, alpha=0.7, zorder=0.8, label=label)
    axes.axvline(
        selected, color=_SELECTED, linestyle=":", linewidth=1.5, zorder=0.9, label=f"selected epoch {selected}"
    )
    if len(body["phases"]) > 1:
        for phase in body["phases"]:
            left, right = phase["first_epoch"] - 0.5, phase["last_epoch"] + 0.5
            shade, name = _SHADES[phase["phase"]], f"phase {phase['phase']}"
            axes.axvspan(left, right, color=shade, alpha=0.2, linewidth=0, zorder=0.5, label=name)


def _count(axes: "Axes", epochs: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(0.5, epochs + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _is_far(values: list[float]) -> bool:
    return min(values) > 0 and max(values) > _FAR * median(values)


def _title(body: dict[str, Any]) -> str:
    candidate, fit = body["candidate"], body["fit"]
    lines = [fill(f"{fit['verdict']}: {fit['reason']}", _TITLE_LETTERS)]
    if candidate["of"] > 1:
        lines.insert(
            0,
            f"candidate {candidate['number']} of {candidate['of']}: learning rate {candidate['learning_rate']:g}, "
            f"weight decay {candidate['weight_decay']:g}",
        )
    return "\n".join(lines)
