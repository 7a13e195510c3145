"""After which epochs a network is looked at."""


def is_due(epochs: int, every: int, *, last: bool) -> bool:
    """Tell whether a look is due: before the first update and after the last epoch always.

    Args:
        epochs: that are over; 0: before the first update.
        every: a look after each multiple of this; 0: after epochs 1, 2, 4, 8 ..., when most changes.
        last: whether no epoch follows.
    """
    if epochs == 0 or last:
        return True
    return epochs % every == 0 if every else epochs & (epochs - 1) == 0
