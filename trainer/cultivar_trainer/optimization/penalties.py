"""Penalties of large weights: in the loss (L1, L2) or beside the update, on the groups that decay."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


@torch.no_grad()
def add_penalty_gradients(optimizer: torch.optim.Optimizer, *, l1: float, l2: float) -> None:
    """Add the gradients of l1 * sum |w| + l2 / 2 * sum w^2; called after the last backward pass, before clipping.

    Args:
        optimizer: from `build_optimizer`.
        l1: factor of the absolute values (Tibshirani 1996); where a weight is zero, its gradient is.
        l2: factor of the squares: weight_decay where it acts in the loss. 0: off, and costs nothing.
    """
    if not l1 and not l2:
        return
    for group in _decaying(optimizer):
        weights = _with_gradients(group)
        if not weights:
            continue
        gradients = [one.grad for one in weights if one.grad is not None]
        if l2:
            torch._foreach_add_(gradients, weights, alpha=l2)
        if l1:
            torch._foreach_add_(gradients, torch._foreach_sign(weights), alpha=l1)


@torch.no_grad()
def shrink(optimizer: torch.optim.Optimizer, weight_decay: float) -> None:
    """Multiply weights by 1 - learning_rate * weight_decay; called just before `optimizer.step()`.

    With Adam's step this is AdamW (Loshchilov & Hutter 2019, algorithm 2).
    """
    if not weight_decay:
        return
    for group in _decaying(optimizer):
        weights = _with_gradients(group)
        if weights:
            torch._foreach_mul_(weights, 1 - group["lr"] * weight_decay)


@torch.no_grad()
def penalty_values(optimizer: torch.optim.Optimizer, *, l1: float, l2: float) -> tuple[float, float]:
    """Return l1 * sum |w| and l2 / 2 * sum w^2 over the weights that decay; 0 where the factor is."""
    weights = [weight for group in _decaying(optimizer) for weight in group["params"]]
    if not weights:
        return 0.0, 0.0
    absolute = float(_norms(weights, 1).sum()) if l1 else 0.0
    squares = float(_norms(weights, 2).square().sum()) if l2 else 0.0
    return l1 * absolute, l2 / 2 * squares


def _norms(weights: list[Tensor], order: int) -> Tensor:
    # In float64, which holds the squares of whatever weights float32 holds.
    return torch.stack(torch._foreach_norm(weights, order, dtype=torch.float64))


def _decaying(optimizer: torch.optim.Optimizer) -> Iterator[dict[str, Any]]:
    return (group for group in optimizer.param_groups if group["decays"])


def _with_gradients(group: dict[str, Any]) -> list[Tensor]:
    """Return what this update moves: a part of the network that took no part in the batch stays as it is."""
    return [one for one in group["params"] if one.grad is not None]
