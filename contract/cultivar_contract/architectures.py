"""Every network that can be asked for, described without building it."""

from dataclasses import dataclass, field

from cultivar.v1 import architecture_pb2, training_spec_pb2
from cultivar_contract.preprocessing import Preprocessing
from cultivar_contract.zoo import NETWORKS, PretrainedWeights, ZooNetwork

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
SYMMETRIC = (0.5, 0.5, 0.5)
"""Mean and standard deviation that turn 0 to 1 into -1 to 1."""
MAX_INPUT_SIZE = 1024
"""Pixels; a bound on what one request can make a host compute."""

STRIDE = 32
"""Pixels that most networks shrink to one; the smallest input of those that name no other."""
_CIFAR_STEM_MIN_INPUT_SIZE = 8  # three strides of 2 remain


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """What the networks of one family share."""

    title: str
    """Name and source."""
    head: str
    """Path of the last trainable layer, which maps features to classes."""
    block: str
    """Pattern of the paths at which a block begins, where the module there has weights of two dimensions or more."""
    dropout: str = ""
    """Path of the dropout before the head; empty where the published network has none."""
    tail: tuple[str, ...] = ()
    """Paths of what follows the head."""
    batch_norm: bool = True
    """Whether it normalises over the batch, which needs two images or more."""
    head_dropout: float | None = None
    """Probability that the published head drops a feature; None where it has no dropout."""
    fixed_input: bool = False
    """Whether only the default input size fits."""
    auxiliary_heads: dict[str, float] = field(default_factory=dict)
    """Paths of heads that only training uses, and the weights of their losses."""
    auxiliary_min_input: int = 1
    """Pixels; smaller inputs train without the auxiliary heads, whose pooling they would leave without output."""
    configurable: frozenset[str] = frozenset()
    """Fields of NetworkSpec that its networks take beside those that all take."""


_RESIDUAL = frozenset(("zero_init_residual",))
_FULLY_CONNECTED = frozenset(("hidden_sizes", "activation", "batch_norm", "dropout"))
_RESIDUAL_BLOCK = r"layer\d+\.\d+"
FAMILIES = {
    "alexnet": Family(
        title="AlexNet (Krizhevsky 2014)",
        head="classifier.6",
        block=r"features\.\d+|classifier\.\d+",
        batch_norm=False,
    ),
    "convnext": Family(
        title="ConvNeXt (Liu et al. 2022)", head="classifier.2", block=r"features\.[1357]\.\d+", batch_norm=False
    ),
    "densenet": Family(title="DenseNet (Huang et al. 2017)", head="classifier", block=r"features\.denseblock\d+"),
    "efficientnet": Family(
        title="EfficientNet (Tan & Le 2019, 2021)",
        head="classifier.1",
        block=r"features\.\d+",
        dropout="classifier.0",
        head_dropout=0.2,
    ),
    "googlenet": Family(
        title="GoogLeNet (Szegedy et al. 2015)",
        head="fc",
        block=r"inception\d[a-e]",
        dropout="dropout",
        head_dropout=0.2,
        auxiliary_heads={"aux1": 0.3, "aux2": 0.3},
    ),
    "inception": Family(
        title="Inception v3 (Szegedy et al. 2016)",
        head="fc",
        block=r"Mixed_\d[a-e]",
        dropout="dropout",
        head_dropout=0.5,
        auxiliary_heads={"AuxLogits": 0.4},
        auxiliary_min_input=107,
    ),
    "lenet": Family(
        title="LeNet-5 (LeCun et al. 1998) with max pooling",
        head="classifier",
        block=r"features\.\d+|hidden\.\d+",
        batch_norm=False,
        configurable=_FULLY_CONNECTED | {"conv_channels", "kernel_size", "padding"},
    ),
    "mlp": Family(
        title="Multilayer perceptron (Simard et al. 2003)",
        head="classifier",
        block=r"hidden\.\d+",
        batch_norm=False,
        configurable=_FULLY_CONNECTED,
    ),
    "mnasnet": Family(
        title="MnasNet (Tan et al. 2019)",
        head="classifier.1",
        block=r"layers\.([89]|1[0-3])",
        dropout="classifier.0",
        head_dropout=0.2,
    ),
    "mobilenet_v2": Family(
        title="MobileNetV2 (Sandler et al. 2018)",
        head="classifier.1",
        block=r"features\.\d+",
        dropout="classifier.0",
        head_dropout=0.2,
    ),
    "mobilenet_v3": Family(
        title="MobileNetV3 (Howard et al. 2019)",
        head="classifier.3",
        block=r"features\.\d+",
        dropout="classifier.2",
        head_dropout=0.2,
    ),
    "regnet": Family(
        title="RegNet (Radosavovic et al. 2020)", head="fc", block=r"trunk_output\.block\d+\.block\d+-\d+"
    ),
    "resnet": Family(title="ResNet (He et al. 2016)", head="fc", block=_RESIDUAL_BLOCK, configurable=_RESIDUAL),
    "resnet_cifar": Family(
        title="ResNet for 32 px (He et al. 2016, section 4.2), shortcuts without weights",
        head="fc",
        block=_RESIDUAL_BLOCK,
        configurable=_RESIDUAL | {"shortcuts"},
    ),
    "resnext": Family(title="ResNeXt (Xie et al. 2017)", head="fc", block=_RESIDUAL_BLOCK, configurable=_RESIDUAL),
    "shufflenet": Family(title="ShuffleNetV2 (Ma et al. 2018)", head="fc", block=r"stage\d+\.\d+"),
    "squeezenet": Family(
        title="SqueezeNet (Iandola et al. 2016)",
        head="classifier.1",
        block=r"features\.\d+",
        dropout="classifier.0",
        tail=("classifier.2", "classifier.3"),
        batch_norm=False,
        head_dropout=0.5,
    ),
    "swin": Family(
        title="Swin Transformer (Liu et al. 2021)",
        head="head",
        block=r"features\.[1357]\.\d+",
        batch_norm=False,
        fixed_input=True,
    ),
    "vgg": Family(
        title="VGG (Simonyan & Zisserman 2015)",
        head="classifier.6",
        block=r"features\.\d+|classifier\.\d+",
        dropout="classifier.5",
        batch_norm=False,
        head_dropout=0.5,
    ),
    "vit": Family(
        title="Vision Transformer (Dosovitskiy et al. 2021)",
        head="heads.head",
        block=r"encoder\.layers\.encoder_layer_\d+",
        batch_norm=False,
        fixed_input=True,
    ),
    "wide_resnet": Family(
        title="Wide ResNet (Zagoruyko & Komodakis 2016)", head="fc", block=_RESIDUAL_BLOCK, configurable=_RESIDUAL
    ),
}
"""By name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """One network."""

    name: str
    """As torchvision spells it."""
    family_name: str
    """Key in FAMILIES."""
    parameters: int
    """With the original number of classes."""
    giga_multiply_adds: float
    """For one image of the default size."""
    file_megabytes: float
    """Size of its first weights' file, or of its own in float32."""
    activation_megabytes: float
    """What the backward pass needs of the forward pass of one image of the default size, in float32."""
    original_classes: int
    """Classes of the published network."""
    original_channels: int = 3
    """Colour channels of the published network."""
    min_input_size: int
    """Pixels; smaller images leave a layer without output."""
    default_input_size: int
    """Pixels."""
    weights: dict[str, PretrainedWeights] = field(default_factory=dict)
    """Members of torchvision's weight enum that fit."""
    stems: tuple[str, ...] = ()
    """Stems that can be asked for; empty: no choice."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    """Normalisation of inputs, as in `Preprocessing`."""
    std: tuple[float, float, float] = IMAGENET_STD
    """Normalisation of inputs, as in `Preprocessing`."""
    resize_ratio: float = 256 / 224
    """Shorter side after resizing, in inputs, without weights: the border that the centre crop cuts off."""

    @property
    def family(self) -> Family:
        """What it shares with its like."""
        return FAMILIES[self.family_name]

    @property
    def batch_norm(self) -> bool:
        """Whether it normalises over the batch, which needs two images or more."""
        return self.family.batch_norm or self.name.endswith("_bn")

    def smallest_input(self, spec: training_spec_pb2.NetworkSpec) -> int:
        """Return the smallest input in pixels with these choices."""
        if self.family_name == "lenet":
            size = 1  # pixel that is left in the end
            for _ in spec.conv_channels:
                size = max(1, 2 * size + spec.kernel_size - 1 - 2 * spec.padding)
            return int(size)
        return _CIFAR_STEM_MIN_INPUT_SIZE if spec.stem == training_spec_pb2.STEM_CIFAR else self.min_input_size

    def flat_features(self, recipe: training_spec_pb2.TrainingSpec) -> int:
        """Return how many numbers enter the first fully connected layer of a network that takes hidden_sizes."""
        if self.family_name == "lenet":
            channels = recipe.network.conv_channels[-1] if recipe.network.conv_channels else recipe.input.channels
            return int(channels * _lenet_side(recipe.network, recipe.input.size) ** 2)
        return recipe.input.channels * recipe.input.size**2

    def preprocessing(
        self, recipe: training_spec_pb2.TrainingSpec, source: Preprocessing | None = None
    ) -> Preprocessing:
        """Return how images become inputs; what MIN_MAX and MEASURED find out replaces the mean and std given here.

        Args:
            recipe: resolved.
            source: of the model version that the weights come from; else they are a member of the enum, or a file,
                which counts as the first member.
        """
        size, channels = recipe.input.size, recipe.input.channels or 3
        ratio, interpolation = self.resize_ratio, "bilinear"
        if source is not None:
            ratio, interpolation = source.resize / source.size, source.interpolation
        elif recipe.weights and self.weights:
            member = self.weights.get(recipe.weights, next(iter(self.weights.values())))
            ratio, interpolation = member.resize / self.default_input_size, member.interpolation
        if recipe.network.stem == training_spec_pb2.STEM_CIFAR:
            ratio = 1.0  # small images have no border to spare
        mean, std = self._normalisation(recipe.input.normalisation, source)
        return Preprocessing(
            size=size,
            resize=round(size * ratio),
            interpolation=interpolation,
            channels=channels,
            mean=mean[:channels],
            std=std[:channels],
        )

    def _normalisation(
        self, kind: training_spec_pb2.Normalisation, source: Preprocessing | None
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        if kind == training_spec_pb2.NORMALISATION_UNIT:
            return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        if kind == training_spec_pb2.NORMALISATION_SYMMETRIC:
            return SYMMETRIC, SYMMETRIC
        if kind == training_spec_pb2.NORMALISATION_IMAGENET:
            return IMAGENET_MEAN, IMAGENET_STD
        return (self.mean, self.std) if source is None else (source.mean, source.std)

    def to_message(self) -> architecture_pb2.Architecture:
        """Return the API's form."""
        return architecture_pb2.Architecture(
            name=self.name,
            family=self.family_name,
            description=self.family.title,
            parameters=self.parameters,
            min_input_size=self.min_input_size,
            default_input_size=self.default_input_size,
            weights=[
                architecture_pb2.PretrainedWeights(
                    member=one.member, imagenet_top1_accuracy=one.top1 / 100, imagenet_top5_accuracy=one.top5 / 100
                )
                for one in self.weights.values()
            ],
            stems=[f"STEM_{stem}" for stem in self.stems],
            multiply_adds=round(self.giga_multiply_adds * 1e9),
            file_bytes=round(self.file_megabytes * 1e6),
        )


def _of_the_zoo(network: ZooNetwork) -> Architecture:
    family = FAMILIES[network.family]
    return Architecture(
        name=network.name,
        family_name=network.family,
        parameters=network.parameters,
        giga_multiply_adds=network.giga_multiply_adds,
        file_megabytes=network.file_megabytes,
        activation_megabytes=network.activation_megabytes,
        original_classes=1000,
        min_input_size=network.default_input_size
        if family.fixed_input
        else network.min_input_size
        if network.min_input_size > 1
        else STRIDE,
        default_input_size=network.default_input_size,
        weights={one.member: one for one in network.weights},
        stems=("IMAGENET", "CIFAR") if network.name in _CIFAR_STEM_NETWORKS else (),
        # GoogLeNet's and Inception's published weights expect inputs in -1 to 1.
        mean=SYMMETRIC if family.auxiliary_heads else IMAGENET_MEAN,
        std=SYMMETRIC if family.auxiliary_heads else IMAGENET_STD,
    )


def _lenet_side(spec: training_spec_pb2.NetworkSpec, size: int) -> int:
    """Return the side of LeNet-5's last feature map in pixels; 0 where nothing is left."""
    for _ in spec.conv_channels:
        size = max(0, size + 2 * spec.padding - spec.kernel_size + 1) // 2
    return size


_CIFAR_STEM_NETWORKS = ("resnet18", "resnet34", "resnet50")


def _of_ours(
    name: str,
    family: str,
    *,
    parameters: int,
    multiply_adds: int,
    activation_megabytes: float,
    min_input_size: int,
    default_input_size: int,
) -> Architecture:
    return Architecture(
        name=name,
        family_name=family,
        parameters=parameters,
        giga_multiply_adds=multiply_adds / 1e9,
        file_megabytes=parameters * 4 / 1e6,
        activation_megabytes=activation_megabytes,
        original_classes=10,
        original_channels=1 if family in ("lenet", "mlp") else 3,
        min_input_size=min_input_size,
        default_input_size=default_input_size,
        mean=SYMMETRIC,
        std=SYMMETRIC,
        resize_ratio=1.0,
    )


_OURS = (
    _of_ours(
        "lenet5",
        "lenet",
        parameters=61_706,
        multiply_adds=416_520,
        activation_megabytes=0.049,
        min_input_size=16,
        default_input_size=32,
    ),
    _of_ours(
        "mlp",
        "mlp",
        parameters=636_010,
        multiply_adds=635_200,
        activation_megabytes=0.006,
        min_input_size=1,
        default_input_size=28,
    ),
    *(
        _of_ours(
            name,
            "resnet_cifar",
            parameters=parameters,
            multiply_adds=multiply_adds,
            activation_megabytes=activation_megabytes,
            min_input_size=_CIFAR_STEM_MIN_INPUT_SIZE,
            default_input_size=32,
        )
        for name, parameters, multiply_adds, activation_megabytes in (
            ("resnet20_cifar", 269_722, 40_551_040, 1.5),
            ("resnet56_cifar", 853_018, 125_485_696, 4.3),
        )
    ),
)
ARCHITECTURES = {one.name: one for one in (*_OURS, *(_of_the_zoo(network) for network in NETWORKS))}
"""By name."""
