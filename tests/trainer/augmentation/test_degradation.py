import pytest
import torch
from torchvision.transforms.v2 import functional

from cultivar_trainer.augmentation.degradation import gaussian_blur, gaussian_noise, random_blur, random_erasing
from cultivar_trainer.randomness import Draw

IMAGES = torch.rand(4, 3, 17, 23, generator=torch.Generator().manual_seed(0))


def draw(count: int, epoch: int = 0) -> Draw:
    return Draw(0, epoch, torch.arange(count))


def test_each_image_is_blurred_as_torchvision_blurs_it_alone() -> None:
    sigmas = torch.tensor([0.3, 0.8, 1.7, 2.0])

    blurred = gaussian_blur(IMAGES, sigmas, radius=6)

    for image, sigma, result in zip(IMAGES, sigmas.tolist(), blurred, strict=True):
        assert torch.allclose(result, functional.gaussian_blur(image, [13, 13], [sigma, sigma]), atol=1e-6)


def test_no_blur_is_the_image_and_constant_images_stay() -> None:
    assert torch.equal(gaussian_blur(IMAGES, torch.zeros(4), radius=3), IMAGES)
    assert torch.allclose(random_blur(torch.full((3, 1, 9, 9), 0.3), 2.0, draw(3)), torch.tensor(0.3))


def test_a_kernel_larger_than_the_image_reflects_it_as_often_as_it_takes() -> None:
    row = torch.tensor([[1.0, 0.0, 0.0]]).expand(1, 1, 3, 3)

    blurred = gaussian_blur(row, torch.tensor([50.0]), radius=150)

    assert torch.allclose(blurred, torch.tensor(0.25), atol=1e-2)  # ends count once a period, middles twice


def test_noise_has_standard_deviations_up_to_the_largest_and_mean_zero() -> None:
    images = torch.full((200, 3, 16, 16), 0.5)

    noise = gaussian_noise(images, 0.1, draw(200)) - images

    deviations = noise.flatten(1).std(dim=1)
    assert deviations.min() < 0.005
    assert 0.09 < deviations.max() < 0.105
    assert abs(deviations.mean() - 0.05) < 0.005
    assert abs(noise.mean()) < 1e-3


def test_erased_rectangles_have_the_papers_areas_and_random_pixels() -> None:
    images = torch.full((400, 3, 40, 60), 2.0)

    erased = random_erasing(images, 0.7, draw(400))

    changed = erased != images
    assert torch.equal(changed.all(dim=1), changed.any(dim=1))
    hit = changed.flatten(1).any(dim=1)
    assert 0.6 < hit.float().mean() < 0.8
    shares = []
    for one in changed[hit][:, 0]:
        rows, columns = torch.nonzero(one.any(1))[:, 0], torch.nonzero(one.any(0))[:, 0]
        height, width = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
        assert int(one.sum()) == height * width  # a whole rectangle
        if height < 40 and width < 60:
            assert 0.25 < height / width < 4
        shares.append(height * width / 2400)
    assert 0.015 < min(shares) < 0.04
    assert 0.3 < max(shares) < 0.34
    pixels = erased[changed]
    assert 0 <= pixels.min() < 0.01
    assert 0.99 < pixels.max() <= 1
    assert abs(pixels.mean() - 0.5) < 0.01


@pytest.mark.parametrize("probability", [1e-9, 1.0])
def test_erasing_may_hit_none_or_all(probability: float) -> None:
    erased = random_erasing(IMAGES, probability, draw(4))

    assert (erased != IMAGES).flatten(1).any(1).all() == (probability == 1)
