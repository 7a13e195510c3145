"""What a study's report says, block by block."""

import json
from collections.abc import Callable, Iterator, Sequence

from google.protobuf import json_format

from cultivar.v1 import state_pb2, study_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.reports.document import Block, Bullets, Code, Document, Heading, Paragraph, Picture, Table
from cultivar_trainer.reports.study.trials import Trial, mean_and_std

_NONE = "–"
_METRICS = {
    pb.SELECTION_METRIC_LOSS: "validation loss",
    pb.SELECTION_METRIC_TOP5: "top-5 validation accuracy",
    pb.SELECTION_METRIC_MACRO_F1: "validation macro-F1",
}
_LOWER_IS_BETTER = " (lower is better)"


def document(study: study_pb2.TrainingStudy, trials: Sequence[Trial], *, svg: bytes, png: bytes) -> Document:
    """Return the report of a finished study.

    Args:
        study: with rows, trials, winner and conclusion.
        trials: the same trials with their histories.
        svg: the picture of the curves.
        png: the same one.
    """
    blocks: list[Block] = [
        *_beginning(study),
        *_comparison(study),
        *_variants(study),
        *_curves(trials, svg, png),
        *_final_figures(study, trials),
        *_trials(study),
        *_repeating(study),
    ]
    return Document(study.spec.title or f"Training study {study.name.removeprefix('trainingStudies/')}", blocks)


def _beginning(study: study_pb2.TrainingStudy) -> Iterator[Block]:
    if study.conclusion:
        yield Paragraph(study.conclusion)
    facts = [
        ("Study", study.name),
        ("Winner", study.winner),
        ("Its best model version", study.winner_model_version),
        ("Compared on", study.validation_images),
        ("Made", study.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M UTC") if study.create_time.seconds else ""),
    ]
    yield Bullets([f"{name}: {value}" for name, value in facts if value])
    if study.warnings:
        yield Heading("Warnings")
        yield Bullets(list(study.warnings))


def _comparison(study: study_pb2.TrainingStudy) -> Iterator[Block]:
    metric = study.spec.base.selection_metric
    name = _METRICS.get(metric, "top-1 validation accuracy")
    yield Heading("Comparison")
    columns = ["variant", "trials>", "validation accuracy>", "validation loss (nats)>"]
    if metric in (pb.SELECTION_METRIC_TOP5, pb.SELECTION_METRIC_MACRO_F1):
        columns.append(f"{name}>")
    columns += ["difference to the baseline>", "test accuracy>", "time (s)>", "updates>", "images seen>"]
    yield Table(columns, [_row(study, row, with_selection=len(columns) > 9) for row in study.rows])
    yield Paragraph(
        f"The winner has the best mean {name}{_LOWER_IS_BETTER if metric == pb.SELECTION_METRIC_LOSS else ''}, the "
        "figure that also chose each trial's epoch; the difference is in it. Figures are means over seeds ± the sample "
        "standard deviation, in brackets the 95 % confidence interval. Accuracy is top-1. Test figures choose nothing."
    )
    methods = dict.fromkeys(row.difference.method for row in study.rows if row.difference.method)
    if methods:
        yield Paragraph(f"How the interval came about: {'; '.join(methods)}.")


def _row(study: study_pb2.TrainingStudy, row: study_pb2.StudyRow, *, with_selection: bool) -> list[str]:
    difference = row.difference
    return [
        f"{row.variant} (winner)" if row.variant == study.winner else row.variant,
        f"{row.succeeded}/{row.succeeded + row.failed}",
        _statistic(row.validation_accuracy),
        _statistic(row.validation_loss),
        *([_statistic(row.selection)] if with_selection else []),
        _difference(difference) if row.HasField("difference") and difference.pairs else _NONE,
        _statistic(row.test_accuracy),
        _statistic(row.seconds, "{:,.1f}"),
        _statistic(row.updates, "{:,.0f}"),
        _statistic(row.images_seen, "{:,.0f}"),
    ]


def _variants(study: study_pb2.TrainingStudy) -> Iterator[Block]:
    yield Heading("What each variant changes")
    for place, row in enumerate(study.rows):
        yield Heading(row.variant, 3)
        if place == 0:
            yield Paragraph("The baseline, which the others are compared with.")
        if row.changes:
            yield Bullets(list(row.changes))
        if row.principle:
            yield Paragraph(row.principle)


def _curves(trials: Sequence[Trial], svg: bytes, png: bytes) -> Iterator[Block]:
    yield Heading("Curves")
    several = len({one.seed for one in trials}) > 1
    meaning = (
        "Lines are means over seeds; bands reach from the lowest to the highest seed. Where seeds end at different "
        "epochs, later points are of those that go on. "
        if several
        else ""
    )
    yield Picture(svg, png, "Training and validation loss and accuracy over epochs, a line for each variant")
    yield Paragraph(
        f"{meaning}Training figures are of the images as they were seen, augmented and mixed ones included, while the "
        "weights still moved, so they may be worse than validation figures."
    )
    if missing := [one.job or f"{one.variant}, seed {one.seed}" for one in trials if not one.epochs]:
        yield Paragraph(f"Without a history, so not drawn: {', '.join(missing)}.")


def _final_figures(study: study_pb2.TrainingStudy, trials: Sequence[Trial]) -> Iterator[Block]:
    yield Heading("Final losses and accuracies")
    rows = []
    for variant in study.spec.variants:
        drawn = [one for one in trials if one.variant == variant.variant and one.epochs]
        for name, figure in (("selected", Trial.selected), ("last", Trial.last)):
            rows.append([variant.variant, name, *_over_trials(drawn, figure)])
    columns = ["training loss>", "validation loss (nats)>", "training accuracy>", "validation accuracy>"]
    yield Table(["variant", "epoch", "its number>", *columns], rows)
    yield Paragraph("Measured by the trainer in those epochs; the comparison above is of the exported models.")


def _over_trials(trials: Sequence[Trial], figure: Callable[[Trial, str], float]) -> list[str]:
    if not trials:
        return [_NONE] * 5
    numbers = sorted({round(figure(one, "epoch")) for one in trials})
    epochs = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    names = ("train_loss", "val_loss", "train_accuracy", "val_accuracy")
    return [epochs, *(_spread(*mean_and_std([figure(one, name) for one in trials])) for name in names)]


def _trials(study: study_pb2.TrainingStudy) -> Iterator[Block]:
    yield Heading("Trials")
    rows = []
    for one in study.trials:
        measured = one.HasField("validation")
        state = state_pb2.TrainingJobState.Name(one.state).removeprefix("TRAINING_JOB_STATE_").lower()
        rows.append(
            [
                one.variant,
                str(one.seed),
                one.training_job,
                f"{state}: {one.error.message}" if one.error.message else state,
                str(one.best_epoch or _NONE),
                f"{one.validation.accuracy:.4f}" if measured else _NONE,
                f"{one.validation.loss:.4f}" if measured else _NONE,
                f"{one.test.accuracy:.4f}" if one.HasField("test") else _NONE,
                f"{one.test.loss:.4f}" if one.HasField("test") else _NONE,
                one.model_version or _NONE,
            ]
        )
    figures = ["selected epoch>", "validation accuracy>", "validation loss>", "test accuracy>", "test loss>"]
    yield Table(["variant", "seed>", "job", "state", *figures, "model version"], rows)


def _repeating(study: study_pb2.TrainingStudy) -> Iterator[Block]:
    yield Heading("How to repeat it")
    yield Paragraph("Compare once more, with what follows saved as study.json:")
    yield Code("cultivar compare --file study.json")
    yield Code(json.dumps(json_format.MessageToDict(study.spec), indent=2, ensure_ascii=False))


def _statistic(statistic: study_pb2.StudyStatistic, form: str = "{:.4f}") -> str:
    if not statistic.count:
        return _NONE
    return _spread(statistic.mean, statistic.std if statistic.HasField("std") else None, form)


def _spread(mean: float, std: float | None, form: str = "{:.4f}") -> str:
    return form.format(mean) + ("" if std is None else f" ± {form.format(std)}")


def _difference(difference: study_pb2.PairedDifference) -> str:
    text = f"{difference.mean:+.4f}"
    if difference.HasField("low") and difference.HasField("high"):
        text += f" [{difference.low:+.4f}, {difference.high:+.4f}]"
    return text
