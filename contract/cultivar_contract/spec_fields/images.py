"""Fields about images: input, normalisation, which of them take part, augmentation."""

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.architectures import MAX_INPUT_SIZE, SYMMETRIC, Architecture
from cultivar_contract.spec_fields.field import Spec, SpecField, enum_is


def _normalisation(spec: Spec, architecture: Architecture) -> int:
    if spec.mode != pb.FINE_TUNING_MODE_SCRATCH:
        return pb.NORMALISATION_PRETRAINED
    own = architecture.mean == SYMMETRIC or spec.input.channels == 1
    return pb.NORMALISATION_SYMMETRIC if own else pb.NORMALISATION_IMAGENET


INPUT = (
    SpecField(
        path="input.size",
        help="Height and width of the network's input.",
        unit="pixels",
        default=lambda spec, architecture: (
            32 if spec.network.stem == pb.STEM_CIFAR else architecture.default_input_size
        ),
        default_help="the architecture's own; 32 with stem cifar",
        minimum=1,
        maximum=MAX_INPUT_SIZE,
    ),
    SpecField(
        path="input.channels",
        help="Colour channels: 3 (RGB) or 1 (grey, for mode scratch and weights that were trained so).",
        default=3,
        minimum=1,
        maximum=3,
    ),
    SpecField(
        path="input.normalisation",
        help="How pixels become the network's numbers; always inside the exported graph.",
        default=_normalisation,
        default_help="pretrained with weights; else imagenet, and symmetric for our own networks and one channel",
        source="LeCun et al. 1998",
    ),
    SpecField(
        path="input.normalisation_ratio",
        help="Share of the training images that min-max and measured look at.",
        needs=enum_is("input.normalisation", pb.NORMALISATION_MIN_MAX, pb.NORMALISATION_MEASURED),
        needs_help="input.normalisation min-max or measured",
        default=0.3,
        above=0,
        maximum=1,
    ),
)

DATA = (
    SpecField(path="data.classes", help="Class ids to keep; empty keeps all."),
    *(
        SpecField(
            path=f"data.max_{split}_images{suffix}",
            help=f"At most this many {name} images {what}; 0: no limit.",
            unit="images",
            default=0,
            minimum=0,
            maximum=2**31 - 1,
        )
        for suffix, what in (("", "in all"), ("_per_class", "of each class"))
        for split, name in (("train", "training"), ("val", "validation"), ("test", "test"))
    ),
    SpecField(
        path="data.seed", help="Seed of the draws that limits make; the training seed does not move them.", default=0
    ),
    SpecField(
        path="data.bootstrap_seed",
        help="Seed of a sample with replacement, of as many training images as the limits leave.",
        default_help="every image once",
        source="Breiman 1996",
    ),
)


def _augmentation(name: str, text: str, maximum: float, *, unit: str = "", source: str = "") -> SpecField:
    return SpecField(
        path=f"augmentation.{name}", help=text, unit=unit, default=0.0, minimum=0, maximum=maximum, source=source
    )


AUGMENTATION = (
    _augmentation("horizontal_flip", "Probability of a left-right flip.", 1),
    _augmentation("vertical_flip", "Probability of a top-bottom flip.", 1),
    SpecField(
        path="augmentation.alternating_flip",
        help="Left-right flips that alternate: drawn once for each image, inverted in every other epoch.",
        default=False,
        source="Jordan 2024, arXiv 2404.00498",
    ),
    SpecField(
        path="augmentation.padded_crop",
        help="Reflected border on each side, of which a random window of the input's size is kept; 0: off.",
        unit="pixels",
        default=0,
        minimum=0,
        maximum=128,
        source="He et al. 2016, section 4.2",
    ),
    _augmentation(
        "resized_crop",
        "Smallest share of the area that a random window keeps before it is resized, at an aspect ratio of 3/4 to 4/3 "
        "where the image has room for it; 0: off.",
        1,
        source="Szegedy et al. 2015",
    ),
    _augmentation("rotation", "Rotation within -+ this; 0: off.", 180, unit="degrees"),
    _augmentation("width_shift", "Shift to the left or right within this share of the width; 0: off.", 1),
    _augmentation("height_shift", "Shift up or down within this share of the height; 0: off.", 1),
    _augmentation("shear", "Horizontal shear within -+ this; 0: off.", 60, unit="degrees"),
    _augmentation("zoom", "Size is multiplied by a factor within 1 -+ this; 0: off.", 0.9),
    *(
        _augmentation(name, text, maximum, source="torchvision ColorJitter")
        for name, text, maximum in (
            ("brightness", "Brightness is multiplied by a factor within 1 -+ this; 0: off.", 1),
            ("contrast", "Contrast is multiplied by a factor within 1 -+ this; 0: off.", 1),
            ("saturation", "Saturation is multiplied by a factor within 1 -+ this; 0: off.", 1),
            ("hue", "Hue is turned by a share of the colour circle within -+ this; 0: off.", 0.5),
        )
    ),
    _augmentation("channel_shift", "A number within -+ this, of pixels 0 to 1, is added to each channel; 0: off.", 1),
    _augmentation("color_temperature", "Red is multiplied and blue divided by a factor within 1 -+ this; 0: off.", 0.9),
    _augmentation("gaussian_noise", "Largest standard deviation of noise, of pixels 0 to 1; 0: off.", 1),
    _augmentation("blur", "Largest standard deviation of a Gaussian blur; 0: off.", 10, unit="pixels"),
    _augmentation("random_erasing", "Probability that a random rectangle is erased.", 1, source="Zhong et al. 2020"),
    SpecField(
        path="augmentation.randaugment_operations",
        help="Operations per image that RandAugment applies; 0: off.",
        default=0,
        minimum=0,
        maximum=8,
        source="Cubuk et al. 2020",
    ),
    SpecField(
        path="augmentation.randaugment_magnitude",
        help="Strength of RandAugment's operations.",
        needs=lambda spec, _: spec.augmentation.randaugment_operations > 0,
        needs_help="augmentation.randaugment_operations",
        default=9,
        minimum=0,
        maximum=30,
    ),
    SpecField(
        path="augmentation.trivial_augment",
        help="One operation of random strength per image.",
        default=False,
        source="Mueller & Hutter 2021",
    ),
    _augmentation(
        "mixup",
        "Alpha of the Beta distribution that two images are blended by; 0: off.",
        100,
        source="Zhang et al. 2018",
    ),
    _augmentation(
        "cutmix",
        "Alpha of the Beta distribution of the area that one image takes from another; 0: off. With mixup, half of the "
        "batches get each.",
        100,
        source="Yun et al. 2019",
    ),
    SpecField(
        path="augmentation.mixing_probability",
        help="Probability that a batch is mixed.",
        needs=lambda spec, _: spec.augmentation.mixup > 0 or spec.augmentation.cutmix > 0,
        needs_help="augmentation.mixup or augmentation.cutmix",
        default=1.0,
        minimum=0,
        maximum=1,
    ),
)

FIELDS = (*INPUT, *DATA, *AUGMENTATION)
