"""The curves as they are drawn: what stands where, and that it can be read."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from histories import TOP1, history, overfitted
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.loop.history import Histories, History
from cultivar_trainer.reports import curves
from cultivar_trainer.reports.course import Setting, follow
from cultivar_trainer.reports.fit import judge

SETTING = Setting(train_images=2000, val_images=400, chance=0.1, harder=("augmentation", "mixup", "label smoothing"))


def body_of(made: History, others: int = 0, loss: pb.LossKind = pb.LOSS_KIND_CROSS_ENTROPY) -> dict[str, Any]:
    course = follow(made, SETTING)
    recipe = pb.TrainingSpec(selection_metric=TOP1, loss=pb.LossSpec(kind=loss))
    histories = Histories(candidates=[*[History()] * others, made], selected=others)
    return curves.curves(histories, recipe, course, judge(course, SETTING))


def texts(figure: Figure) -> list[Text]:
    """Return the texts that are drawn: of ticks only those inside the axes."""
    unseen = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not low <= tick.get_loc() <= high:
                unseen |= {tick.label1, tick.label2}
    found = [one for one in figure.findobj(Text) if isinstance(one, Text) and one not in unseen]
    return [one for one in found if one.get_visible() and one.get_text()]


@pytest.mark.parametrize(
    "body",
    [
        body_of(overfitted(20, warmup=1), others=5),
        body_of(overfitted(400, warmup=3), loss=pb.LOSS_KIND_BINARY_CROSS_ENTROPY),
        body_of(history(1, lambda _: (1e5, 0.0, 1e6, 0.0))),
    ],
    ids=["20 epochs of the sixth candidate", "400 epochs", "one epoch"],
)
def test_no_text_overlaps_another_or_leaves_the_picture(body: dict[str, Any]) -> None:
    with curves.drawn(body) as figure:
        figure.canvas.draw()
        boxes = [(one.get_text(), one.get_window_extent()) for one in texts(figure)]
        shown = [(text, box) for text, box in boxes if box.width]
        width, height = figure.bbox.size

    assert len(shown) > 10
    for (text, box), (other, other_box) in combinations(shown, 2):
        assert not box.overlaps(other_box), (text, other)
    for text, box in shown:
        assert 0 <= box.x0 < box.x1 <= width, text
        assert 0 <= box.y0 < box.y1 <= height, text


def test_axes_are_named_with_units_and_marks_are_where_the_history_says() -> None:
    made = overfitted(20, warmup=4)
    with curves.drawn(body_of(made)) as figure:
        loss, accuracy, rate = figure.axes
        lines = {line.get_label(): line.get_xdata() for line in loss.lines}
        legend = [one.get_text() for one in figure.legends[0].get_texts()]

        assert [axes.get_ylabel() for axes in figure.axes] == [
            "loss (nats)",
            "top-1 accuracy\n(share of images)",
            "learning rate\n(per update)",
        ]
        assert rate.get_xlabel() == "epoch"
        assert list(loss.lines[0].get_ydata()) == [one.train_loss for one in made.epochs]
        assert list(loss.lines[1].get_ydata()) == [one.val_loss for one in made.epochs]
        assert list(accuracy.lines[1].get_ydata()) == [one.val_accuracy for one in made.epochs]
        assert list(rate.lines[0].get_ydata()) == [one.learning_rate for one in made.epochs]
        assert rate.get_yscale() == "log"  # a hundred times less after the warm-up
        assert list(lines[f"selected epoch {made.best_epoch}"]) == [made.best_epoch] * 2
        assert list(lines["validation loss turns up after epoch 8"]) == [8, 8]
        assert [(one.get_x(), one.get_x() + one.get_width()) for one in loss.patches] == [(0.5, 4.5), (4.5, 20.5)]
        assert legend[-2:] == ["phase HEAD_WARMUP", "phase TRAINING"]


def test_a_plain_training_shows_no_marks_that_are_not_there() -> None:
    body = body_of(history(10, lambda number: (1 / number, 0.95, 1 / number, 0.95)))
    with curves.drawn(body) as figure:
        legend = [one.get_text() for one in figure.legends[0].get_texts()]

    assert legend == ["training, as seen", "validation", "selected epoch 1"]
    assert (body["turning_epoch"], body["phases"]) == (
        None,
        [{"phase": "TRAINING", "first_epoch": 1, "last_epoch": 10}],
    )


def test_losses_of_other_kinds_say_so() -> None:
    body = body_of(overfitted(), loss=pb.LOSS_KIND_MULTI_CLASS_HINGE)
    with curves.drawn(body) as figure:
        assert figure.axes[0].get_ylabel() == "loss (see legend)"
        assert [one.get_label() for one in figure.axes[0].lines[:2]] == [
            "training, as seen (hinge)",
            "validation (nats)",
        ]


def test_a_loss_that_begins_far_above_is_drawn_on_a_logarithmic_axis() -> None:
    with curves.drawn(body_of(history(10, lambda number: (1e3 if number == 1 else 0.5, 0.5, 0.5, 0.5)))) as figure:
        assert figure.axes[0].get_yscale() == "log"


def test_equal_histories_give_equal_files_that_programs_and_people_read(tmp_path: Path) -> None:
    made = overfitted()
    course = follow(made, SETTING)
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        curves.write_curves(
            tmp_path / name,
            Histories(candidates=[made], selected=0),
            pb.TrainingSpec(selection_metric=TOP1),
            course,
            judge(course, SETTING),
        )
        for epoch in made.epochs:  # times differ from run to run
            object.__setattr__(epoch, "train_seconds", 2.0)

    for name in curves.FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
    body = json.loads((tmp_path / "one/curves.json").read_text())
    assert [(one["name"], one["unit"]) for one in body["series"]] == [
        ("train_loss", "nats"),
        ("val_loss", "nats"),
        ("train_accuracy", "share of images"),
        ("val_accuracy", "share of images"),
        ("learning_rate", "per update"),
    ]
    assert body["series"][1]["values"] == [one.val_loss for one in made.epochs]
    assert (body["selected_epoch"], body["turning_epoch"]) == (made.best_epoch, 8)
    assert (body["fit"]["verdict"], body["fit"]["numbers"]["gap"]) == ("OVERFITTING", course.gap)
    with Image.open(tmp_path / "one/curves.png") as picture:
        assert 800 <= picture.width <= 1000
