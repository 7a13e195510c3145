"""Changes of where pixels are: flips, crops and affine maps."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cultivar_trainer.randomness import Draw, Stream, uniform

_LOG_ASPECT = math.log(4 / 3)
_STEPS_PER_PIXEL = 4096
"""Sampling positions of crops are multiples of this part of a pixel."""
_CANVAS_BYTES = 1 << 28
"""Memory for the float images that crops are cut from at a time."""


def horizontal_flip(images: Tensor, probability: float, draw: Draw) -> Tensor:
    """Flip each image left to right with `probability`; images (N, C, H, W)."""
    return _where(uniform(draw, Stream.HORIZONTAL_FLIP)[:, 0] < probability, images.flip(3), images)


def vertical_flip(images: Tensor, probability: float, draw: Draw) -> Tensor:
    """Flip each image top to bottom with `probability`; images (N, C, H, W)."""
    return _where(uniform(draw, Stream.VERTICAL_FLIP)[:, 0] < probability, images.flip(2), images)


def alternating_flip(images: Tensor, draw: Draw) -> Tensor:
    """Flip each image left to right in every other epoch; images (N, C, H, W).

    Whether the even or the odd epochs flip it is drawn once per image, so any two epochs in a row show both sides
    (Jordan 2024, arXiv 2404.00498).
    """
    flip = uniform(Draw(draw.seed, 0, draw.indices), Stream.ALTERNATING_FLIP)[:, 0] < 0.5
    return _where(flip ^ bool(draw.epoch % 2), images.flip(3), images)


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
    # float64: torch's exp differs in its last bit by a number's place in the batch, which rounding then hides.
    draws = uniform(draw, Stream.RESIZED_CROP, 4).double()
    area = heights * widths * (min_area + (1 - min_area) * draws[:, 0])
    aspect = torch.exp((2 * draws[:, 1] - 1) * _LOG_ASPECT)  # width / height
    box_widths = torch.minimum(torch.sqrt(area * aspect), widths)
    box_heights = torch.minimum(torch.sqrt(area / aspect), heights)
    tops = draws[:, 2] * (heights - box_heights)
    lefts = draws[:, 3] * (widths - box_widths)
    return torch.stack([tops, lefts, box_heights, box_widths], dim=1).float()


def cut_boxes(images: Sequence[Tensor], boxes: Tensor, size: int, device: torch.device) -> Tensor:
    """Cut each image's window and resize it to (size, size), bilinear: float32 (N, C, size, size) in 0 to 1.

    Only the pixels around the windows travel to the device, together; one grid_sample there resizes them.

    Args:
        images: uint8 (H, W, C) each, on the CPU.
        boxes: top, left, height, width in pixels (N, 4), on the CPU.
        size: pixels.
        device: of the answer.
    """
    steps = (torch.arange(size, dtype=torch.float64) + 0.5) / size  # centres of the answer's pixels, 0 to 1
    shapes = torch.tensor([image.shape[:2] for image in images])
    # Positions between the centres of the image's first and last pixel: beyond them bilinear reads the border.
    rows, columns = (
        torch.minimum((boxes[:, axis, None] + steps * boxes[:, axis + 2, None] - 0.5).clamp(min=0), limit[:, None] - 1)
        for axis, limit in ((0, shapes[:, 0]), (1, shapes[:, 1]))
    )
    rows, columns = ((one * _STEPS_PER_PIXEL).round() / _STEPS_PER_PIXEL for one in (rows, columns))
    tops, lefts = rows[:, 0].floor().long(), columns[:, 0].floor().long()
    heights = rows[:, -1].ceil().long() + 1 - tops
    widths = columns[:, -1].ceil().long() + 1 - lefts
    # Canvas sides are powers of two, for which the sampling's arithmetic is exact: no image sees its batch's largest.
    canvas_height, canvas_width = (1 << int(one.max() - 1).bit_length() for one in (heights, widths))
    y = ((2 * (rows - tops[:, None]) + 1) / canvas_height - 1).float()
    x = ((2 * (columns - lefts[:, None]) + 1) / canvas_width - 1).float()
    windows = [
        image[top : top + height, left : left + width]
        for image, top, left, height, width in zip(
            images, *(one.tolist() for one in (tops, lefts, heights, widths)), strict=True
        )
    ]
    channels = images[0].shape[2]
    at_a_time = max(1, _CANVAS_BYTES // (4 * canvas_height * canvas_width * channels))
    out = torch.empty(len(images), channels, size, size, device=device)
    for start in range(0, len(images), at_a_time):
        part = slice(start, start + at_a_time)
        canvas = _canvas(windows[part], canvas_height, canvas_width, device)
        grid = torch.stack(
            [
                x[part, None, :].to(device).expand(-1, size, size),
                y[part, :, None].to(device).expand(-1, size, size),
            ],
            dim=3,
        )
        out[part] = F.grid_sample(canvas, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return out.div_(255)


def _canvas(windows: Sequence[Tensor], height: int, width: int, device: torch.device) -> Tensor:
    """Return windows uint8 (h, w, C) at the top left of float32 (N, C, height, width); the rest has no weight."""
    shape = (len(windows), height, width, windows[0].shape[2])
    # A GPU gets bytes, in one transfer; a CPU converts only the pixels that are there.
    canvas = torch.empty(shape, dtype=torch.float32 if device.type == "cpu" else torch.uint8)
    for place, window in zip(canvas, windows, strict=True):
        height, width = window.shape[:2]
        place[:height, :width] = window
        # Bilinear reads one pixel on with a weight of 0, which would not silence a NaN in fresh memory.
        place[: height + 1, width : width + 1] = 0
        place[height : height + 1, :width] = 0
    return canvas.to(device).float().permute(0, 3, 1, 2)


def random_affine(
    images: Tensor,
    *,
    rotation: float,
    width_shift: float,
    height_shift: float,
    shear: float,
    zoom: float,
    draw: Draw,
) -> Tensor:
    """Rotate, shift, shear and zoom each image by amounts drawn for it, in one bilinear resampling.

    The border is reflected. Amounts are uniform; 0 leaves one out.

    Args:
        images: (N, C, H, W).
        rotation: largest, in degrees.
        width_shift: largest, as a share of the width.
        height_shift: largest, as a share of the height.
        shear: largest horizontal, in degrees.
        zoom: sizes are multiplied by 1 - zoom to 1 + zoom.
        draw: which samples.
    """
    height, width = images.shape[2:]
    draws = uniform(draw, Stream.AFFINE, 5).double() * 2 - 1  # (N, 5) in [-1, 1)
    matrices = inverse_affine(
        angles=rotation * draws[:, 0],
        shifts=torch.stack([width * width_shift * draws[:, 1], height * height_shift * draws[:, 2]], dim=1),
        scales=1 + zoom * draws[:, 4],
        shears=torch.stack([shear * draws[:, 3], torch.zeros_like(draws[:, 3])], dim=1),
    )
    return warp(images, matrices, padding="reflection")


def inverse_affine(
    *, angles: Tensor, shifts: Tensor, scales: Tensor, shears: Tensor, centre: Tensor | None = None
) -> Tensor:
    """Return the maps from a moved image's pixels back to the old ones: float64 (N, 2, 3).

    Conventions are those of torchvision's `affine`: the image is sheared, scaled and rotated about the centre, then
    shifted. Positions are in pixels from the image's middle, x to the right and y down.

    Args:
        angles: clockwise, degrees (N,).
        shifts: right and down, pixels (N, 2).
        scales: factors (N,).
        shears: along x and y, degrees (N, 2).
        centre: of rotation, scaling and shear, from the image's middle, in pixels (N, 2). None: the middle.
    """
    angles, shears = torch.deg2rad(angles.double()), torch.deg2rad(shears.double())
    shear_x, shear_y = shears.unbind(1)
    a = torch.cos(angles - shear_y) / torch.cos(shear_y)
    b = -(a * torch.tan(shear_x) + torch.sin(angles))
    c = torch.sin(angles - shear_y) / torch.cos(shear_y)
    d = torch.cos(angles) - c * torch.tan(shear_x)
    # The inverse of [[a, b], [c, d]], whose determinant is 1.
    linear = torch.stack([torch.stack([d, -b], dim=1), torch.stack([-c, a], dim=1)], dim=1)
    linear = linear / scales.double()[:, None, None]
    pivot = torch.zeros_like(shears) if centre is None else centre.double()
    moved = pivot + shifts.double()
    offset = pivot - linear[:, :, 0] * moved[:, :1] - linear[:, :, 1] * moved[:, 1:]
    return torch.cat([linear, offset[:, :, None]], dim=2)


def warp(images: Tensor, matrices: Tensor, *, padding: str) -> Tensor:
    """Resample images (N, C, H, W), bilinear, at the places that maps (N, 2, 3) of `inverse_affine` give.

    `padding` is grid_sample's: `reflection` (about the border pixels' outer edges) or `zeros`.
    """
    height, width = images.shape[2:]
    half = torch.tensor([width / 2, height / 2], dtype=torch.float64, device=images.device)
    x = torch.arange(width, dtype=torch.float64, device=images.device) + 0.5 - half[0]
    y = torch.arange(height, dtype=torch.float64, device=images.device) + 0.5 - half[1]
    to_grid = matrices / half[:, None]
    # Sums, not affine_grid's matrix product: each image's places are then the same in every batch.
    along_x = (to_grid[:, :, 0, None] * x + to_grid[:, :, 2, None]).float()  # (N, 2, W)
    along_y = (to_grid[:, :, 1, None] * y).float()  # (N, 2, H)
    grid = (along_x[:, :, None, :] + along_y[:, :, :, None]).permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def _where(rows: Tensor, changed: Tensor, images: Tensor) -> Tensor:
    return torch.where(rows[:, None, None, None], changed, images)
