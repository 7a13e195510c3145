"""The report as one HTML file that needs nothing else."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from cultivar_trainer.datasets.version import DatasetClass
from cultivar_trainer.reports import markup, style
from cultivar_trainer.reports.evaluation import measures, pictures
from cultivar_trainer.reports.evaluation.split import Mistake, SplitFigures
from cultivar_trainer.reports.evaluation.subject import Subject
from cultivar_trainer.reports.markup import text

_MAX_ROWS = 1000
"""Rows of a table of classes; report.json has all."""
_MAX_CONFUSIONS = 50
"""Confusions in the page; report.json has all."""
_TITLES = {"train": "Training images", "val": "Validation images", "test": "Test images"}

Thumbnail = Callable[[Mistake], bytes]
"""Returns a small JPEG of an image."""


def page(subject: Subject, splits: Sequence[SplitFigures], thumbnail: Thumbnail) -> str:
    """Return the page."""
    return markup.page(
        f"{subject.model}: {subject.architecture}",
        (
            *_chief_figures(subject, splits),
            *(part for one in splits for part in _split(one, subject.classes, thumbnail)),
            *_data(subject),
            *_making(subject),
        ),
    )


def _chief_figures(subject: Subject, splits: Sequence[SplitFigures]) -> Iterator[str]:
    yield markup.paragraph(
        "Measured on the exported ONNX graph, by ONNX Runtime on the pixels that serving gives it. "
        "Intervals hold the true value in 95 of 100 cases (Wilson 1927), as far as the images are drawn like those to "
        "come. Validation images chose the epoch, so their figures are a little too good; test images chose nothing.",
        note=True,
    )
    rows: list[tuple[str, Callable[[SplitFigures], str]]] = [
        ("images", lambda one: str(one.metrics.image_count)),
        ("top-1 accuracy", lambda one: _with_interval(one.metrics.accuracy, one.accuracy_interval)),
        ("top-5 accuracy", lambda one: _with_interval(one.metrics.top5_accuracy, one.top5_interval)),
        ("macro F1", lambda one: f"{one.metrics.macro_f1:.4f}"),
        ("loss (nats)", lambda one: f"{one.metrics.loss:.4f}"),
        ("calibration error", lambda one: f"{one.calibration_error:.4f}"),
        (f"chance ({len(subject.classes)} classes)", lambda one: f"{one.chance:.4f}"),
        (
            "always the largest class",
            lambda one: f"{one.majority_accuracy:.4f} ({text(subject.classes[one.majority.label].display_name)})",
        ),
    ]
    yield markup.table(
        ["", *(_TITLES[one.name] for one in splits)],
        ([text(name), *(figure(one) for one in splits)] for name, figure in rows),
    )


def _with_interval(share: float, interval: measures.Interval) -> str:
    return f"{share:.4f} ({interval[0]:.4f} to {interval[1]:.4f})"


def _split(figures: SplitFigures, classes: Sequence[DatasetClass], thumbnail: Thumbnail) -> Iterator[str]:
    names = [one.display_name for one in classes]
    yield f"<h2>{_TITLES[figures.name]}</h2>\n"
    with pictures.picture(figures, names) as drawn:
        yield markup.image(style.encoded(drawn, "svg"), "svg+xml", "confusion matrix and reliability diagram")
    yield "\n<h3>What is taken for what</h3>\n"
    yield from _confusions(figures, names)
    yield markup.folded("All classes, the worst first", _classes(figures, classes))
    if figures.mistakes:
        yield '<h3>The most confident mistakes</h3>\n<div class="shots">\n'
        yield from (_mistake(one, names, thumbnail) for one in figures.mistakes)
        yield "</div>\n"


def _confusions(figures: SplitFigures, names: Sequence[str]) -> Iterator[str]:
    if not figures.confusions:
        yield markup.paragraph("No image was answered wrong.")
        return
    yield markup.paragraph(
        "The most systematic first: a class near the top is hard to tell from the other, or its labels are wrong.",
        note=True,
    )
    yield markup.table(
        ("class", "taken for", "images>", "share"),
        (
            (
                text(names[one.label]),
                text(names[one.answer]),
                f"{one.count} of {one.image_count}",
                _bar_of(one.count, one.image_count),
            )
            for one in figures.confusions[:_MAX_CONFUSIONS]
        ),
    )
    yield _more(len(figures.confusions) - _MAX_CONFUSIONS)


def _classes(figures: SplitFigures, classes: Sequence[DatasetClass]) -> str:
    shown = sorted((one for one in figures.classes if one.image_count), key=lambda one: (one.accuracy, one.label))
    rows = (
        (
            text(classes[one.label].display_name),
            text(classes[one.label].id),
            str(one.image_count),
            str(one.right),
            _with_interval(one.accuracy, measures.wilson(one.right, one.image_count)),
            _bar_of(one.right, one.image_count),
            f"{one.f1:.4f}",
        )
        for one in shown[:_MAX_ROWS]
    )
    columns = ("class", "id", "images>", "right>", "accuracy, 95 % interval", "", "F1>")
    return markup.table(columns, rows) + _more(len(shown) - _MAX_ROWS)


def _more(rest: int) -> str:
    return markup.paragraph(f"{rest} more are in report.json.", note=True) if rest > 0 else ""


def _bar_of(count: int, total: int) -> str:
    return markup.bar(count / total, *measures.wilson(count, total))


def _mistake(one: Mistake, names: Sequence[str], thumbnail: Thumbnail) -> str:
    answer, truth = text(names[one.answer]), text(names[one.label])
    return (
        f"<figure>{markup.image(thumbnail(one), 'jpeg', one.sample.path)}<figcaption><b>{answer}</b> "
        f"{one.probability:.3f}<br>is {truth} ({one.label_probability:.3f})<br>{text(one.sample.path)}"
        "</figcaption></figure>\n"
    )


def _data(subject: Subject) -> Iterator[str]:
    yield "<h2>Data</h2>\n"
    yield _facts(
        [("data set", subject.dataset), ("digest", subject.dataset_digest), ("splits", subject.split_protocol)]
    )
    report = subject.dataset_report
    if report is None:
        return
    copies = report.get("duplicates", {})
    kinds = (
        ("label_conflicts", "the same picture in two classes"),
        ("exact_across", "equal to one of another split"),
        ("near_across", "like one of another split"),
        ("exact_within", "equal to another of their split"),
        ("near_within", "like another of their split"),
    )
    yield _facts(
        [
            ("largest to smallest class", f"{float(report.get('imbalance', 0)):.3g}"),
            *((label, str(count)) for key, label in kinds if (count := int(_get(copies, key, 0)))),
            ("files that were rejected", str(int(_get(report, "rejected_count", 0)))),
        ]
    )
    if warnings := report.get("warnings", []):
        yield markup.bullets(warnings)
    yield markup.folded("Images of each class", _counts(report))


def _counts(report: Mapping[str, Any]) -> str:
    splits = {str(one.get("split", "")).removeprefix("SPLIT_").lower(): one for one in report.get("splits", [])}
    names = [str(_get(one, "display_name", one.get("id", ""))) for one in report.get("classes", [])]
    counts = [_get(one, "class_counts", []) for one in splits.values()]
    rows = (
        (text(name), *(str(int(of_split[label])) if label < len(of_split) else "0" for of_split in counts))
        for label, name in enumerate(names[:_MAX_ROWS])
    )
    return markup.table(("class", *(f"{one}>" for one in splits)), rows)


def _making(subject: Subject) -> Iterator[str]:
    yield "<h2>How it was made</h2>\n"
    yield markup.paragraph("To make it, or this page's figures, again:")
    yield markup.code("\n".join(subject.commands))
    recipe = json.dumps(subject.recipe, indent=1, sort_keys=True, ensure_ascii=False)
    yield markup.folded("The resolved spec, as `cultivar train --file` takes it", markup.code(recipe))


def _facts(rows: Iterable[tuple[str, str]]) -> str:
    return markup.table((), ((text(name), text(value)) for name, value in rows))


def _get(value: Mapping[str, Any], name: str, default: Any) -> Any:
    """Return a field of a message in proto JSON, by its name in the proto."""
    first, *rest = name.split("_")
    return value.get(first + "".join(one.title() for one in rest), default)
