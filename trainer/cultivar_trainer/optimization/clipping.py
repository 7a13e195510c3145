"""Limits on gradients."""

from collections.abc import Iterable

from torch import Tensor, nn


def clip(parameters: Iterable[Tensor], *, norm: float, value: float) -> None:
    """Limit the gradients of one whole update: first each entry, then all together.

    In this order both limits hold: scaling down by the norm can't take an entry over its limit again.

    Args:
        parameters: those that learn.
        norm: largest Euclidean norm of all gradients as one vector; longer ones are scaled down (Pascanu et al. 2013).
        value: largest absolute value of an entry; larger ones are cut. For both, 0 is off and costs nothing.
    """
    if not norm and not value:
        return
    parameters = list(parameters)
    if value:
        nn.utils.clip_grad_value_(parameters, value)
    if norm:
        nn.utils.clip_grad_norm_(parameters, norm)
