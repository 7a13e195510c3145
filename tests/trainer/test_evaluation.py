import math

import numpy as np
import pytest
import torch

from cultivar_trainer.evaluation import evaluate, measure, measure_probabilities


def test_figures_follow_their_definitions() -> None:
    logits = torch.tensor([[9.0, 8, 7, 6, 5, 4], [9, 8, 7, 6, 5, 4], [9, 8, 7, 6, 5, 4]])

    metrics = measure(logits, torch.tensor([0, 4, 5]))

    assert metrics.image_count == 3
    assert metrics.accuracy == pytest.approx(1 / 3)
    assert metrics.top5_accuracy == pytest.approx(2 / 3)
    assert metrics.loss == pytest.approx(float(torch.nn.functional.cross_entropy(logits, torch.tensor([0, 4, 5]))))


def test_equal_scores_do_not_count_as_right() -> None:
    metrics = measure(torch.zeros(10, 10), torch.arange(10))

    assert metrics.accuracy == pytest.approx(0.1)
    assert metrics.top5_accuracy == pytest.approx(0.5)


def test_macro_f1_is_the_mean_over_the_confusion_matrix() -> None:
    # Rows are labels, columns answers. Class 3 is answered and never right; class 4 does not occur at all.
    confusion = [[5, 1, 0, 0, 0], [2, 3, 0, 1, 0], [0, 0, 4, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    pairs = [
        (label, answer) for label, row in enumerate(confusion) for answer, count in enumerate(row) for _ in range(count)
    ]
    labels, answers = (torch.tensor(column) for column in zip(*pairs, strict=True))

    metrics = measure(torch.nn.functional.one_hot(answers, 5).float(), labels)

    precision, recall = [5 / 7, 3 / 4, 1.0], [5 / 6, 3 / 6, 1.0]
    f1 = [2 * p * r / (p + r) for p, r in zip(precision, recall, strict=True)]
    assert metrics.macro_f1 == pytest.approx(sum([*f1, 0.0]) / 4)


def test_macro_f1_of_right_answers_is_one_and_of_wrong_ones_zero() -> None:
    logits = torch.eye(4)[:3]

    assert measure(logits, torch.arange(3)).macro_f1 == 1
    assert measure(logits, torch.tensor([1, 2, 3])).macro_f1 == 0


def test_a_last_batch_of_another_size_weighs_by_its_images() -> None:
    inputs, labels = torch.randn(10, 3), torch.randint(0, 3, (10,))
    batches = [(inputs[:7], labels[:7]), (inputs[7:], labels[7:])]

    assert evaluate(lambda x: x, batches) == measure(inputs, labels)


def test_a_probability_of_zero_gives_a_finite_loss() -> None:
    probabilities = np.array([[0.0, 1.0]], np.float32)

    metrics = measure_probabilities(probabilities, np.array([0]))

    assert math.isfinite(metrics.loss)
    assert metrics.loss > 80
