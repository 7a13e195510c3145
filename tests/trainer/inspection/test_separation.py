"""Areas under ROC curves against their definition."""

import numpy as np

from cultivar_trainer.inspection.rankings import areas_under_roc


def test_an_area_is_the_share_of_pairs_in_the_right_order_and_half_of_the_ties() -> None:
    random = np.random.default_rng(0)
    # Few values, so that many are equal.
    first, second = random.integers(0, 6, (2, 40, 5)).astype(np.float32)
    second = second[:17]

    pairs = first[:, None, :] - second[None, :, :]  # (N, M, C)
    expected = ((pairs > 0) + 0.5 * (pairs == 0)).mean(axis=(0, 1))

    np.testing.assert_allclose(areas_under_roc(first, second), expected, rtol=1e-12)


def test_what_separates_gives_1_or_0_and_what_is_constant_a_half() -> None:
    first = np.array([[2, 0, 1], [3, 1, 1]], np.float32)
    second = np.array([[0, 2, 1], [1, 3, 1]], np.float32)

    assert areas_under_roc(first, second).tolist() == [1.0, 0.0, 0.5]
