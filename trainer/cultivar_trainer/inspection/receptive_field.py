"""Receptive fields: which part of the image a unit sees, exactly.

Araujo et al. 2019, "Computing receptive fields of convolutional neural networks", compute them from kernels, strides
and paddings along a chain. Here a linear network of the same connections gives them for any graph: every convolution
takes plain means, maximum pooling becomes average pooling, and what works on each number by itself becomes nothing. All
weights are then positive, so that no two paths cancel, and the gradient of a unit is other than zero exactly where it
sees.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from cultivar_trainer.inspection.layers import Layer, maps_of
from cultivar_trainer.networks.network import Network

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the input; the last two are the first pixels outside."""

_BY_NUMBER = frozenset(
    (
        *("relu", "relu_", "relu6", "hardtanh", "hardtanh_", "leaky_relu", "gelu", "silu", "hardswish"),
        *("sigmoid", "tanh", "hardsigmoid"),
        # Normalisation mixes no places in evaluation: BatchNorm's statistics are fixed, LayerNorm's are of one place.
        *("batch_norm", "layer_norm", "dropout"),
    )
)
"""Functions that mix no places."""


class ReceptiveFields:
    """Finds what units of one layer see."""

    def __init__(self, network: Network, layer: Layer) -> None:
        """Run the linear network once.

        Args:
            network: in evaluation mode.
            layer: of that network.
        """
        self._size = network.input_size
        self.whole_because = layer.global_before
        """Kind of the module for whose sake every unit sees the whole image; empty where boxes are computed."""
        self._image = torch.zeros(1, network.channels, self._size, self._size, dtype=torch.float64, requires_grad=True)
        self._maps: Tensor | None = None
        if not self.whole_because:
            # float64: the share of a corner pixel falls by the area of a kernel with each layer.
            with torch.enable_grad(), _Means():
                self._maps = maps_of(network, [layer], self._image)[0]

    def box(self, channel: int, row: int, column: int) -> Box:
        """Return the part of the image that a unit sees, without what would lie outside of the image."""
        if self._maps is None:
            return 0, 0, self._size, self._size
        unit = self._maps[0, channel, row, column]
        (gradient,) = torch.autograd.grad(unit, self._image, retain_graph=True)
        seen = (gradient[0] != 0).any(dim=0)
        rows, columns = (torch.nonzero(seen.any(dim=axis)).flatten() for axis in (1, 0))
        if not len(rows):  # a padded shortcut's channel without input
            return 0, 0, 0, 0
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


class _Means(TorchFunctionMode):
    """Computes means over what an operation sees, in place of the operation."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in _BY_NUMBER:
            return args[0]
        if name == "conv2d":
            return _convolve(*args, **kwargs)
        if name == "linear":
            return args[0].mean(dim=-1, keepdim=True).repeat_interleave(args[1].shape[0], dim=-1)
        if name.startswith("max_pool2d"):
            return _pool(*args, **kwargs)
        return func(*args, **kwargs)


def _convolve(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Average over kernel and group: the same mean for all filters of a group, which is computed once."""
    area = math.prod(weight.shape[2:])
    means = images.reshape(len(images), groups, -1, *images.shape[2:]).mean(dim=2)  # (N, G, H, W)
    kernel = images.new_full((groups, 1, *weight.shape[2:]), 1 / area)
    convolved = F.conv2d(means, kernel, None, stride, padding, dilation, groups)
    return convolved.repeat_interleave(weight.shape[0] // groups, dim=1)


def _pool(
    images: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    assert dilation in (1, (1, 1)), "no network of ours pools with gaps"
    return F.avg_pool2d(images, kernel_size, stride, padding, ceil_mode)
