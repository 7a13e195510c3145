import math
from collections.abc import Callable

import pytest
import torch
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional

from cultivar_trainer.augmentation import policies
from cultivar_trainer.augmentation.policies import Operation
from cultivar_trainer.randomness import Draw

BYTES = torch.randint(0, 256, (3, 3, 24, 30), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
BYTES[1] = BYTES[1] // 3 + 40  # an image with little contrast
BYTES[2, :, :, 5:] = 90
IMAGES = BYTES / 255

BILINEAR = InterpolationMode.BILINEAR
NOTHING = {"translate": [0, 0], "scale": 1.0, "interpolation": BILINEAR}
Reference = Callable[[torch.Tensor, float], torch.Tensor]
REFERENCES: dict[Operation, tuple[float, Reference]] = {
    Operation.IDENTITY: (0.0, lambda image, _: image),
    Operation.SHEAR_X: (
        0.3,
        lambda image, strength: functional.affine(
            image, angle=0.0, shear=[math.degrees(math.atan(strength)), 0.0], center=[0, 0], **NOTHING
        ),
    ),
    Operation.SHEAR_Y: (
        -0.2,
        lambda image, strength: functional.affine(
            image, angle=0.0, shear=[0.0, math.degrees(math.atan(strength))], center=[0, 0], **NOTHING
        ),
    ),
    Operation.TRANSLATE_X: (
        -5.7,
        lambda image, strength: functional.affine(
            image, angle=0.0, shear=[0.0, 0.0], **{**NOTHING, "translate": [int(strength), 0]}
        ),
    ),
    Operation.TRANSLATE_Y: (
        3.4,
        lambda image, strength: functional.affine(
            image, angle=0.0, shear=[0.0, 0.0], **{**NOTHING, "translate": [0, int(strength)]}
        ),
    ),
    Operation.ROTATE: (25.0, lambda image, strength: functional.rotate(image, strength, BILINEAR)),
    Operation.BRIGHTNESS: (0.6, lambda image, strength: functional.adjust_brightness(image, 1 + strength)),
    Operation.COLOR: (-0.7, lambda image, strength: functional.adjust_saturation(image, 1 + strength)),
    Operation.CONTRAST: (0.8, lambda image, strength: functional.adjust_contrast(image, 1 + strength)),
    Operation.SHARPNESS: (0.9, lambda image, strength: functional.adjust_sharpness(image, 1 + strength)),
    Operation.POSTERIZE: (4.0, lambda image, strength: functional.posterize(image, int(strength))),
    Operation.SOLARIZE: (0.4, lambda image, strength: functional.solarize(image, strength)),
    Operation.AUTOCONTRAST: (0.0, lambda image, _: functional.autocontrast(image)),
    Operation.EQUALIZE: (0.0, lambda image, _: functional.equalize(image)),
}


@pytest.mark.parametrize("operation", Operation)
def test_every_operation_is_torchvisions(operation: Operation) -> None:
    strength, reference = REFERENCES[operation]

    changed = policies.apply(IMAGES, torch.full((3,), operation.value), torch.full((3,), strength))

    assert (changed != IMAGES).any() == (operation != Operation.IDENTITY)
    for image, result in zip(IMAGES, changed, strict=True):
        assert torch.allclose(result, reference(image, strength), atol=2e-5)


@pytest.mark.parametrize("operation", [Operation.EQUALIZE, Operation.AUTOCONTRAST, Operation.CONTRAST])
def test_operations_on_levels_agree_with_those_on_bytes(operation: Operation) -> None:
    strength, reference = REFERENCES[operation]

    changed = policies.apply(IMAGES, torch.full((3,), operation.value), torch.full((3,), strength))

    difference = (changed * 255 - torch.stack([reference(image, strength) for image in BYTES]).float()).abs().max()
    assert difference < (1e-3 if operation == Operation.EQUALIZE else 2)  # bytes are rounded on the way


def test_each_image_of_a_batch_gets_its_own_operation() -> None:
    chosen = torch.tensor([Operation.SOLARIZE.value, Operation.ROTATE.value, Operation.IDENTITY.value])
    strengths = torch.tensor([0.4, 25.0, 0.0])

    changed = policies.apply(IMAGES, chosen, strengths)

    for number in range(3):
        alone = policies.apply(IMAGES[number : number + 1], chosen[number : number + 1], strengths[number : number + 1])
        assert torch.equal(changed[number], alone[0])


@pytest.mark.parametrize("wide", [False, True])
def test_strengths_are_torchvisions(wide: bool) -> None:
    ours = policies._strengths(40, 60, wide=wide)

    space = (v2.TrivialAugmentWide if wide else v2.RandAugment)._AUGMENTATION_SPACE
    assert len(space) == len(Operation)
    for operation, (magnitudes, signed) in zip(Operation, space.values(), strict=True):
        assert signed == (operation in policies._SIGNED)
        expected = magnitudes(policies.BINS, 40, 60)
        if expected is not None:
            assert torch.equal(ours[operation], expected.float())


def test_policies_choose_every_operation_about_equally_often_and_either_sign() -> None:
    ramp = torch.linspace(0.2, 0.7, 12)[None, None, None, :].expand(2000, 3, 12, 12)
    draw = Draw(0, 0, torch.arange(2000))

    for changed in (
        policies.trivial_augment(ramp, draw),
        policies.randaugment(ramp, operations=1, magnitude=30, draw=draw),
    ):
        same = torch.isclose(changed, ramp, atol=1e-6).flatten(1).all(1).float().mean()
        brighter = ((changed[:, 0, 6, 6] - ramp[0, 0, 6, 6]) > 0.1).float().mean()
        assert 0.1 < same < 0.3  # of 14 operations identity, saturation of grey, and weak ones
        assert 0.03 < brighter < 0.3
    none = policies.randaugment(IMAGES, operations=2, magnitude=0, draw=Draw(0, 3, torch.arange(3)))
    assert none.shape == IMAGES.shape


def test_two_operations_follow_one_another() -> None:
    draw = Draw(4, 0, torch.arange(3))

    one = policies.randaugment(IMAGES, operations=1, magnitude=20, draw=draw)
    two = policies.randaugment(IMAGES, operations=2, magnitude=20, draw=draw)

    assert not torch.equal(one, two)
