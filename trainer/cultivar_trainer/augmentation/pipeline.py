"""The one place that says which augmentations an image gets, and in which order."""

from torch import Tensor

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.augmentation import color, degradation, geometry, policies
from cultivar_trainer.randomness import Draw

VERSION = 1
"""Changes whenever the same draws would give other pixels: cached features of augmented views know it."""
_NOT_OF_PIXELS = frozenset({"mixup", "cutmix", "mixing_probability", "randaugment_magnitude"})
"""Fields that change no image by themselves: mixing is of batches, a magnitude of operations that may be none."""


def is_augmented(spec: pb.AugmentationSpec) -> bool:
    """Tell whether images are changed one by one; `mixing.is_mixed` tells whether they are mixed."""
    return any(getattr(spec, one.name) for one in spec.DESCRIPTOR.fields if one.name not in _NOT_OF_PIXELS)


def augment(images: Tensor, spec: pb.AugmentationSpec, draw: Draw) -> Tensor:
    """Change each image as the spec asks, by amounts that (seed, epoch, index) alone decide.

    The order: resized crop (before this, as it starts from larger images: `geometry.cut_boxes`), padded crop, flips,
    affine maps; RandAugment or TrivialAugment; brightness, contrast, saturation, hue, colour temperature, channel
    shift; blur, noise, erasing. Where pixels are comes first, since it moves them as they were taken; noise follows
    blur, which would wash it out; and what is erased stays so. Mixing (`mixing.mix`) is last, of whole batches.

    Args:
        images: float32 (N, C, H, W) in 0 to 1; C is 1 or 3.
        spec: resolved.
        draw: which samples.
    """
    images = _move(images, spec, draw)
    if spec.randaugment_operations:
        images = policies.randaugment(
            images, operations=spec.randaugment_operations, magnitude=spec.randaugment_magnitude, draw=draw
        )
    if spec.trivial_augment:
        images = policies.trivial_augment(images, draw)
    images = _recolour(images, spec, draw)
    if spec.blur:
        images = degradation.random_blur(images, spec.blur, draw)
    if spec.gaussian_noise:
        images = degradation.gaussian_noise(images, spec.gaussian_noise, draw)
    if spec.random_erasing:
        images = degradation.random_erasing(images, spec.random_erasing, draw)
    return images


def _move(images: Tensor, spec: pb.AugmentationSpec, draw: Draw) -> Tensor:
    if spec.padded_crop:
        images = geometry.padded_crop(images, spec.padded_crop, draw)
    if spec.horizontal_flip:
        images = geometry.horizontal_flip(images, spec.horizontal_flip, draw)
    if spec.alternating_flip:
        images = geometry.alternating_flip(images, draw)
    if spec.vertical_flip:
        images = geometry.vertical_flip(images, spec.vertical_flip, draw)
    if spec.rotation or spec.width_shift or spec.height_shift or spec.shear or spec.zoom:
        images = geometry.random_affine(
            images,
            rotation=spec.rotation,
            width_shift=spec.width_shift,
            height_shift=spec.height_shift,
            shear=spec.shear,
            zoom=spec.zoom,
            draw=draw,
        )
    return images


def _recolour(images: Tensor, spec: pb.AugmentationSpec, draw: Draw) -> Tensor:
    if spec.brightness or spec.contrast or spec.saturation or spec.hue:
        images = color.color_jitter(
            images,
            brightness=spec.brightness,
            contrast=spec.contrast,
            saturation=spec.saturation,
            hue=spec.hue,
            draw=draw,
        )
    if spec.color_temperature:
        images = color.color_temperature(images, spec.color_temperature, draw)
    if spec.channel_shift:
        images = color.channel_shift(images, spec.channel_shift, draw)
    return images
