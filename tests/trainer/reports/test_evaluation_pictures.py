"""The pictures of an evaluation report can be read."""

from itertools import combinations

import pytest
from evaluated_splits import answers
from matplotlib.figure import Figure
from matplotlib.text import Text

from cultivar_trainer.reports import style
from cultivar_trainer.reports.evaluation import pictures
from cultivar_trainer.reports.evaluation.split import SplitFigures


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Return texts that lie on each other, or beyond the picture's edge."""
    figure.canvas.draw()
    texts = [one for one in figure.findobj(Text) if one.get_visible() and one.get_text().strip()]
    boxes = [(one.get_text(), one.get_window_extent()) for one in texts]
    edge = figure.bbox
    outside = [
        (text, "edge")
        for text, box in boxes
        if box.x0 < edge.x0 or box.y0 < edge.y0 or box.x1 > edge.x1 or box.y1 > edge.y1
    ]
    return outside + [(one, other) for (one, box), (other, second) in combinations(boxes, 2) if box.overlaps(second)]


@pytest.mark.parametrize(
    ("num_classes", "count", "name"),
    [(2, 30, "x"), (5, 4000, "Threadray Daisy"), (12, 100, "iiiii"), (20, 200, "W" * 40), (102, 1000, "no name")],
)
def test_no_text_lies_on_another_or_leaves_the_picture(num_classes: int, count: int, name: str) -> None:
    figures = SplitFigures.of("val", answers(num_classes, count))

    with pictures.picture(figures, [name] * num_classes) as figure:
        assert overlapping(figure) == []


def test_names_may_hold_anything_and_the_same_answers_give_the_same_bytes() -> None:
    names = [r"$\frac{1}{$", "<script>alert(1)</script>", "玫瑰\x00\n", "a" * 500, "\udcff\u202e"]
    figures = SplitFigures.of("val", answers(5, 50))

    drawn = []
    for _ in range(2):
        with pictures.picture(figures, names) as figure:
            drawn.append(style.encoded(figure, "svg"))

    assert drawn[0] == drawn[1]
    assert b"<script" not in drawn[0]
    assert "玫瑰".encode() in drawn[0]


def test_long_names_that_begin_or_end_alike_stay_apart() -> None:
    names = [f"Species of flower number {number} {place}" for number in range(3) for place in ("field", "woods")]

    assert len({pictures.short(name) for name in names}) == len(names)
    assert max(len(pictures.short(name)) for name in names) == 16
