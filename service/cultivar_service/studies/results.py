"""What a study's trials come to: the rows of its table, the winner, and why it is that."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cultivar.v1 import state_pb2, study_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_service.catalog.jobs import FINAL
from cultivar_service.studies.figures import METRICS, value_of
from cultivar_service.studies.statistics import describe, paired_over_images, paired_over_seeds

Trial = study_pb2.StudyTrial
ImageDifferences = Callable[[Trial, Trial], NDArray[np.float64] | None]
"""Returns how the second trial's figures of the validation images differ from the first's; None: they can't be had."""
_SUCCEEDED = state_pb2.TRAINING_JOB_STATE_SUCCEEDED


def no_images(_: Trial, __: Trial) -> None:
    """Compare no images: while trials are under way, only seeds are paired."""


def tabulate(study: study_pb2.TrainingStudy, metric: pb.SelectionMetric, differences: ImageDifferences) -> None:
    """Fill in the figures of a study's rows from its trials; the first row is the baseline. May block."""
    by_variant = {row.variant: [one for one in study.trials if one.variant == row.variant] for row in study.rows}
    baseline = by_variant[study.rows[0].variant] if study.rows else []
    for row in study.rows:
        trials = by_variant[row.variant]
        done = _succeeded(trials)
        row.succeeded, row.failed = len(done), sum(one.state in FINAL - {_SUCCEEDED} for one in trials)
        tested = [one for one in done if one.HasField("test")]
        for name, values in (
            ("validation_accuracy", [one.validation.accuracy for one in done]),
            ("validation_loss", [one.validation.loss for one in done]),
            ("selection", [value_of(one.validation, metric) for one in done]),
            ("test_accuracy", [one.test.accuracy for one in tested]),
            ("test_loss", [one.test.loss for one in tested]),
            ("seconds", [one.seconds for one in done]),
            ("updates", [float(one.updates) for one in done]),
            ("images_seen", [float(one.images_seen) for one in done]),
        ):
            row.ClearField(name)
            if (statistic := describe(values)) is not None:
                getattr(row, name).CopyFrom(statistic)
        row.ClearField("difference")
        if row.variant != study.rows[0].variant:
            found = paired(baseline, trials, metric, differences)
            if found is not None:
                row.difference.CopyFrom(found)


def paired(
    baseline: Sequence[Trial], variant: Sequence[Trial], metric: pb.SelectionMetric, differences: ImageDifferences
) -> study_pb2.PairedDifference | None:
    """Return a variant's figure less another's: over their common seeds, or, with one such seed, over images."""
    before, after = _by_seed(baseline), _by_seed(variant)
    over_seeds = paired_over_seeds(_values(before, metric), _values(after, metric))
    if over_seeds is None or over_seeds.pairs > 1:
        return over_seeds
    seed = next(one for one in after if one in before)
    images = differences(before[seed], after[seed])
    over_images = None if images is None else paired_over_images(over_seeds.mean, images)
    return over_images or over_seeds


def choose(study: study_pb2.TrainingStudy, metric: pb.SelectionMetric) -> list[study_pb2.StudyRow]:
    """Return the rows with a finite mean of the selection metric, the best first; ties go to the earlier variant."""
    usable = [row for row in study.rows if row.HasField("selection") and math.isfinite(row.selection.mean)]
    return sorted(usable, key=lambda row: row.selection.mean * _sign(metric))


def best_version(study: study_pb2.TrainingStudy, variant: str, metric: pb.SelectionMetric) -> str:
    """Return the variant's best model version by the selection metric; ties go to the earlier seed."""
    trials = _succeeded([one for one in study.trials if one.variant == variant])
    return min(trials, key=lambda one: value_of(one.validation, metric) * _sign(metric)).model_version


def conclude(
    study: study_pb2.TrainingStudy,
    ranking: Sequence[study_pb2.StudyRow],
    metric: pb.SelectionMetric,
    differences: ImageDifferences,
) -> str:
    """Say which variant is best, by how much, and whether that is more than chance. May block.

    Args:
        study: with its figures.
        ranking: of `choose`, two or more rows.
        metric: by which.
        differences: as for `tabulate`.
    """
    best, second = ranking[0], ranking[1]
    name, lead = f"validation {METRICS[metric]}", abs(best.selection.mean - second.selection.mean)
    sentences = [
        f"{best.variant} has the best mean {name}: {_shown(best.selection)}.",
        f"Next is {second.variant} with {_shown(second.selection)}." if lead else f"{second.variant} equals it.",
        _spread(best.selection, second.selection, lead),
    ]
    trials = {row.variant: [one for one in study.trials if one.variant == row.variant] for row in (best, second)}
    difference = paired(trials[second.variant], trials[best.variant], metric, differences)
    if difference is not None and difference.HasField("low"):
        holds_zero = difference.low <= 0 <= difference.high
        sentences.append(
            f"Their paired difference is {difference.mean:.4g}, 95 % interval {difference.low:.4g} to "
            f"{difference.high:.4g} ({difference.method}): "
            + ("it includes 0, so they are not told apart." if holds_zero else "it excludes 0.")
        )
    failed = [row for row in study.rows if row.failed]
    if failed:
        shown = ", ".join(f"{row.variant} ({row.succeeded} of {row.succeeded + row.failed})" for row in failed)
        sentences.append(f"Not all trials succeeded; compared are those that did: {shown}.")
    sentences.append(
        f"The winner was chosen among {len(ranking)} variants on these validation images, so its figure there is "
        "somewhat better than it would be on new ones."
    )
    return " ".join(sentences)


def _spread(best: study_pb2.StudyStatistic, second: study_pb2.StudyStatistic, lead: float) -> str:
    if not (best.HasField("std") and second.HasField("std")):
        return "Without two seeds or more of both, the seeds' spread is not known."
    spread = max(best.std, second.std)
    relation = "more" if lead > spread else "not more"
    return f"The lead of {lead:.4g} is {relation} than the seeds' spread, a standard deviation of {spread:.4g}."


def _shown(statistic: study_pb2.StudyStatistic) -> str:
    spread = f" (standard deviation {statistic.std:.4g}, {statistic.count} seeds)" if statistic.HasField("std") else ""
    return f"{statistic.mean:.4g}{spread}"


def _sign(metric: pb.SelectionMetric) -> float:
    return 1.0 if metric == pb.SELECTION_METRIC_LOSS else -1.0


def _succeeded(trials: Sequence[Trial]) -> list[Trial]:
    return [one for one in trials if one.state == _SUCCEEDED and one.HasField("validation")]


def _by_seed(trials: Sequence[Trial]) -> dict[int, Trial]:
    return {one.seed: one for one in _succeeded(trials)}


def _values(trials: Mapping[int, Trial], metric: pb.SelectionMetric) -> dict[int, float]:
    return {seed: value_of(one.validation, metric) for seed, one in trials.items()}
