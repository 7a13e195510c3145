"""How large a study is: `SMALL` fits into 100 minutes of CPU, `LARGE` is for a host with time."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """How large a study is."""

    species: int
    """Of flowers, those with the most images; 0: all."""
    flower_counts: tuple[int, int] | None
    """Training images of each species, and those of validation as of test; None: shares of what there is."""
    per_class: tuple[int, ...]
    """Numbers of training images per species that are compared; 0: all."""
    usual_per_class: int
    """What other questions about flowers take of them."""
    size: int
    """Input of networks with published weights, pixels."""
    flower_epochs: int
    lenet_epochs: int
    lenet_validation: int
    """Validation images per class of the small networks; 0: all 500."""
    augmented_epochs: int
    """Longer, since augmentation needs time to pay."""
    residual_epochs: int
    residual_images: int
    """Training images per class of the CIFAR ResNets."""
    deep_epochs: int
    """Of the deep network on cats and dogs."""
    seeds: int
    """Of most trainings."""
    dear_seeds: int
    """Of those that take minutes."""


SMALL = Scale(
    species=20,
    flower_counts=(40, 11),
    per_class=(5, 10, 20, 0),
    usual_per_class=10,
    size=128,
    flower_epochs=8,
    lenet_epochs=10,
    lenet_validation=200,
    augmented_epochs=25,
    residual_epochs=8,
    residual_images=200,
    deep_epochs=10,
    seeds=2,
    dear_seeds=1,
)
LARGE = Scale(
    species=0,
    flower_counts=None,
    per_class=(5, 10, 20, 0),
    usual_per_class=10,
    size=224,
    flower_epochs=30,
    lenet_epochs=40,
    lenet_validation=0,
    augmented_epochs=150,
    residual_epochs=100,
    residual_images=0,
    deep_epochs=60,
    seeds=5,
    dear_seeds=3,
)
"""All 89 species of the folder and 224 px, all 5,000 training images, and epochs after which curves are flat."""
