"""An exponential moving average of weights over updates (Polyak & Juditsky 1992)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class WeightAverage:
    """The average of what moves in a network: parameters that learn, and buffers such as BatchNorm's statistics.

    It looks back on a share of the job's updates, so that short jobs do not end on their initial weights: the decay is
    1 - 1 / (share * updates), and less at first, (1 + t) / (10 + t) after t updates.
    """

    def __init__(self, network: nn.Module, *, ema_share: float, total_steps: int) -> None:
        """Begin with the network's weights.

        Args:
            network: on its device, in training mode with its frozen modules in evaluation mode.
            ema_share: share of the updates that the average looks back on, above 0.
            total_steps: updates in all.
        """
        self._decay = 1 - 1 / max(1.0, ema_share * total_steps)
        self._updates = 0
        self._moving = dict(_moving_tensors(network))
        self._averages = {name: tensor.detach().clone() for name, tensor in self._moving.items()}
        floating = [name for name, tensor in self._moving.items() if tensor.is_floating_point()]
        others = [name for name in self._moving if name not in set(floating)]
        self._floating = [self._averages[name] for name in floating], [self._moving[name] for name in floating]
        self._others = [self._averages[name] for name in others], [self._moving[name] for name in others]
        self._swapped = False

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights that an update has made; called after each."""
        assert not self._swapped, "the network holds the average"
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        self._updates += 1
        averages, moving = self._floating
        if averages:
            torch._foreach_lerp_(averages, moving, 1 - decay)
        averages, moving = self._others
        if averages:  # counters
            torch._foreach_copy_(averages, moving)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Put the average into the network; its own weights come back, bit for bit, at the end."""
        assert not self._swapped, "the network holds the average already"
        self._exchange()
        self._swapped = True
        try:
            yield
        finally:
            self._exchange()
            self._swapped = False

    def state_dict(self) -> dict[str, Any]:
        """Return copies on the CPU, for a checkpoint."""
        assert not self._swapped, "the network holds the average"
        return {
            "updates": self._updates,
            "tensors": {name: tensor.cpu().clone() for name, tensor in self._averages.items()},
        }

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        assert state["tensors"].keys() == self._averages.keys(), "the average of another network"
        self._updates = int(state["updates"])
        for name, tensor in state["tensors"].items():
            self._averages[name].copy_(tensor)

    @torch.no_grad()
    def _exchange(self) -> None:
        # Tensor by tensor: a second copy of the whole network would cost memory for moments.
        for name, average in self._averages.items():
            kept = average.clone()
            average.copy_(self._moving[name])
            self._moving[name].copy_(kept)


def _moving_tensors(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from ((name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad)
    for prefix, module in network.named_modules():
        if module.training:
            yield from module.named_buffers(prefix=prefix, recurse=False)
