"""Changes of where pixels are: flips and crops."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cultivar_trainer.randomness import Draw, Stream, uniform

_LOG_ASPECT = math.log(4 / 3)


def horizontal_flip(images: Tensor, probability: float, draw: Draw) -> Tensor:
    """Flip each image left to right with `probability`; images (N, C, H, W)."""
    flip = uniform(draw, Stream.HORIZONTAL_FLIP)[:, 0] < probability
    return torch.where(flip[:, None, None, None], images.flip(3), images)


def padded_crop(images: Tensor, padding: int, draw: Draw) -> Tensor:
    """Reflect `padding` pixels on each side and cut a random window of the old size; images (N, C, H, W).

    He et al. 2016, section 4.2, with reflection in place of zeros.
    """
    count, _, height, width = images.shape
    padded = F.pad(images, (padding, padding, padding, padding), mode="reflect")
    offsets = (uniform(draw, Stream.PADDED_CROP, 2) * (2 * padding + 1)).long()  # (N, 2): top, left
    rows = offsets[:, :1] + torch.arange(height, device=images.device)  # (N, H)
    columns = offsets[:, 1:] + torch.arange(width, device=images.device)  # (N, W)
    batch = torch.arange(count, device=images.device)
    # (N, H, W, C): one gather moves every image by its own offset.
    moved = padded.permute(0, 2, 3, 1)[batch[:, None, None], rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


def crop_boxes(heights: Tensor, widths: Tensor, min_area: float, draw: Draw) -> Tensor:
    """Draw a window for each image: float32 (N, 4) as top, left, height, width in pixels.

    Its area is uniform in [min_area, 1] of the image's and its aspect ratio log-uniform in [3/4, 4/3] (Szegedy et al.
    2015); a window that would not fit is shortened to the image, where torchvision would draw again.

    Args:
        heights: of the images in pixels, float32 (N,).
        widths: of the images in pixels, float32 (N,).
        min_area: smallest share of the area, above 0.
        draw: which samples.
    """
    draws = uniform(draw, Stream.RESIZED_CROP, 4)
    area = heights * widths * (min_area + (1 - min_area) * draws[:, 0])
    aspect = torch.exp((2 * draws[:, 1] - 1) * _LOG_ASPECT)  # width / height
    box_widths = torch.minimum(torch.sqrt(area * aspect), widths)
    box_heights = torch.minimum(torch.sqrt(area / aspect), heights)
    tops = draws[:, 2] * (heights - box_heights)
    lefts = draws[:, 3] * (widths - box_widths)
    return torch.stack([tops, lefts, box_heights, box_widths], dim=1)


def cut_boxes(images: Sequence[Tensor], boxes: Tensor, size: int) -> Tensor:
    """Cut each image's window and resize it to (size, size), bilinear: float32 (N, 3, size, size) in 0 to 1.

    Args:
        images: uint8 (H, W, 3) each, on the boxes' device.
        boxes: top, left, height, width in pixels (N, 4).
        size: pixels.
    """
    out = torch.empty(len(images), 3, size, size, device=boxes.device)
    steps = (torch.arange(size, device=boxes.device) + 0.5) / size  # centres of the output's pixels, 0 to 1
    for number, (image, box) in enumerate(zip(images, boxes, strict=True)):
        height, width = image.shape[:2]
        y = (box[0] + steps * box[2]) / height * 2 - 1
        x = (box[1] + steps * box[3]) / width * 2 - 1
        grid = torch.stack([x[None, :].expand(size, size), y[:, None].expand(size, size)], dim=2)[None]
        pixels = image.permute(2, 0, 1)[None].float()
        out[number] = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)[0]
    return out / 255
