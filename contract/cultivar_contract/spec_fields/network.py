"""Fields about the network beyond its name, and about its initial weights."""

import math
from collections.abc import Callable

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.architectures import Architecture
from cultivar_contract.spec_fields.field import Spec, SpecField

MAX_LAYERS = 16
MAX_UNITS = 16_384


def _configurable(name: str) -> Callable[[Spec, Architecture], bool]:
    return lambda _, architecture: name in architecture.family.configurable


def _has_batch_norm(spec: Spec, architecture: Architecture) -> bool:
    return architecture.batch_norm or spec.network.batch_norm


def _has_scheme(spec: Spec, _: Architecture) -> bool:
    return spec.initialisation.scheme != pb.INITIALISATION_SCHEME_UNSPECIFIED


def _scheme(spec: Spec, _: Architecture) -> int:
    # Who sets a gain alone wants it to act, which it can on a variance that is known only.
    return pb.INITIALISATION_SCHEME_XAVIER if spec.initialisation.gain else pb.INITIALISATION_SCHEME_UNSPECIFIED


def _fan(spec: Spec, _: Architecture) -> int:
    return pb.FAN_AVERAGE if spec.initialisation.scheme == pb.INITIALISATION_SCHEME_XAVIER else pb.FAN_IN


def _gain(spec: Spec, _: Architecture) -> float:
    return math.sqrt(2) if spec.initialisation.scheme == pb.INITIALISATION_SCHEME_HE else 1.0


FIELDS = (
    SpecField(
        path="network.stem",
        help="First layers; cifar has stride 1 and no pooling, for inputs of about 32 px, and needs mode scratch or "
        "weights that were trained so.",
        default=lambda _, architecture: pb.STEM_IMAGENET if architecture.stems else pb.STEM_UNSPECIFIED,
        default_help="the architecture's own",
        source="He et al. 2016, section 4.2",
    ),
    SpecField(
        path="network.head_hidden_sizes",
        help="Units of hidden layers in the head, from the features to the classes.",
        unit="units",
        minimum=1,
        maximum=MAX_UNITS,
        max_items=MAX_LAYERS,
    ),
    SpecField(
        path="network.head_activation",
        help="Nonlinearity after each hidden layer of the head.",
        needs=lambda spec, _: bool(spec.network.head_hidden_sizes),
        needs_help="network.head_hidden_sizes",
        default=pb.ACTIVATION_RELU,
    ),
    SpecField(
        path="network.head_dropout",
        help="Probability that dropout before each of the head's layers drops a feature while training.",
        default=lambda _, architecture: architecture.family.head_dropout or 0.0,
        default_help="the architecture's own, such as 0.2 in mobilenet_v2; 0 where it has no dropout",
        minimum=0,
        maximum=0.95,
        source="Srivastava et al. 2014",
    ),
    SpecField(
        path="network.conv_channels",
        help="Filters of each convolution, which a max pooling by 2 follows.",
        unit="filters",
        needs=_configurable("conv_channels"),
        needs_help="lenet5",
        refused=True,
        default=(6, 16),
        minimum=1,
        maximum=2048,
        max_items=MAX_LAYERS,
        source="LeCun et al. 1998",
    ),
    SpecField(
        path="network.hidden_sizes",
        help="Units of each hidden fully connected layer.",
        unit="units",
        needs=_configurable("hidden_sizes"),
        needs_help="lenet5 or mlp",
        refused=True,
        default=lambda _, architecture: (120, 84) if architecture.family_name == "lenet" else (800,),
        default_help="lenet5 120, 84; mlp 800",
        minimum=1,
        maximum=MAX_UNITS,
        max_items=MAX_LAYERS,
        source="LeCun et al. 1998; Simard et al. 2003",
    ),
    SpecField(
        path="network.kernel_size",
        help="Height and width of each convolution's kernel.",
        unit="pixels",
        needs=_configurable("kernel_size"),
        needs_help="lenet5",
        refused=True,
        default=5,
        minimum=1,
        maximum=31,
    ),
    SpecField(
        path="network.padding",
        help="Zeros on each side before each convolution.",
        unit="pixels",
        needs=_configurable("padding"),
        needs_help="lenet5",
        refused=True,
        default=0,
        minimum=0,
        maximum=15,
    ),
    SpecField(
        path="network.activation",
        help="Nonlinearity after each layer.",
        needs=_configurable("activation"),
        needs_help="lenet5 or mlp",
        refused=True,
        default=pb.ACTIVATION_RELU,
    ),
    SpecField(
        path="network.batch_norm",
        help="Whether each hidden layer is followed by BatchNorm.",
        needs=_configurable("batch_norm"),
        needs_help="lenet5 or mlp",
        refused=True,
        default=False,
        source="Ioffe & Szegedy 2015",
    ),
    SpecField(
        path="network.dropout",
        help="Probability that dropout after each hidden fully connected layer drops a unit while training.",
        needs=_configurable("dropout"),
        needs_help="lenet5 or mlp",
        refused=True,
        default=0.0,
        minimum=0,
        maximum=0.95,
        source="Srivastava et al. 2014",
    ),
    SpecField(
        path="network.shortcuts",
        help="Whether blocks have shortcuts; false gives plain-20 and plain-56.",
        needs=_configurable("shortcuts"),
        needs_help="resnet20_cifar or resnet56_cifar",
        refused=True,
        default=True,
        source="He et al. 2016, section 4.2",
    ),
    SpecField(
        path="network.zero_init_residual",
        help="Whether each residual branch begins as zero.",
        needs=lambda spec, architecture: (
            "zero_init_residual" in architecture.family.configurable
            and spec.mode == pb.FINE_TUNING_MODE_SCRATCH
            # Without shortcuts nothing would pass.
            and (spec.network.shortcuts or "shortcuts" not in architecture.family.configurable)
        ),
        needs_help="a ResNet with shortcuts and mode scratch",
        refused=True,
        default=False,
        source="Goyal et al. 2017, section 5.1",
    ),
    SpecField(
        path="network.batch_norm_momentum",
        help="Share of a new batch's statistics in BatchNorm's running ones.",
        needs=_has_batch_norm,
        needs_help="a network with BatchNorm",
        default_help="the architecture's own, mostly 0.1",
        above=0,
        maximum=1,
    ),
    SpecField(
        path="network.batch_norm_epsilon",
        help="What BatchNorm adds to the variance.",
        needs=_has_batch_norm,
        needs_help="a network with BatchNorm",
        default_help="the architecture's own, mostly 1e-5",
        above=0,
        maximum=1,
    ),
    SpecField(
        path="initialisation.scheme",
        help="Variance of the initial weights of new layers, and of the whole network in mode scratch.",
        default=_scheme,
        default_help="xavier where initialisation.gain is set; else the architecture's own, and a standard deviation "
        "of 0.01 in a new head's last layer",
        source="He et al. 2015; Glorot & Bengio 2010; LeCun et al. 1998",
    ),
    SpecField(
        path="initialisation.distribution",
        help="Shape of the distribution of initial weights.",
        needs=_has_scheme,
        needs_help="initialisation.scheme",
        default=pb.INITIALISATION_DISTRIBUTION_NORMAL,
    ),
    SpecField(
        path="initialisation.fan",
        help="Connections of a layer that the variance counts.",
        needs=_has_scheme,
        needs_help="initialisation.scheme",
        default=_fan,
        default_help="in for he and lecun, average for xavier",
    ),
    SpecField(
        path="initialisation.gain",
        help="Factor of the standard deviation of initial weights.",
        needs=_has_scheme,
        needs_help="initialisation.scheme",
        default=_gain,
        default_help="sqrt(2) for he, else 1",
        above=0,
        maximum=100,
    ),
)
