"""Means, deviations and paired intervals, against independent computations."""

import math
import statistics as reference
from pathlib import Path

import numpy as np
import pytest
from scipy.special import stdtrit

from cultivar.v1 import event_pb2, state_pb2, study_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_service.studies import results, statistics
from cultivar_service.studies.predictions import image_differences

TOP1, LOSS = pb.SELECTION_METRIC_TOP1, pb.SELECTION_METRIC_LOSS


def trial(variant: str, seed: int, accuracy: float, **fields: object) -> study_pb2.StudyTrial:
    return study_pb2.StudyTrial(
        variant=variant,
        seed=seed,
        state=state_pb2.TRAINING_JOB_STATE_SUCCEEDED,
        validation=event_pb2.SplitMetrics(split="val", accuracy=accuracy, loss=1 - accuracy),
        model_version=f"models/flowers/versions/{seed}",
        **fields,
    )


def study_of(**accuracies: list[float]) -> study_pb2.TrainingStudy:
    return study_pb2.TrainingStudy(
        rows=[study_pb2.StudyRow(variant=name) for name in accuracies],
        trials=[trial(name, seed, one) for name, several in accuracies.items() for seed, one in enumerate(several)],
    )


def test_t_quantiles_are_those_of_scipy() -> None:
    for degrees, quantile in enumerate(statistics.T_QUANTILES, 1):
        assert quantile == pytest.approx(stdtrit(degrees, 0.975), abs=1e-6)
    assert len(statistics.T_QUANTILES) == 31


def test_a_statistic_has_mean_and_sample_deviation() -> None:
    values = [0.5, 0.75, 0.8, 0.9]

    described = statistics.describe(values)

    assert described is not None
    assert described.mean == pytest.approx(reference.fmean(values))
    assert described.std == pytest.approx(reference.stdev(values))
    assert described.count == 4
    assert not statistics.describe([0.5]).HasField("std")
    assert statistics.describe([]) is None


def test_a_paired_difference_takes_common_seeds_and_has_students_interval() -> None:
    baseline, variant = {1: 0.5, 2: 0.6, 3: 0.7, 9: 0.1}, {1: 0.55, 2: 0.72, 3: 0.74, 8: 0.9}

    found = statistics.paired_over_seeds(baseline, variant)

    assert found is not None
    differences = [0.05, 0.12, 0.04]
    half = float(stdtrit(2, 0.975)) * reference.stdev(differences) / math.sqrt(3)
    assert found.mean == pytest.approx(reference.fmean(differences))
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half), abs=1e-6)
    assert (found.pairs, found.method) == (3, "paired by seed, Student t over 3 seeds, 95 %")
    assert statistics.paired_over_seeds({1: 0.5}, {2: 0.5}) is None


def write_predictions(folder: Path, probabilities: list[list[float]], labels: list[int], images: str = "abcd") -> Path:
    folder.mkdir()
    arrays = {"sha256": np.array(list(images)), "label": np.array(labels), "probabilities": np.array(probabilities)}
    np.savez(folder / "predictions.npz", **{f"val_{name}": value for name, value in arrays.items()})
    return folder


def test_with_one_seed_images_are_paired(tmp_path: Path) -> None:
    labels = [0, 1, 0, 1]
    one = write_predictions(tmp_path / "one", [[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]], labels)
    two = write_predictions(tmp_path / "two", [[0.8, 0.2], [0.1, 0.9], [0.6, 0.4], [0.0, 1.0]], labels)

    right = image_differences(one, two, TOP1)
    loss = image_differences(one, two, LOSS)

    assert right is not None
    assert right.tolist() == [0, 1, 1, 0]
    assert loss == pytest.approx([math.log(0.9 / 0.8), math.log(0.4 / 0.9), math.log(0.3 / 0.6), math.log(0.8)])
    found = statistics.paired_over_images(0.5, right)
    assert found is not None
    half = 1.959964 * reference.stdev([0.0, 1.0, 1.0, 0.0]) / 2
    assert (found.low, found.high, found.pairs) == (pytest.approx(0.5 - half), pytest.approx(0.5 + half), 4)
    assert "one seed: paired by image" in found.method


def test_images_are_not_paired_where_they_differ_or_the_figure_is_no_mean(tmp_path: Path) -> None:
    one = write_predictions(tmp_path / "one", [[0.9, 0.1]] * 4, [0] * 4)
    other = write_predictions(tmp_path / "other", [[0.9, 0.1]] * 4, [0] * 4, images="abce")
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "predictions.npz").write_bytes(b"PK\x03\x04 no archive")

    assert image_differences(one, other, TOP1) is None
    assert image_differences(one, damaged, TOP1) is None
    assert image_differences(one, tmp_path / "gone", TOP1) is None
    assert image_differences(one, one, pb.SELECTION_METRIC_MACRO_F1) is None


def test_the_best_mean_wins_and_ties_go_to_the_earlier_variant() -> None:
    study = study_of(first=[0.8, 0.6], second=[0.7, 0.7], third=[0.9, 0.4])
    results.tabulate(study, TOP1, results.no_images)

    assert [row.variant for row in results.choose(study, TOP1)] == ["first", "second", "third"]
    results.tabulate(study, LOSS, results.no_images)
    assert [row.variant for row in results.choose(study, LOSS)] == ["first", "second", "third"]
    assert results.best_version(study, "third", TOP1) == "models/flowers/versions/0"


def test_a_variant_whose_figure_is_no_number_can_not_win() -> None:
    study = study_of(first=[math.nan], second=[0.1], third=[0.2])
    results.tabulate(study, TOP1, results.no_images)

    assert [row.variant for row in results.choose(study, TOP1)] == ["third", "second"]


def test_the_conclusion_tells_lead_spread_interval_and_failures() -> None:
    study = study_of(low=[0.5, 0.52, 0.54], high=[0.8, 0.81, 0.83])
    study.trials[0].state = state_pb2.TRAINING_JOB_STATE_FAILED
    results.tabulate(study, TOP1, results.no_images)

    text = results.conclude(study, results.choose(study, TOP1), TOP1, results.no_images)

    assert text.startswith("high has the best mean validation accuracy: 0.8133 (standard deviation 0.01528, 3 seeds).")
    assert "is more than the seeds' spread" in text
    assert "it excludes 0" in text
    assert "compared are those that did: low (2 of 3)" in text
    assert "chosen among 2 variants" in text


def test_a_lead_within_the_spread_is_told_as_that() -> None:
    study = study_of(low=[0.5, 0.7], high=[0.75, 0.5])
    results.tabulate(study, TOP1, results.no_images)

    text = results.conclude(study, results.choose(study, TOP1), TOP1, results.no_images)

    assert "is not more than the seeds' spread" in text
    assert "it includes 0, so they are not told apart" in text


def test_trials_under_way_count_as_neither_succeeded_nor_failed() -> None:
    study = study_of(low=[0.5, 0.7], high=[0.75, 0.5])
    study.trials[0].state = state_pb2.TRAINING_JOB_STATE_RUNNING
    study.trials[1].state = state_pb2.TRAINING_JOB_STATE_CANCELLED
    results.tabulate(study, TOP1, results.no_images)

    low, high = study.rows
    assert (low.succeeded, low.failed, low.HasField("selection")) == (0, 1, False)
    assert (high.succeeded, high.failed, high.HasField("difference")) == (2, 0, False)
