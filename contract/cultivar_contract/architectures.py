"""Every network that can be asked for, described without building it."""

from dataclasses import dataclass, field

from cultivar.v1 import architecture_pb2, training_spec_pb2
from cultivar_contract.preprocessing import Preprocessing

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
MAX_INPUT_SIZE = 1024
"""Pixels; a bound on what one request can make a host compute."""

_CIFAR_STEM_MIN_INPUT_SIZE = 8  # three strides of 2 remain


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """One network."""

    name: str
    """As torchvision spells it."""
    family: str
    """Networks of one family share builder and head."""
    description: str
    """One sentence with its source."""
    parameters: int
    """With the original number of classes."""
    original_classes: int
    """Classes of the published network."""
    min_input_size: int
    """Pixels; smaller images leave a layer without output."""
    default_input_size: int
    """Pixels."""
    head: str
    """Path of the module that maps features to classes."""
    batch_norm: bool
    """Whether it normalises over the batch, which needs two images or more."""
    weights: dict[str, int] = field(default_factory=dict)
    """Members of torchvision's weight enum, and to what length each resizes the shorter side of 224 px inputs."""
    stems: tuple[str, ...] = ()
    """Stems that can be asked for; empty: no choice."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    """Normalisation of inputs, as in `Preprocessing`."""
    std: tuple[float, float, float] = IMAGENET_STD
    """Normalisation of inputs, as in `Preprocessing`."""
    resize_ratio: float = 256 / 224
    """Shorter side after resizing, in inputs: the border that the centre crop cuts off."""

    def smallest_input(self, stem: training_spec_pb2.Stem) -> int:
        """Return the smallest input in pixels with this stem."""
        return _CIFAR_STEM_MIN_INPUT_SIZE if stem == training_spec_pb2.STEM_CIFAR else self.min_input_size

    def preprocessing(self, *, size: int, weights: str, stem: training_spec_pb2.Stem) -> Preprocessing:
        """Return how images become inputs of `size` pixels, as the weights were trained to see them."""
        ratio = self.weights[weights] / 224 if weights in self.weights else self.resize_ratio
        if stem == training_spec_pb2.STEM_CIFAR:
            ratio = 1.0  # small images have no border to spare
        return Preprocessing(
            size=size, resize=round(size * ratio), interpolation="bilinear", mean=self.mean, std=self.std
        )

    def to_message(self) -> architecture_pb2.Architecture:
        """Return the API's form."""
        return architecture_pb2.Architecture(
            name=self.name,
            family=self.family,
            description=self.description,
            parameters=self.parameters,
            min_input_size=self.min_input_size,
            default_input_size=self.default_input_size,
            weights=sorted(self.weights),
            stems=[f"STEM_{stem}" for stem in self.stems],
        )


ARCHITECTURES = {
    architecture.name: architecture
    for architecture in (
        Architecture(
            name="lenet5",
            family="lenet",
            description="LeNet-5 (LeCun et al. 1998) with ReLU and max pooling.",
            parameters=61_706,  # with one channel and 32 px, as published
            original_classes=10,
            min_input_size=16,
            default_input_size=32,
            head="classifier",
            batch_norm=False,
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            resize_ratio=1.0,
        ),
        Architecture(
            name="mobilenet_v2",
            family="mobilenet",
            description="MobileNetV2 (Sandler et al. 2018): inverted residuals with linear bottlenecks.",
            parameters=3_504_872,
            original_classes=1000,
            min_input_size=32,
            default_input_size=224,
            head="classifier",
            batch_norm=True,
            weights={"IMAGENET1K_V1": 256, "IMAGENET1K_V2": 232},
        ),
        Architecture(
            name="resnet18",
            family="resnet",
            description="ResNet-18 (He et al. 2016): residual blocks of two 3x3 convolutions.",
            parameters=11_689_512,
            original_classes=1000,
            min_input_size=32,
            default_input_size=224,
            head="fc",
            batch_norm=True,
            weights={"IMAGENET1K_V1": 256},
            stems=("IMAGENET", "CIFAR"),
        ),
        Architecture(
            name="squeezenet1_0",
            family="squeezenet",
            description="SqueezeNet 1.0 (Iandola et al. 2016): fire modules and a convolutional head.",
            parameters=1_248_424,
            original_classes=1000,
            min_input_size=21,
            default_input_size=224,
            head="classifier",
            batch_norm=False,
            weights={"IMAGENET1K_V1": 256},
        ),
    )
}
"""By name."""
