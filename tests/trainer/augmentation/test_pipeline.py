import pytest
import torch

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.augmentation.pipeline import augment, is_augmented
from cultivar_trainer.randomness import Draw

EVERYTHING = {
    "horizontal_flip": 0.5,
    "vertical_flip": 0.5,
    "padded_crop": 3,
    "rotation": 30,
    "width_shift": 0.1,
    "height_shift": 0.2,
    "shear": 10,
    "zoom": 0.2,
    "brightness": 0.3,
    "contrast": 0.3,
    "saturation": 0.3,
    "hue": 0.1,
    "channel_shift": 0.1,
    "color_temperature": 0.2,
    "gaussian_noise": 0.1,
    "blur": 1.5,
    "random_erasing": 0.6,
    "trivial_augment": True,
}
ALONE = {**EVERYTHING, "alternating_flip": True, "randaugment_operations": 2}
GREY = set(ALONE) - {"saturation", "hue", "color_temperature", "trivial_augment", "randaugment_operations"}
IMAGES = torch.rand(13, 3, 21, 21, generator=torch.Generator().manual_seed(0))


def spec(fields: dict[str, float]) -> pb.AugmentationSpec:
    return pb.AugmentationSpec(**fields, randaugment_magnitude=9)  # type: ignore[arg-type]


def run(images: torch.Tensor, fields: dict[str, float], indices: torch.Tensor, epoch: int = 0) -> torch.Tensor:
    return augment(images, spec(fields), Draw(3, epoch, indices))


@pytest.mark.parametrize("names", [[name] for name in ALONE] + [list(EVERYTHING)], ids=lambda names: names[0])
def test_a_sample_is_the_same_bit_by_bit_in_every_batch_and_another_in_the_next_epoch(names: list[str]) -> None:
    fields = {name: ALONE[name] for name in names}
    everyone = torch.arange(13)

    together = run(IMAGES, fields, everyone)

    for rows in (torch.tensor([4]), torch.tensor([9, 4, 0, 12, 7])):
        assert torch.equal(run(IMAGES[rows], fields, rows), together[rows])
    assert is_augmented(spec(fields))
    assert not torch.equal(together, IMAGES)
    assert not torch.equal(together, run(IMAGES, fields, everyone, epoch=1))
    assert together.shape == IMAGES.shape
    assert together.min() >= -1e-6
    assert together.max() <= 1 + 1e-6


@pytest.mark.parametrize("name", sorted(GREY))
def test_grey_images_are_augmented_where_colour_plays_no_part(name: str) -> None:
    grey = IMAGES[:, :1]

    changed = run(grey, {name: ALONE[name]}, torch.arange(13))

    assert changed.shape == grey.shape
    assert not torch.equal(changed, grey)


def test_mixing_and_a_magnitude_alone_change_no_image() -> None:
    silent = pb.AugmentationSpec(randaugment_magnitude=9, mixing_probability=1, mixup=0.2, cutmix=1)

    assert not is_augmented(silent)
    assert torch.equal(augment(IMAGES, silent, Draw(0, 0, torch.arange(13))), IMAGES)


def test_noise_is_not_blurred_and_erased_pixels_stay_erased() -> None:
    flat = torch.full((8, 1, 32, 32), 0.5)
    everyone = torch.arange(8)

    noisy = run(flat, {"gaussian_noise": 0.1, "blur": 5.0}, everyone)
    erased = run(flat, {"random_erasing": 1.0, "blur": 5.0}, everyone)

    assert torch.allclose(noisy, run(flat, {"gaussian_noise": 0.1}, everyone), atol=1e-5)
    assert torch.allclose(erased, run(flat, {"random_erasing": 1.0}, everyone), atol=1e-5)
