"""Losses of information: noise, blur, erased rectangles."""

import math

import torch
from torch import Tensor

from cultivar_trainer.randomness import Draw, Stream, lanes, normal, uniform

_ERASED_AREA = (0.02, 0.33)
_ERASED_ASPECT = (0.3, 3.3)
_SHARPEST = 1e-3
"""Pixels; a narrower kernel is the image itself."""


def gaussian_noise(images: Tensor, largest: float, draw: Draw) -> Tensor:
    """Add noise whose standard deviation is drawn per image in [0, largest]; images (N, C, H, W) in 0 to 1."""
    noise = normal(draw, Stream.NOISE, images[0].numel()).view(images.shape)
    deviations = largest * uniform(draw, Stream.NOISE_STRENGTH)
    return noise.mul_(deviations[:, :, None, None]).add_(images).clamp_(0, 1)


def random_blur(images: Tensor, largest: float, draw: Draw) -> Tensor:
    """Blur each image with a standard deviation drawn in [0, largest] pixels; images (N, C, H, W)."""
    return gaussian_blur(images, largest * uniform(draw, Stream.BLUR)[:, 0], radius=math.ceil(3 * largest))


def gaussian_blur(images: Tensor, sigmas: Tensor, *, radius: int) -> Tensor:
    """Blur each image with its own kernel of 2 * radius + 1 pixels; the border is reflected.

    As torchvision's `gaussian_blur`, which takes one standard deviation for all.

    Args:
        images: (N, C, H, W).
        sigmas: standard deviations in pixels (N,).
        radius: pixels, the same for all.
    """
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64, device=images.device)
    weights = torch.exp(-0.5 * (offsets / sigmas.double().clamp(min=_SHARPEST)[:, None]).square())
    weights = (weights / weights.sum(dim=1, keepdim=True)).float()[:, :, None, None, None]  # (N, 2 radius + 1, 1, 1, 1)
    for axis in (2, 3):
        length = images.shape[axis]
        padded = images.index_select(axis, _reflected(length, radius, images.device))
        # One pass per tap: as fast as a grouped convolution, and each image alone whatever the batch.
        blurred = padded.narrow(axis, 0, length) * weights[:, 0]
        for tap in range(1, 2 * radius + 1):
            blurred.addcmul_(padded.narrow(axis, tap, length), weights[:, tap])
        images = blurred
    return images


def random_erasing(images: Tensor, probability: float, draw: Draw) -> Tensor:
    """Replace a rectangle of each image, with `probability`, by random pixels; images (N, C, H, W) in 0 to 1.

    Zhong et al. 2020 with their area of 2 to 33 % of the image, aspect ratio of 0.3 to 3.3, log-uniform, and uniformly
    random values, which did best there. A rectangle too long for the image is shortened, where they draw again.
    """
    on_host = draw.host()
    draws = uniform(on_host, Stream.ERASING, 5).double()
    rows = torch.nonzero(draws[:, 0] < probability)[:, 0]
    if len(rows) == 0:
        return images
    channels, height, width = images.shape[1:]
    boxes = _erased_boxes(draws[rows, 1:], height, width).to(images.device)
    rows = rows.to(images.device)
    y = torch.arange(height, device=images.device)
    x = torch.arange(width, device=images.device)
    in_rows = (y >= boxes[:, :1]) & (y < boxes[:, :1] + boxes[:, 2:3])  # (M, H)
    in_columns = (x >= boxes[:, 1:2]) & (x < boxes[:, 1:2] + boxes[:, 3:])  # (M, W)
    inside = in_rows[:, None, :, None] & in_columns[:, None, None, :]
    pixels = lanes(draw.take(rows), Stream.ERASED_PIXELS, channels * height * width).float() / 65535
    erased = torch.where(inside, pixels.view(-1, channels, height, width), images[rows])
    return images.index_copy(0, rows, erased)


def _erased_boxes(draws: Tensor, height: int, width: int) -> Tensor:
    """Turn numbers in [0, 1) (M, 4) into whole pixels (M, 4): top, left, height, width; each is 1 pixel or more."""
    area = height * width * (_ERASED_AREA[0] + (_ERASED_AREA[1] - _ERASED_AREA[0]) * draws[:, 0])
    low, high = (math.log(one) for one in _ERASED_ASPECT)
    aspect = torch.exp(low + (high - low) * draws[:, 1])  # height / width
    heights = torch.sqrt(area * aspect).round().clamp(1, height)
    widths = torch.sqrt(area / aspect).round().clamp(1, width)
    tops = (draws[:, 2] * (height - heights + 1)).floor()
    lefts = (draws[:, 3] * (width - widths + 1)).floor()
    return torch.stack([tops, lefts, heights, widths], dim=1).long()


def _reflected(length: int, radius: int, device: torch.device) -> Tensor:
    """Return the positions of `length` pixels and `radius` reflected ones on each side, as often as it takes."""
    positions = torch.arange(-radius, length + radius, device=device)
    period = max(1, 2 * (length - 1))
    positions = positions.remainder(period)
    return torch.minimum(positions, period - positions).clamp(max=length - 1)
