from typing import Any

import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from cultivar_trainer.augmentation.geometry import (
    alternating_flip,
    crop_boxes,
    cut_boxes,
    horizontal_flip,
    inverse_affine,
    padded_crop,
    random_affine,
    vertical_flip,
    warp,
)
from cultivar_trainer.randomness import Draw

CPU = torch.device("cpu")


def draw(count: int, epoch: int = 0) -> Draw:
    return Draw(0, epoch, torch.arange(count))


def test_about_the_share_asked_for_is_flipped_and_the_rest_is_untouched() -> None:
    images = torch.rand(400, 3, 4, 6)

    flipped = horizontal_flip(images, 0.3, draw(400))

    mirrored = (flipped == images.flip(3)).flatten(1).all(1)
    untouched = (flipped == images).flatten(1).all(1)
    assert torch.all(mirrored ^ untouched)
    assert 0.2 < mirrored.float().mean() < 0.4


def test_a_padded_crop_is_a_window_of_the_reflected_image() -> None:
    images = torch.arange(2 * 3 * 8 * 8).reshape(2, 3, 8, 8).float()

    cropped = padded_crop(images, 2, draw(2))

    padded = torch.nn.functional.pad(images, (2, 2, 2, 2), mode="reflect")
    for number in range(2):
        windows = [padded[number, :, top : top + 8, left : left + 8] for top in range(5) for left in range(5)]
        assert sum(torch.equal(cropped[number], window) for window in windows) == 1


def test_padded_crops_reach_every_offset() -> None:
    rows = torch.arange(8).float()[None, None, :, None].expand(500, 1, 8, 8)

    tops = padded_crop(rows, 2, draw(500))[:, 0, 4, 0]

    assert set(tops.tolist()) == {2.0, 3.0, 4.0, 5.0, 6.0}


def test_boxes_stay_inside_with_area_and_aspect_as_asked() -> None:
    heights, widths = torch.full((2000,), 60.0), torch.full((2000,), 90.0)

    top, left, height, width = crop_boxes(heights, widths, 0.25, draw(2000)).unbind(1)

    assert torch.all((top >= 0) & (left >= 0) & (top + height <= 60 + 1e-3) & (left + width <= 90 + 1e-3))
    share = height * width / (60 * 90)
    fitting = height < 59.9  # windows that had to be shortened keep neither area nor aspect
    assert torch.all(share[fitting] > 0.2499)
    assert abs(float(share[fitting].min()) - 0.25) < 0.02
    ratio = (width / height)[fitting]
    assert 0.74 < float(ratio.min()) < 0.8
    assert 1.25 < float(ratio.max()) < 1.34


def test_the_whole_image_as_window_gives_the_image_back() -> None:
    image = torch.randint(0, 256, (16, 16, 3), dtype=torch.uint8)

    cut = cut_boxes([image], torch.tensor([[0.0, 0.0, 16.0, 16.0]]), 16, CPU)

    assert torch.allclose(cut[0], image.permute(2, 0, 1) / 255, atol=1e-5)


def test_a_quarter_as_window_gives_that_quarter_enlarged() -> None:
    image = torch.zeros(16, 16, 3, dtype=torch.uint8)
    image[:8, 8:] = 255

    cut = cut_boxes([image], torch.tensor([[0.0, 8.0, 8.0, 8.0]]), 8, CPU)

    assert torch.all(cut == 1)


def test_windows_are_resized_as_grid_sample_resizes_each_alone() -> None:
    generator = np.random.default_rng(0)
    images = [
        torch.from_numpy(generator.integers(0, 256, (*shape, channels), dtype=np.uint8))
        for channels in (3,)
        for shape in ((20, 33), (40, 19), (16, 16))
    ]
    boxes = torch.tensor([[3.3, 7.1, 9.9, 20.2], [0.0, 0.0, 40.0, 19.0], [15.0, 14.5, 1.0, 1.5]])

    cut = cut_boxes(images, boxes, 12, CPU)

    steps = (torch.arange(12) + 0.5) / 12
    for image, (top, left, height, width), result in zip(images, boxes.tolist(), cut, strict=True):
        y, x = (
            (start + steps * length) / side * 2 - 1
            for start, length, side in ((top, height, image.shape[0]), (left, width, image.shape[1]))
        )
        grid = torch.stack([x.expand(12, 12), y[:, None].expand(12, 12)], dim=2)[None]
        alone = torch.nn.functional.grid_sample(
            image.permute(2, 0, 1)[None] / 255, grid, padding_mode="reflection", align_corners=False
        )[0]
        assert torch.allclose(result, alone, atol=1e-3)  # positions are multiples of 1/4096 pixel


def test_what_fresh_memory_holds_around_a_window_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.randint(0, 256, (9, 9, 3), dtype=torch.uint8)
    boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0], [2.0, 2.0, 3.0, 5.0]])
    expected = cut_boxes([image, image], boxes, 9, CPU)

    def filled_with_nan(*shape: Any, **options: Any) -> torch.Tensor:
        return torch.full(shape[0] if isinstance(shape[0], tuple) else shape, torch.nan)

    monkeypatch.setattr(torch, "empty", filled_with_nan)

    assert torch.equal(cut_boxes([image, image], boxes, 9, CPU), expected)


def test_windows_do_not_depend_on_their_batch() -> None:
    generator = np.random.default_rng(1)
    sizes = [(20, 33), (70, 19), (16, 16), (24, 90)]
    images = [torch.from_numpy(generator.integers(0, 256, (*size, 1), dtype=np.uint8)) for size in sizes]
    shapes = torch.tensor(sizes).float()
    boxes = crop_boxes(shapes[:, 0], shapes[:, 1], 0.1, draw(4))

    together = cut_boxes(images, boxes, 10, CPU)

    alone = torch.cat([cut_boxes([image], box[None], 10, CPU) for image, box in zip(images, boxes, strict=True)])
    assert torch.equal(together, alone)


def test_a_vertical_flip_turns_rows_around() -> None:
    images = torch.rand(200, 1, 3, 4)

    flipped = vertical_flip(images, 0.5, draw(200))

    mirrored = (flipped == images.flip(2)).flatten(1).all(1)
    assert torch.all(mirrored | (flipped == images).flatten(1).all(1))
    assert 0.4 < mirrored.float().mean() < 0.6


def test_two_epochs_in_a_row_show_both_sides_of_every_image() -> None:
    images = torch.rand(100, 3, 2, 5)

    epochs = [alternating_flip(images, draw(100, epoch)) for epoch in range(4)]

    assert torch.equal(epochs[1], epochs[0].flip(3))
    assert torch.equal(epochs[2], epochs[0])
    assert torch.equal(epochs[3], epochs[1])
    flipped = (epochs[0] != images).flatten(1).any(1)
    assert 30 < flipped.sum() < 70


def reflected(image: torch.Tensor, border: int) -> torch.Tensor:
    widths = ((0, 0), (border, border), (border, border))
    return torch.from_numpy(np.pad(image.numpy(), widths, mode="symmetric"))


@pytest.mark.parametrize(
    ("angle", "shift", "scale", "shear"),
    [
        (30.0, (0.0, 0.0), 1.0, 0.0),
        (0.0, (3.0, -2.0), 1.0, 0.0),
        (0.0, (0.0, 0.0), 0.8, 0.0),
        (0.0, (0.0, 0.0), 1.0, 20.0),
        (-75.0, (2.5, 1.25), 1.3, -15.0),
    ],
)
def test_affine_maps_are_torchvisions_with_a_reflected_border(
    angle: float, shift: tuple[float, float], scale: float, shear: float
) -> None:
    image = torch.rand(3, 20, 28, generator=torch.Generator().manual_seed(0))
    matrices = inverse_affine(
        angles=torch.tensor([angle]),
        shifts=torch.tensor([shift]),
        scales=torch.tensor([scale]),
        shears=torch.tensor([[shear, 0.0]]),
    )

    warped = warp(image[None], matrices, padding="reflection")[0]

    # torchvision knows no reflection: it gets an image with its reflections around it, which has the same middle.
    reference = functional.affine_image(
        reflected(image, 20), angle, list(shift), scale, [shear, 0.0], InterpolationMode.BILINEAR
    )[:, 20:-20, 20:-20]
    assert torch.allclose(warped, reference, atol=2e-5)


def test_a_quarter_turn_is_exact_and_clockwise() -> None:
    image = torch.rand(1, 1, 6, 6)
    none = torch.zeros(1, 2)

    turned = warp(
        image,
        inverse_affine(angles=torch.tensor([90.0]), shifts=none, scales=torch.ones(1), shears=none),
        padding="zeros",
    )

    assert torch.allclose(turned, image.rot90(-1, (2, 3)), atol=1e-5)
    assert torch.allclose(turned, functional.rotate(image, -90.0), atol=1e-5)


def test_affine_amounts_stay_within_what_was_asked_for() -> None:
    ramp = torch.arange(64).float()[None, None, None, :].expand(300, 1, 64, 64)
    nothing = {"rotation": 0.0, "width_shift": 0.0, "height_shift": 0.0, "shear": 0.0, "zoom": 0.0}

    shifted = random_affine(ramp, **{**nothing, "width_shift": 0.25}, draw=draw(300))[:, 0, 32, 32] - 32
    zoomed = random_affine(ramp, **{**nothing, "zoom": 0.2}, draw=draw(300))[:, 0, 32]

    assert -16.01 < shifted.min() < -15
    assert 15 < shifted.max() < 16.01
    factors = 1 / (zoomed[:, 40] - zoomed[:, 39])
    assert 0.799 < factors.min() < 0.81
    assert 1.19 < factors.max() < 1.201
