"""Changes of what colour pixels have: torchvision's ColorJitter, channel shift, colour temperature."""

import torch
from torch import Tensor

from cultivar_trainer.randomness import Draw, Stream, uniform

_GREY = (0.2989, 0.587, 0.114)  # ITU-R 601-2 luma, as torchvision's rgb_to_grayscale


def color_jitter(
    images: Tensor,
    *,
    brightness: float,
    contrast: float,
    saturation: float,
    hue: float,
    draw: Draw,
) -> Tensor:
    """Change colours by factors drawn per image; images (N, C, H, W) in 0 to 1, C being 3 where colours change.

    Factors are uniform in [1 - x, 1 + x], the hue's turn in [-hue, hue] of the circle. The order is fixed, where
    torchvision draws one for the whole batch.
    """
    draws = uniform(draw, Stream.COLOR_JITTER, 4) * 2 - 1  # (N, 4) in [-1, 1)
    if brightness:
        images = adjust_brightness(images, 1 + brightness * draws[:, 0])
    if contrast:
        images = adjust_contrast(images, 1 + contrast * draws[:, 1])
    if saturation:
        images = adjust_saturation(images, 1 + saturation * draws[:, 2])
    if hue:
        images = adjust_hue(images, hue * draws[:, 3])
    return images


def channel_shift(images: Tensor, largest: float, draw: Draw) -> Tensor:
    """Add to each channel of each image a number of its own in [-largest, largest]; images (N, C, H, W) in 0 to 1."""
    shifts = largest * (2 * uniform(draw, Stream.CHANNEL_SHIFT, images.shape[1]) - 1)  # (N, C)
    return (images + shifts[:, :, None, None]).clamp(0, 1)


def color_temperature(images: Tensor, largest: float, draw: Draw) -> Tensor:
    """Multiply red and divide blue by a factor per image in [1 - largest, 1 + largest]: warmer above 1, colder below.

    Images (N, 3, H, W) in 0 to 1; `largest` below 1.
    """
    factors = 1 + largest * (2 * uniform(draw, Stream.COLOR_TEMPERATURE)[:, 0] - 1)
    by_channel = torch.stack([factors, torch.ones_like(factors), 1 / factors], dim=1)  # (N, 3)
    return (images * by_channel[:, :, None, None]).clamp(0, 1)


def adjust_brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Multiply each image by its factor; images (N, C, H, W), factors (N,)."""
    return (images * _per_image(factors)).clamp(0, 1)


def adjust_contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Move each image away from its mean grey by its factor; images (N, C, H, W), factors (N,)."""
    # The order in which torch adds up depends on the batch's size: float64 hides it from each image.
    mean = _grey(images).mean(dim=(1, 2, 3), keepdim=True, dtype=torch.float64).to(images.dtype)
    return blend(images, mean, factors)


def adjust_saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Move each pixel away from its grey by the image's factor; images (N, 3, H, W), factors (N,)."""
    return blend(images, _grey(images), factors)


def adjust_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Turn each image's hue by its share of the colour circle; images (N, 3, H, W), turns (N,)."""
    red, green, blue = images.unbind(1)
    value = images.amax(dim=1)
    chroma = value - images.amin(dim=1)
    safe = torch.where(chroma == 0, torch.ones_like(chroma), chroma)
    # In sixths of the circle, by which channel is brightest.
    sixths = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    sixths = (sixths + 6 * turns[:, None, None])[:, None]
    # HSV to RGB by the piecewise-linear form: f(n) = v - chroma * max(0, min(k, 4 - k, 1)), k = (n + 6 hue) mod 6.
    k = sixths + torch.tensor([5.0, 3.0, 1.0], device=images.device)[:, None, None]
    k = k - 6 * (k / 6).floor()
    return value[:, None] - chroma[:, None] * torch.minimum(k, 4 - k).clamp(0, 1)


def blend(images: Tensor, other: Tensor, factors: Tensor) -> Tensor:
    """Move each image away from another by its factor: 0 gives the other, 1 the image; factors (N,)."""
    ratio = _per_image(factors)
    return (ratio * images + (1 - ratio) * other).clamp(0, 1)


def _grey(images: Tensor) -> Tensor:
    if images.shape[1] == 1:
        return images
    return (_GREY[0] * images[:, 0] + _GREY[1] * images[:, 1] + _GREY[2] * images[:, 2])[:, None]


def _per_image(values: Tensor) -> Tensor:
    return values[:, None, None, None]
