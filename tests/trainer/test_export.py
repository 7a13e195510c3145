import numpy as np
import pytest

from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.export import check_parity, compare

REFERENCE = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]], np.float32)


def test_an_equal_answer_passes() -> None:
    parity = compare(REFERENCE + np.float32(5e-5), REFERENCE)

    check_parity(parity)
    assert parity.image_count == 2
    assert parity.max_probability_difference == pytest.approx(5e-5, rel=0.01)
    assert parity.top1_differences == 0


@pytest.mark.parametrize("change", [2e-4, -2e-4, np.nan])
def test_a_probability_that_is_off_is_not_published(change: float) -> None:
    exported = REFERENCE.copy()
    exported[1, 2] += change

    with pytest.raises(TaskFailed, match="it is not published") as caught:
        check_parity(compare(exported, REFERENCE))

    assert caught.value.reason == "EXPORT_DIFFERS"


def test_another_class_is_not_published_and_a_tie_is() -> None:
    tie = np.array([[0.500001, 0.499999]], np.float32)
    swapped = tie[:, ::-1]

    assert compare(swapped, tie).top1_differences == 0
    clear = np.array([[0.6, 0.4]], np.float32)
    assert compare(clear[:, ::-1], clear).top1_differences == 1
