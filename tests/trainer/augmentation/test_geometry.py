import torch

from cultivar_trainer.augmentation.geometry import crop_boxes, cut_boxes, horizontal_flip, padded_crop
from cultivar_trainer.randomness import Draw


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

    cut = cut_boxes([image], torch.tensor([[0.0, 0.0, 16.0, 16.0]]), 16)

    assert torch.allclose(cut[0], image.permute(2, 0, 1) / 255, atol=1e-5)


def test_a_quarter_as_window_gives_that_quarter_enlarged() -> None:
    image = torch.zeros(16, 16, 3, dtype=torch.uint8)
    image[:8, 8:] = 255

    cut = cut_boxes([image], torch.tensor([[0.0, 8.0, 8.0, 8.0]]), 8)

    assert torch.all(cut == 1)
