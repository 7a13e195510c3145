from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawn_study import drawn_study

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.reports import style
from cultivar_trainer.reports.study import curves, trials

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox


@contextmanager
def picture(folder: Path, *, hinge: bool = False, **shape: object) -> Iterator["Figure"]:
    drawn = drawn_study(folder, **shape)
    if hinge:
        drawn.study.spec.base.loss.kind = pb.LOSS_KIND_MULTI_CLASS_HINGE
    with style.drawing(rows=2, columns=2) as figure:
        curves.draw(figure, drawn.study, trials.read(drawn.study, drawn.runs))
        figure.canvas.draw()
        yield figure


def shown_texts(figure: "Figure") -> list["Text"]:
    """All texts that are drawn: matplotlib also keeps labels of ticks beyond an axis's ends."""
    texts = [text for legend in figure.legends for text in legend.get_texts()]
    for axes in figure.axes:
        texts += [axes.xaxis.label, axes.yaxis.label, axes.title]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            texts += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [text for text in texts if text.get_visible() and text.get_text()]


def overlaps(one: "Bbox", other: "Bbox") -> bool:
    return min(one.x1, other.x1) > max(one.x0, other.x0) and min(one.y1, other.y1) > max(one.y0, other.y0)


@pytest.mark.parametrize(
    "shape",
    [
        {"variants": 8, "exploding": "mixup"},
        pytest.param({"variants": 2, "epochs": 1}, marks=pytest.mark.slow),
        pytest.param({"variants": 3, "seeds": 1, "epochs": 300}, marks=pytest.mark.slow),
        pytest.param({"variants": 32, "seeds": 2, "epochs": 40}, marks=pytest.mark.slow),
    ],
)
def test_texts_lie_in_the_picture_and_none_over_another_nor_over_axes(tmp_path: Path, shape: dict[str, object]) -> None:
    with picture(tmp_path, **shape) as figure:
        boxes = [(text, text.get_window_extent()) for text in shown_texts(figure)]
        legend = figure.legends[0].get_window_extent()

        for place, (text, box) in enumerate(boxes):
            assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text
            assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text
            for other, its in boxes[place + 1 :]:
                assert not overlaps(box, its), f"{text} is over {other}"
        assert not any(overlaps(legend, axes.bbox) for axes in figure.axes)
        # 800 pixels wide, the smallest letters are still 8 points high.
        assert min(text.get_fontsize() for text, _ in boxes) * 800 / figure.bbox.width >= 8


@pytest.mark.slow
def test_axes_are_named_with_their_units_and_an_exploding_loss_makes_its_axis_logarithmic(tmp_path: Path) -> None:
    names = []
    for exploding in ("", "head"):
        with picture(tmp_path / exploding / "study", exploding=exploding) as figure:
            names.append([axes.get_ylabel() for axes in figure.axes])
            assert {axes.get_xlabel() for axes in figure.axes} == {"epoch"}
    with picture(tmp_path / "hinge", hinge=True) as figure:
        names.append([axes.get_ylabel() for axes in figure.axes])

    accuracies = ["training accuracy (top-1)", "validation accuracy (top-1)"]
    assert names[0] == ["training loss (nats)", "validation loss (nats)", *accuracies]
    assert names[1] == ["training loss (nats, log scale)", "validation loss (nats, log scale)", *accuracies]
    assert names[2][:2] == ["training loss", "validation loss (nats)"]


def test_a_line_is_the_mean_of_the_seeds_that_go_on_and_the_band_reaches_from_lowest_to_highest(tmp_path: Path) -> None:
    drawn = drawn_study(tmp_path, epochs=3)
    found = [one for one in trials.read(drawn.study, drawn.runs) if one.variant == "head"]

    epochs, mean, low, high = curves.over_seeds(found, "val_loss")

    values = [one.columns["val_loss"] for one in found]
    assert [len(one) for one in values] == [3, 2, 3]
    assert epochs.tolist() == [1, 2, 3]
    assert np.allclose(mean[:2], np.mean([one[:2] for one in values], axis=0))
    assert mean[2] == pytest.approx((values[0][2] + values[2][2]) / 2)
    assert (low[0], high[0]) == (min(one[0] for one in values), max(one[0] for one in values))
