"""Changes of what colour pixels have: brightness, contrast, saturation, hue, as torchvision's ColorJitter has them."""

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
    """Change colours by factors drawn per image; images (N, 3, H, W) in 0 to 1.

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


def adjust_brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Multiply each image by its factor; images (N, 3, H, W), factors (N,)."""
    return (images * _per_image(factors)).clamp(0, 1)


def adjust_contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Move each image away from its mean grey by its factor; images (N, 3, H, W), factors (N,)."""
    mean = _grey(images).mean(dim=(1, 2, 3), keepdim=True)
    return _blend(images, mean, factors)


def adjust_saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Move each pixel away from its grey by the image's factor; images (N, 3, H, W), factors (N,)."""
    return _blend(images, _grey(images), factors)


def adjust_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Turn each image's hue by its share of the colour circle; images (N, 3, H, W), turns (N,)."""
    red, green, blue = images.unbind(1)
    value, brightest = images.max(dim=1)
    chroma = value - images.min(dim=1).values
    safe = torch.where(chroma == 0, torch.ones_like(chroma), chroma)
    by_channel = torch.stack([(green - blue) / safe, 2 + (blue - red) / safe, 4 + (red - green) / safe], dim=1)
    sixths = by_channel.gather(1, brightest[:, None])[:, 0] + 6 * turns[:, None, None]
    # HSV to RGB by the piecewise-linear form: f(n) = v - chroma * max(0, min(k, 4 - k, 1)), k = (n + 6 hue) mod 6.
    offsets = torch.tensor([5.0, 3.0, 1.0], device=images.device)[None, :, None, None]
    k = torch.remainder(offsets + sixths[:, None], 6)
    return value[:, None] - chroma[:, None] * torch.minimum(k, 4 - k).clamp(0, 1)


def _grey(images: Tensor) -> Tensor:
    weights = torch.tensor(_GREY, device=images.device, dtype=images.dtype)[None, :, None, None]
    return (images * weights).sum(dim=1, keepdim=True)


def _blend(images: Tensor, other: Tensor, factors: Tensor) -> Tensor:
    ratio = _per_image(factors)
    return (ratio * images + (1 - ratio) * other).clamp(0, 1)


def _per_image(values: Tensor) -> Tensor:
    return values[:, None, None, None]
