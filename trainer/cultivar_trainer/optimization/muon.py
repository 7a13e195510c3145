"""Muon: orthogonalised momentum for the filters of convolutions, SGD for all else (Jordan et al. 2024)."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

STEPS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the odd polynomial that moves singular values towards 1: they end between about 0.7 and 1.2."""
_EPSILON = 1e-7


class Muon(torch.optim.Optimizer):
    """SGD whose steps on groups with `is_filter` have singular values near 1.

    A filter (out, in, height, width) counts as the matrix (out, in * height * width); its step is scaled by
    sqrt(max(1, rows / columns)), so that tall matrices change their outputs as much as wide ones. After Jordan et al.
    2024, https://kellerjordan.github.io/posts/muon.
    """

    def __init__(self, params: Iterable[dict[str, Any]], *, momentum: float, nesterov: bool) -> None:
        super().__init__(params, {"lr": 0.0, "momentum": momentum, "nesterov": nesterov, "is_filter": False})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Make one update with the gradients that are there."""
        assert closure is None, "gradients are made before"
        for group in self.param_groups:
            parameters = [one for one in group["params"] if one.grad is not None]
            if not parameters:
                continue
            updates = self._directions(parameters, group["momentum"], group["nesterov"])
            if group["is_filter"]:
                updates = _orthogonalised(updates)
            torch._foreach_add_(parameters, updates, alpha=-group["lr"])

    def _directions(self, parameters: list[Tensor], momentum: float, nesterov: bool) -> list[Tensor]:
        gradients = [one.grad for one in parameters if one.grad is not None]
        if not momentum:
            return gradients
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        buffers = [self.state[parameter]["momentum_buffer"] for parameter in parameters]
        torch._foreach_mul_(buffers, momentum)
        torch._foreach_add_(buffers, gradients)
        return list(torch._foreach_add(gradients, buffers, alpha=momentum)) if nesterov else buffers


def orthogonalise(matrices: Tensor) -> Tensor:
    """Move the singular values of matrices (B, rows, columns) to about 1 by Newton-Schulz steps, and keep the vectors.

    In bfloat16 on CUDA, where the steps tolerate it and it is fast, else as they are.
    """
    a, b, c = COEFFICIENTS
    x = matrices.bfloat16() if matrices.is_cuda else matrices
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=_EPSILON)  # the largest singular value is then 1 at most
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype)


def _orthogonalised(updates: list[Tensor]) -> list[Tensor]:
    """Orthogonalise updates (out, in, height, width); equal shapes go through the products together."""
    by_shape: dict[torch.Size, list[int]] = {}
    for position, update in enumerate(updates):
        by_shape.setdefault(update.shape, []).append(position)
    results = list(updates)
    for shape, positions in by_shape.items():
        matrices = torch.stack([updates[position].flatten(1) for position in positions])
        scale = math.sqrt(max(1.0, matrices.shape[1] / matrices.shape[2]))
        for position, matrix in zip(positions, orthogonalise(matrices) * scale, strict=True):
            results[position] = matrix.reshape(shape)
    return results
