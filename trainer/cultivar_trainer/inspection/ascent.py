"""An input that excites a channel, found by gradient ascent."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cultivar_trainer.inspection.layers import Layer, maps_of
from cultivar_trainer.journal import Journal
from cultivar_trainer.networks.network import Network

_GREY = 0.5
_NOISE = 0.05
"""Standard deviation of the first input's noise, in parts of the range 0 to 1."""
_STEP = 0.02
"""Length of a step: mean absolute change of a pixel, in parts of the range."""
_DECAY = 0.01
"""Share of a pixel's distance to grey that each step takes back."""
_JITTER = 16
"""The input is shifted by up to a sixteenth of its side before each step."""
_STEADY = 0.25
"""Share of the steps, the last ones, in which the input is not shifted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ascent:
    """What gradient ascent found."""

    image: Tensor
    """(C, S, S), 0 to 1."""
    value: float
    """The channel's mean activation in it."""
    course: list[float]
    """Mean activation before each step."""


def ascend(network: Network, layer: Layer, channel: int, *, steps: int, seed: int, journal: Journal) -> Ascent:
    """Raise a channel's mean activation by changing the input (Simonyan et al. 2014, section 2).

    As there, it begins with one colour, and an L2 penalty pulls back to it: grey, with some noise, as a channel that is
    silent everywhere has no gradient. Each step follows the gradient divided by its mean absolute value,
    whatever its scale. Shifting the input by a few pixels before each step (Mordvintsev et al. 2015) keeps patterns of
    single pixels down. The answer is the best of the inputs of the last quarter, in which nothing is shifted.

    Args:
        network: in evaluation mode, on the CPU.
        layer: of that network.
        channel: of that layer.
        steps: 1 or more.
        seed: of the noise and the shifts; equal seeds give equal inputs on one kind of CPU.
        journal: is told how far this is.
    """
    generator = torch.Generator().manual_seed(seed % (1 << 63))
    size = network.input_size
    image = (_GREY + _NOISE * torch.randn(network.channels, size, size, generator=generator)).clamp(0, 1)
    best, value, course = image, -torch.inf, []
    steady = steps - max(1, round(_STEADY * steps))
    for step in range(steps):
        reach = size // _JITTER if step < steady else 0
        down, right = torch.randint(-reach, reach + 1, (2,), generator=generator).tolist()
        activation, gradient = _gradient(network, layer, channel, image.roll((down, right), (1, 2)))
        course.append(activation)
        if step >= steady and activation > value:
            best, value = image, activation
        gradient = torch.nan_to_num(gradient).roll((-down, -right), (1, 2))
        scale = gradient.abs().mean()
        if scale > 0:
            image = image + _STEP * gradient / scale + _DECAY * (_GREY - image)
        else:  # silent everywhere: look elsewhere
            image = image + _NOISE * torch.randn(image.shape, generator=generator)
        image = image.clamp(0, 1)
        journal.progress("gradient ascent", step + 1, steps, "steps")
    last, _ = _gradient(network, layer, channel, image)
    if last >= value:
        best, value = image, last
    return Ascent(image=best, value=value, course=[*course, last])


def _gradient(network: Network, layer: Layer, channel: int, image: Tensor) -> tuple[float, Tensor]:
    with torch.enable_grad():
        given = image.detach().clone().requires_grad_()
        activation = maps_of(network, [layer], given[None])[0][0, channel].mean()
        (gradient,) = torch.autograd.grad(activation, given)
    return float(torch.nan_to_num(activation.detach())), gradient
