"""RandAugment and TrivialAugment: operations of torchvision's list, chosen for each image by itself."""

from collections.abc import Callable
from enum import IntEnum

import torch
from torch import Tensor

from cultivar_trainer.augmentation import color
from cultivar_trainer.augmentation.geometry import inverse_affine, warp
from cultivar_trainer.randomness import Draw, Stream, uniform

BINS = 31
"""Strengths that an operation can have, 0 the weakest."""


class Operation(IntEnum):
    """What may be done to an image."""

    IDENTITY = 0
    SHEAR_X = 1
    SHEAR_Y = 2
    TRANSLATE_X = 3
    TRANSLATE_Y = 4
    ROTATE = 5
    BRIGHTNESS = 6
    COLOR = 7
    CONTRAST = 8
    SHARPNESS = 9
    POSTERIZE = 10
    SOLARIZE = 11
    AUTOCONTRAST = 12
    EQUALIZE = 13


_GEOMETRIC = range(Operation.SHEAR_X, Operation.BRIGHTNESS)
_SIGNED = range(Operation.SHEAR_X, Operation.POSTERIZE)
"""Operations whose strength goes either way."""


def randaugment(images: Tensor, *, operations: int, magnitude: int, draw: Draw) -> Tensor:
    """Apply operations drawn per image, one after the other; images (N, 3, H, W) in 0 to 1.

    Cubuk et al. 2020 with torchvision's operations and ranges; geometry is bilinear and fills with black.

    Args:
        images: float32.
        operations: how many each image gets.
        magnitude: their strength, 0 to 30; half of the signed ones are reversed.
        draw: which samples.
    """
    draws = uniform(draw.host(), Stream.RANDAUGMENT, 2 * operations)
    table = _strengths(images.shape[2], images.shape[3], wide=False)
    for number in range(operations):
        chosen = (draws[:, 2 * number] * len(Operation)).long()
        strengths = _signed(chosen, table[chosen, magnitude], draws[:, 2 * number + 1])
        images = apply(images, chosen, strengths)
    return images


def trivial_augment(images: Tensor, draw: Draw) -> Tensor:
    """Apply one operation of one strength, both drawn per image; images (N, 3, H, W) in 0 to 1.

    Mueller & Hutter 2021, TrivialAugment Wide, with torchvision's operations and ranges.
    """
    draws = uniform(draw.host(), Stream.TRIVIAL_AUGMENT, 3)
    chosen, bins = (draws[:, 0] * len(Operation)).long(), (draws[:, 1] * BINS).long()
    table = _strengths(images.shape[2], images.shape[3], wide=True)
    return apply(images, chosen, _signed(chosen, table[chosen, bins], draws[:, 2]))


def apply(images: Tensor, chosen: Tensor, strengths: Tensor) -> Tensor:
    """Apply to each image its operation, all images of one operation together.

    Strengths mean what torchvision's functions take: shear as a tangent, translation in pixels (its fraction is
    dropped), rotation in degrees counter-clockwise, factors less 1 for brightness, color, contrast and sharpness,
    bits for posterize, a threshold of 0 to 1 for solarize.

    Args:
        images: float32 (N, 3, H, W) in 0 to 1.
        chosen: `Operation` numbers, int64 (N,), on the CPU.
        strengths: float32 (N,), on the CPU.
    """
    geometric = (chosen >= _GEOMETRIC.start) & (chosen < _GEOMETRIC.stop)
    groups: list[tuple[Tensor, Callable[[Tensor, Tensor], Tensor]]] = [
        (torch.nonzero(chosen == operation)[:, 0], apply_one) for operation, apply_one in _COLOURING.items()
    ]
    images = images.clone()
    for rows, apply_one in groups:
        if len(rows):
            places = rows.to(images.device)
            images[places] = apply_one(images[places], strengths[rows].to(images.device))
    rows = torch.nonzero(geometric)[:, 0]
    if len(rows):
        matrices = _matrices(chosen[rows], strengths[rows], images.shape[2], images.shape[3]).to(images.device)
        places = rows.to(images.device)
        images[places] = warp(images[places], matrices, padding="zeros")
    return images


def adjust_sharpness(images: Tensor, factors: Tensor) -> Tensor:
    """Move each image away from its smoothed self by its factor; the outermost pixels stay. Images (N, C, H, W)."""
    height, width = images.shape[2:]
    if height <= 2 or width <= 2:
        return images
    box = sum(images[:, :, dy : height - 2 + dy, dx : width - 2 + dx] for dy in range(3) for dx in range(3))
    smooth = images.clone()
    smooth[:, :, 1:-1, 1:-1] = (box + 4 * images[:, :, 1:-1, 1:-1]) / 13
    return color.blend(images, smooth, factors)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the upper bits of each image's values; images (N, C, H, W) in 0 to 1, bits (N,)."""
    levels = (2 ** bits.trunc())[:, None, None, None]
    return torch.minimum((images * levels).floor(), levels - 1) / levels


def solarize(images: Tensor, thresholds: Tensor) -> Tensor:
    """Invert values at or above each image's threshold; images (N, C, H, W) in 0 to 1, thresholds (N,)."""
    return torch.where(images >= thresholds[:, None, None, None], 1 - images, images)


def autocontrast(images: Tensor) -> Tensor:
    """Stretch each channel of each image to 0 to 1; constant channels stay. Images (N, C, H, W)."""
    low, high = images.amin(dim=(2, 3), keepdim=True), images.amax(dim=(2, 3), keepdim=True)
    constant = low == high
    low = torch.where(constant, torch.zeros_like(low), low)
    return ((images - low) / torch.where(constant, torch.ones_like(low), high - low)).clamp(0, 1)


def equalize(images: Tensor) -> Tensor:
    """Make each channel's 256 levels about equally frequent, by Pillow's rule; images (N, C, H, W) in 0 to 1."""
    levels = (images * (256 - 1e-3)).long().flatten(2)  # (N, C, pixels), rounded as torchvision turns floats into bytes
    histogram = torch.zeros(*levels.shape[:2], 256, dtype=torch.int64, device=images.device)
    histogram.scatter_add_(2, levels, torch.ones_like(levels))
    cumulative = histogram.cumsum(dim=2)
    brightest = levels.amax(dim=2, keepdim=True)
    step = (levels.shape[2] - histogram.gather(2, brightest)) // 255
    # Level k becomes (pixels below k + step / 2) / step.
    below = torch.cat([torch.zeros_like(cumulative[:, :, :1]), cumulative[:, :, :-1]], dim=2)
    table = ((below + step // 2) // step.clamp(min=1)).clamp(0, 255)
    equalized = torch.where(step > 0, table.gather(2, levels), levels)
    return (equalized / 255).view(images.shape)


_COLOURING: dict[Operation, Callable[[Tensor, Tensor], Tensor]] = {
    Operation.BRIGHTNESS: lambda images, strengths: color.adjust_brightness(images, 1 + strengths),
    Operation.COLOR: lambda images, strengths: color.adjust_saturation(images, 1 + strengths),
    Operation.CONTRAST: lambda images, strengths: color.adjust_contrast(images, 1 + strengths),
    Operation.SHARPNESS: lambda images, strengths: adjust_sharpness(images, 1 + strengths),
    Operation.POSTERIZE: posterize,
    Operation.SOLARIZE: solarize,
    Operation.AUTOCONTRAST: lambda images, _: autocontrast(images),
    Operation.EQUALIZE: lambda images, _: equalize(images),
}


def _strengths(height: int, width: int, *, wide: bool) -> Tensor:
    """Return torchvision's strengths: float32 (operations, BINS)."""
    table = torch.zeros(len(Operation), BINS)
    ranges = {
        Operation.SHEAR_X: 0.99 if wide else 0.3,
        Operation.SHEAR_Y: 0.99 if wide else 0.3,
        Operation.TRANSLATE_X: 32.0 if wide else 150 / 331 * width,
        Operation.TRANSLATE_Y: 32.0 if wide else 150 / 331 * height,
        Operation.ROTATE: 135.0 if wide else 30.0,
    } | dict.fromkeys(range(Operation.BRIGHTNESS, Operation.POSTERIZE), 0.99 if wide else 0.9)
    for operation, largest in ranges.items():
        table[operation] = torch.linspace(0.0, largest, BINS)
    table[Operation.POSTERIZE] = (8 - torch.arange(BINS) / ((BINS - 1) / (6 if wide else 4))).round()
    table[Operation.SOLARIZE] = torch.linspace(1.0, 0.0, BINS)
    return table


def _signed(chosen: Tensor, strengths: Tensor, draws: Tensor) -> Tensor:
    reversed_ = (chosen >= _SIGNED.start) & (chosen < _SIGNED.stop) & (draws < 0.5)
    return torch.where(reversed_, -strengths, strengths)


def _matrices(chosen: Tensor, strengths: Tensor, height: int, width: int) -> Tensor:
    def where(operation: Operation, values: Tensor) -> Tensor:
        return torch.where(chosen == operation, values, torch.zeros_like(values))

    strengths = strengths.double()
    tangents = torch.rad2deg(torch.atan(strengths))
    return inverse_affine(
        angles=where(Operation.ROTATE, -strengths),
        shifts=torch.stack(
            [where(Operation.TRANSLATE_X, strengths.trunc()), where(Operation.TRANSLATE_Y, strengths.trunc())], dim=1
        ),
        scales=torch.ones_like(strengths),
        shears=torch.stack([where(Operation.SHEAR_X, tangents), where(Operation.SHEAR_Y, tangents)], dim=1),
        # Shears hold the upper left corner; rotations and translations hold the middle.
        centre=torch.where(
            ((chosen == Operation.SHEAR_X) | (chosen == Operation.SHEAR_Y))[:, None],
            torch.tensor([-width / 2, -height / 2], dtype=torch.float64),
            torch.zeros(2, dtype=torch.float64),
        ),
    )
