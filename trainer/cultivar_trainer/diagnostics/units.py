"""Units that have stopped to learn: ReLUs that answer 0 to every image, sigmoids and tanhs at their flat ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation

FLAT_DISTANCE = 0.05
"""A sigmoid or tanh this near to an end of its range is flat: its slope is below a fifth of the largest (sigmoid: 0.19,
tanh: 0.10), and falls exponentially from there on (Glorot & Bengio 2010, section 3)."""
FLAT_SHARE = 0.9
"""A unit is saturated where it is flat for at least this share of images, and of places in them."""


class UnitKind(Enum):
    """How units stop to learn."""

    DEAD = "Dead units"
    SATURATED = "Saturated units"


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitHealth:
    """How many of a layer's units have stopped to learn."""

    layer: str
    """Original name of the activation; that of its second use in a pass ends in `#2`, and so on."""
    kind: UnitKind
    units: int
    """Channels, or features where there are no places."""
    share: float
    """Of the units that have stopped, 0 to 1."""


_ENDS: dict[type[nn.Module], tuple[float, float]] = {nn.Sigmoid: (0.0, 1.0), nn.Tanh: (-1.0, 1.0)}
"""Of the range of activations that are flat there."""
_RECTIFIERS = (nn.ReLU, nn.ReLU6)
"""Activations whose gradient is 0 where they answer 0."""


@dataclass(slots=True)
class _Seen:
    """What a layer's units answered so far."""

    kind: UnitKind
    counts: Tensor
    """int64 (units,): answers above 0, or flat ones."""
    answers: int = 0
    """Of each unit: images, or images times places."""
    finite: Tensor | None = None
    """bool (): whether all answers were numbers."""


class UnitWatch:
    """Watches the units of activations while passes run under it.

    Gates of squeeze-and-excitation are left out: theirs is to close. So is what no learning weight feeds, and what is
    no module, such as the ReLUs of GoogLeNet and Inception and the last one of DenseNet.
    """

    def __init__(self, modules: Sequence[tuple[str, nn.Module]]) -> None:
        gates = {id(inner) for _, one in modules if isinstance(one, SqueezeExcitation) for inner in one.modules()}
        self._watched = [
            (name, one) for name, one in modules if isinstance(one, (*_RECTIFIERS, *_ENDS)) and id(one) not in gates
        ]
        self._seen: dict[str, _Seen] = {}
        self._uses: dict[str, int] = {}
        self._handles: list[Any] = []

    def __enter__(self) -> Self:
        for name, module in self._watched:
            self._handles.append(module.register_forward_hook(self._hook(name)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def begin_pass(self) -> None:
        """Say that uses of modules count from one again."""
        self._uses.clear()

    def health(self) -> Sequence[UnitHealth]:
        """Return what the passes have shown; of layers with answers that are no numbers, nothing."""
        found = []
        for layer, seen in self._seen.items():
            if seen.finite is None or not bool(seen.finite):
                continue
            stopped = seen.counts == 0 if seen.kind is UnitKind.DEAD else seen.counts >= FLAT_SHARE * seen.answers
            share = float(stopped.double().mean())
            found.append(UnitHealth(layer=layer, kind=seen.kind, units=len(seen.counts), share=share))
        return found

    def _hook(self, name: str) -> Any:
        def look(module: nn.Module, _: Any, output: Tensor) -> None:
            if not output.requires_grad:
                return
            use = self._uses[name] = self._uses.get(name, 0) + 1
            self._look(name if use == 1 else f"{name}#{use}", module, output.detach())

        return look

    def _look(self, layer: str, module: nn.Module, output: Tensor) -> None:
        units = 1 if output.ndim in (2, 4) else output.ndim - 1  # tokens (N, T, F) have their features last
        others = [dimension for dimension in range(output.ndim) if dimension != units]
        ends = next((found for kind, found in _ENDS.items() if isinstance(module, kind)), None)
        if ends is None:
            kind, hits = UnitKind.DEAD, output > 0
        else:
            low, high = ends
            kind, hits = UnitKind.SATURATED, (output < low + FLAT_DISTANCE) | (output > high - FLAT_DISTANCE)
        counts, finite = hits.sum(others), torch.isfinite(output).all()
        seen = self._seen.get(layer)
        if seen is None:
            seen = self._seen[layer] = _Seen(kind, torch.zeros_like(counts))
        seen.counts += counts
        seen.answers += output.numel() // output.shape[units]
        seen.finite = finite if seen.finite is None else seen.finite & finite
