"""Checks of normalisation and augmentation."""

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.recipe.facts import Resolution

_COLOURFUL = ("saturation", "hue", "color_temperature")


def check(resolution: Resolution) -> None:
    """Check normalisation and augmentation against each other and the input."""
    _check_normalisation(resolution)
    _check_augmentation(resolution)


def _check_normalisation(resolution: Resolution) -> None:
    recipe = resolution.recipe
    kind = recipe.input.normalisation
    if kind == pb.NORMALISATION_PRETRAINED and recipe.mode == pb.FINE_TUNING_MODE_SCRATCH:
        resolution.violate("input.normalisation", "pretrained needs weights: use another, such as measured")
    if kind == pb.NORMALISATION_IMAGENET and recipe.input.channels == 1:
        resolution.violate("input.normalisation", "imagenet has 3 channels, the input 1: use measured or symmetric")


def _check_augmentation(resolution: Resolution) -> None:
    recipe, augmentation = resolution.recipe, resolution.recipe.augmentation
    if augmentation.padded_crop and augmentation.resized_crop:
        resolution.violate("augmentation.resized_crop", "contradicts augmentation.padded_crop: set one of the two to 0")
    if 1 <= recipe.input.size <= augmentation.padded_crop:
        resolution.violate(
            "augmentation.padded_crop",
            f"{augmentation.padded_crop} px of reflection need an input larger than that: "
            f"use less than {recipe.input.size}",
        )
    if augmentation.alternating_flip and augmentation.horizontal_flip:
        resolution.violate(
            "augmentation.alternating_flip", "contradicts augmentation.horizontal_flip: set one of the two"
        )
    if augmentation.trivial_augment and augmentation.randaugment_operations:
        resolution.violate(
            "augmentation.trivial_augment", "contradicts augmentation.randaugment_operations: set one of the two"
        )
    for name in _COLOURFUL:
        if recipe.input.channels == 1 and getattr(augmentation, name):
            resolution.violate(f"augmentation.{name}", "grey images have no colour: leave it out or use 3 channels")
    if recipe.input.channels == 1 and (augmentation.randaugment_operations or augmentation.trivial_augment):
        path = "randaugment_operations" if augmentation.randaugment_operations else "trivial_augment"
        resolution.violate(f"augmentation.{path}", "changes colours, which grey images have not: use 3 channels")
    for name in ("mixup", "cutmix"):
        if not getattr(augmentation, name):
            continue
        if recipe.batch_size == 1:
            resolution.violate(f"augmentation.{name}", "mixes images of one batch, and batch_size is 1: use 2 or more")
        if recipe.loss.kind == pb.LOSS_KIND_MULTI_CLASS_HINGE:
            resolution.violate(f"augmentation.{name}", "needs a loss of soft targets: use loss.kind cross-entropy")
        if recipe.execution.feature_views:
            resolution.violate(f"augmentation.{name}", "mixes pixels, and cached views have none: leave one out")
