import numpy as np
import pytest

from cultivar_service.api.answering import largest


def test_the_largest_come_first_and_of_equal_ones_the_first() -> None:
    values = np.array([0.1, 0.3, 0.2, 0.3, 0.1], np.float32)

    assert largest(values, 1) == [1]
    assert largest(values, 3) == [1, 3, 2]
    assert largest(values, 5) == [1, 3, 2, 0, 4]


@pytest.mark.parametrize("count", [1, 3])
def test_as_many_are_named_as_were_asked_for_also_of_what_is_no_number(count: int) -> None:
    assert len(set(largest(np.array([0.5, np.nan, np.nan], np.float32), count))) == count
