import pytest
import torch
from torchvision.transforms import functional

from cultivar_trainer.augmentation import color
from cultivar_trainer.randomness import Draw

IMAGES = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
FACTORS = torch.tensor([0.5, 0.9, 1.2, 1.8])


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_adjustments_are_torchvisions(name: str) -> None:
    adjusted = getattr(color, f"adjust_{name}")(IMAGES, FACTORS)

    reference = getattr(functional, f"adjust_{name}")
    for image, factor, result in zip(IMAGES, FACTORS, adjusted, strict=True):
        assert torch.allclose(result, reference(image, float(factor)), atol=1e-5)


def test_hue_turns_as_torchvisions() -> None:
    turns = torch.tensor([-0.5, -0.1, 0.2, 0.45])

    turned = color.adjust_hue(IMAGES, turns)

    for image, turn, result in zip(IMAGES, turns, turned, strict=True):
        assert torch.allclose(result, functional.adjust_hue(image, float(turn)), atol=1e-5)


def test_grey_pixels_have_no_hue_to_turn() -> None:
    grey = torch.full((1, 3, 2, 2), 0.4)

    assert torch.allclose(color.adjust_hue(grey, torch.tensor([0.3])), grey)


def test_factors_stay_within_what_was_asked_for() -> None:
    images = torch.full((500, 3, 2, 2), 0.5)

    jittered = color.color_jitter(
        images, brightness=0.4, contrast=0, saturation=0, hue=0, draw=Draw(0, 0, torch.arange(500))
    )

    assert 0.299 < float(jittered.min()) < 0.32
    assert 0.68 < float(jittered.max()) < 0.701


def test_nothing_asked_for_changes_nothing() -> None:
    draw = Draw(0, 0, torch.arange(4))

    assert torch.equal(color.color_jitter(IMAGES, brightness=0, contrast=0, saturation=0, hue=0, draw=draw), IMAGES)


def test_contrast_and_brightness_take_grey_images() -> None:
    grey = IMAGES[:, :1]

    for name in ("brightness", "contrast"):
        adjusted = getattr(color, f"adjust_{name}")(grey, FACTORS)
        reference = getattr(functional, f"adjust_{name}")
        for image, factor, result in zip(grey, FACTORS, adjusted, strict=True):
            assert torch.allclose(result, reference(image, float(factor)), atol=1e-5)


def test_a_channel_shift_adds_one_number_to_each_channel() -> None:
    images = torch.full((400, 3, 2, 2), 0.5)

    shifts = color.channel_shift(images, 0.2, Draw(0, 0, torch.arange(400))) - images

    assert torch.equal(shifts.amin((2, 3)), shifts.amax((2, 3)))
    by_channel = shifts[:, :, 0, 0]
    assert -0.2001 < by_channel.min() < -0.19
    assert 0.19 < by_channel.max() < 0.2001
    assert torch.corrcoef(by_channel.T).fill_diagonal_(0).abs().max() < 0.2


def test_warmer_images_have_more_red_and_as_much_less_blue() -> None:
    images = torch.full((400, 3, 2, 2), 0.4)

    red, green, blue = (color.color_temperature(images, 0.5, Draw(0, 0, torch.arange(400))) / 0.4)[:, :, 0, 0].unbind(1)

    assert torch.allclose(green, torch.ones(400))
    assert torch.allclose(red * blue, torch.ones(400), atol=1e-5)
    assert 0.499 < red.min() < 0.51
    assert 1.49 < red.max() < 1.501
