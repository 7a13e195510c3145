"""Intervals, calibration and confusions of an evaluation report, against known values and by hand."""

import numpy as np
import pytest

from cultivar_trainer.reports.evaluation import measures


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [  # the first three are in Newcombe, Statistics in Medicine 17 (1998), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (9, 10, 0.5958, 0.9821),
        (10, 10, 0.7225, 1.0),
    ],
)
def test_wilson_s_interval_has_its_known_values(successes: int, trials: int, low: float, high: float) -> None:
    assert measures.wilson(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_without_trials_an_interval_says_nothing() -> None:
    assert measures.wilson(0, 0) == (0.0, 1.0)


def test_calibration_error_is_what_a_hand_calculation_gives() -> None:
    # Of 15 bins these fill the last (0.95, 0.97; one right) and the ninth (0.55, 0.56, 0.60; all right).
    bins = measures.reliability(np.array([0.95, 0.97, 0.55, 0.56, 0.60]), np.array([True, False, True, True, True]))

    filled = [one for one in bins if one.image_count]
    assert [one.image_count for one in filled] == [3, 2]
    assert [one.high for one in filled] == pytest.approx([9 / 15, 1.0])
    expected = 2 / 5 * abs(0.5 - 0.96) + 3 / 5 * abs(1.0 - 0.57)
    assert measures.calibration_error(bins) == pytest.approx(expected)


def test_classes_count_their_images_right_answers_and_all_answers() -> None:
    found = measures.by_class(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), 3)

    assert [(one.image_count, one.right, one.answered) for one in found] == [(3, 2, 2), (1, 1, 2), (0, 0, 0)]
    assert found[0].accuracy == pytest.approx(2 / 3)
    assert found[0].f1 == pytest.approx(4 / 5)


def test_systematic_confusions_come_before_lone_images_and_before_large_classes() -> None:
    labels = np.repeat([0, 1, 2], [10, 1, 1000])
    answers = labels.copy()
    answers[:9], answers[10], answers[11:41] = 1, 2, 0  # 9 of 10, 1 of 1, 30 of 1000

    found = measures.confusions(labels, answers, 3)

    assert [(one.label, one.answer, one.count, one.image_count) for one in found] == [
        (0, 1, 9, 10),
        (1, 2, 1, 1),
        (2, 0, 30, 1000),
    ]


def test_a_class_whose_labels_were_swapped_tops_the_confusions() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(5), 20)
    answers = np.where(rng.random(100) < 0.7, truth, rng.integers(0, 5, 100))  # right for some three quarters
    labels = np.where(truth == 3, 1, truth)
    labels[truth == 1] = 3

    first, second, *_ = measures.confusions(labels, answers, 5)

    assert {(first.label, first.answer), (second.label, second.answer)} == {(1, 3), (3, 1)}


def test_the_most_confident_mistakes_come_first() -> None:
    probabilities = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8], [0.99, 0.01]], np.float32)

    found = measures.most_confident_mistakes(probabilities, np.array([1, 1, 1, 0]), 5)

    assert found.tolist() == [1, 0]
