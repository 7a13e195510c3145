"""One table of every field of a training spec: unit, range, default, help, source."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from cultivar.v1 import training_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.architectures import MAX_INPUT_SIZE, Architecture

Spec = pb.TrainingSpec
Default = Callable[[Spec, Architecture], Any]
"""Finds a field's default from the fields above it in the table, which are resolved already, and the network."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SpecField:
    """One row of the table."""

    path: str
    """Dotted path in TrainingSpec."""
    help: str
    """What it does, in one sentence."""
    default: Any = None
    """The default: a value, or a `Default` where it depends on other fields. None: the field is required or resolved
    by its own rule."""
    default_help: str = ""
    """How the default is found, where it is no plain value."""
    unit: str = ""
    """Unit of the value."""
    minimum: float | None = None
    """Smallest allowed value."""
    maximum: float | None = None
    """Largest allowed value."""
    above: float | None = None
    """Every allowed value is larger than this."""
    source: str = ""
    """Where the method comes from."""
    built: bool = True
    """False: setting the field is refused."""
    unbuilt_values: tuple[int, ...] = ()
    """Enum values that are refused."""

    @property
    def range(self) -> str:
        """The allowed values, for people."""
        if self.above is not None:
            return f"> {self.above:g}" + (f", <= {self.maximum:g}" if self.maximum is not None else "")
        if self.minimum is not None and self.maximum is not None:
            return f"{self.minimum:g} to {self.maximum:g}"
        return f">= {self.minimum:g}" if self.minimum is not None else ""

    @property
    def descriptor(self) -> Any:
        """The protobuf FieldDescriptor."""
        message: Any = Spec.DESCRIPTOR
        *parents, name = self.path.split(".")
        for parent in parents:
            message = message.fields_by_name[parent].message_type
        return message.fields_by_name[name]

    def allows(self, value: float) -> bool:
        """Tell whether a number is within the range; NaN never is."""
        return (
            abs(value) != float("inf")
            and value == value
            and (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
            and (self.above is None or value > self.above)
        )

    def is_set(self, spec: Spec) -> bool:
        """Tell whether a client set this field; an enum's zero counts as unset."""
        parent, name = self._parent(spec), self.descriptor.name
        if self.descriptor.is_repeated:
            return bool(getattr(parent, name))
        if not parent.HasField(name):
            return False
        return self.descriptor.enum_type is None or getattr(parent, name) != 0

    def get(self, spec: Spec) -> Any:
        """Return this field's value."""
        return getattr(self._parent(spec), self.descriptor.name)

    def set(self, spec: Spec, value: Any) -> None:
        """Give this field a value."""
        setattr(self._parent(spec), self.descriptor.name, value)

    def to_message(self) -> training_pb2.TrainingSpecField:
        """Return the API's form."""
        return training_pb2.TrainingSpecField(
            path=self.path,
            type=_type_name(self.descriptor),
            unit=self.unit,
            range=self.range,
            default_value=self.default_help or ("" if self.default is None else _show(self.descriptor, self.default)),
            help=self.help,
            source=self.source,
            supported=self.built,
        )

    def _parent(self, spec: Spec) -> Any:
        parent: Any = spec
        for name in self.path.split(".")[:-1]:
            parent = getattr(parent, name)
        return parent


def enum_value_name(descriptor: Any, number: int) -> str:
    """Return an enum value as the command line spells it: `FINE_TUNING_MODE_LAST_BLOCKS` is `last-blocks`."""
    values = descriptor.enum_type.values_by_number
    if number not in values:
        return str(number)
    prefix = descriptor.enum_type.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return str(values[number].name).removeprefix(prefix).lower().replace("_", "-")


def _type_name(descriptor: Any) -> str:
    if descriptor.is_repeated:
        return "list"
    if descriptor.enum_type is not None:
        return ", ".join(enum_value_name(descriptor, value.number) for value in descriptor.enum_type.values[1:])
    kinds = {
        FieldDescriptor.CPPTYPE_STRING: "string",
        FieldDescriptor.CPPTYPE_BOOL: "bool",
        FieldDescriptor.CPPTYPE_DOUBLE: "float",
    }
    return kinds.get(descriptor.cpp_type, "int")


def _show(descriptor: Any, value: Any) -> str:
    if descriptor.enum_type is not None:
        return enum_value_name(descriptor, value)
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _learning_rate(spec: Spec, _: Architecture) -> float:
    adamw = spec.optimizer.kind == pb.OPTIMIZER_KIND_ADAMW
    if spec.mode == pb.FINE_TUNING_MODE_FULL:
        return 3e-4 if adamw else 3e-3
    return 1e-3 if adamw else 5e-2


def _weight_decay(spec: Spec, _: Architecture) -> float:
    return 1e-2 if spec.optimizer.kind == pb.OPTIMIZER_KIND_ADAMW else 5e-4


def _warmup_epochs(spec: Spec, _: Architecture) -> float:
    return 0.0 if spec.mode == pb.FINE_TUNING_MODE_HEAD else min(5.0, 0.2 * spec.epochs)


def _stem(_: Spec, architecture: Architecture) -> int:
    return pb.STEM_IMAGENET if architecture.stems else pb.STEM_UNSPECIFIED


def _input_size(spec: Spec, architecture: Architecture) -> int:
    return 32 if spec.network.stem == pb.STEM_CIFAR else architecture.default_input_size


def _head_dropout(_: Spec, architecture: Architecture) -> float:
    return architecture.family.head_dropout or 0.0


FIELDS = (
    SpecField(path="dataset", help="Data set to learn from; the newest version where none is named."),
    SpecField(path="model", help="Model that gets the new version.", default_help="the data set's name"),
    SpecField(path="architecture", help="Network to train; `cultivar architectures` lists them."),
    SpecField(
        path="mode",
        help="Which weights learn.",
        unbuilt_values=(pb.FINE_TUNING_MODE_LAST_BLOCKS, pb.FINE_TUNING_MODE_GRADUAL),
    ),
    SpecField(
        path="weights",
        help="Pretrained weights: a member of torchvision's weight enum or a file in the weights folder.",
    ),
    SpecField(path="last_blocks", help="Number of last blocks that learn in mode last-blocks.", built=False),
    SpecField(
        path="network.stem",
        help="First layers; cifar has stride 1 and no pooling, for inputs of about 32 px, and needs mode scratch.",
        default=_stem,
        default_help="the architecture's own",
        source="He et al. 2016, section 4.2",
    ),
    SpecField(
        path="network.head_dropout",
        help="Probability that the head's dropout drops a feature while training.",
        default=_head_dropout,
        default_help="the architecture's own, such as 0.2 in mobilenet_v2; 0 where it has no dropout",
        minimum=0,
        maximum=0.95,
        source="Srivastava et al. 2014",
    ),
    SpecField(
        path="input.size",
        help="Height and width of the network's input.",
        unit="pixels",
        default=_input_size,
        default_help="the architecture's own; 32 with stem cifar",
        minimum=1,
        maximum=MAX_INPUT_SIZE,
    ),
    SpecField(path="input.channels", help="Colour channels.", built=False),
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
    SpecField(path="epochs", help="Passes over the training images.", default=20, minimum=1, maximum=10_000),
    SpecField(path="batch_size", help="Images per update.", unit="images", default=64, minimum=1, maximum=65_536),
    SpecField(path="seed", help="Seed of initial weights, order and augmentation.", default=0),
    SpecField(
        path="augmentation.horizontal_flip",
        help="Probability of a left-right flip.",
        default=0.0,
        minimum=0,
        maximum=1,
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
    SpecField(
        path="augmentation.resized_crop",
        help="Smallest share of the area that a random window keeps before it is resized, at an aspect ratio of 3/4 to "
        "4/3 where the image has room for it; 0: off.",
        default=0.0,
        minimum=0,
        maximum=1,
        source="Szegedy et al. 2015",
    ),
    *(
        SpecField(
            path=f"augmentation.{name}",
            help=text,
            default=0.0,
            minimum=0,
            maximum=maximum,
            source="torchvision ColorJitter",
        )
        for name, text, maximum in (
            ("brightness", "Brightness is multiplied by a factor within 1 -+ this; 0: off.", 1),
            ("contrast", "Contrast is multiplied by a factor within 1 -+ this; 0: off.", 1),
            ("saturation", "Saturation is multiplied by a factor within 1 -+ this; 0: off.", 1),
            ("hue", "Hue is turned by a share of the colour circle within -+ this; 0: off.", 0.5),
        )
    ),
    SpecField(
        path="optimizer.kind",
        help="Update rule.",
        default=pb.OPTIMIZER_KIND_ADAMW,
        source="Loshchilov & Hutter 2019; Sutskever et al. 2013",
    ),
    SpecField(
        path="optimizer.learning_rate",
        help="Peak learning rate.",
        default=_learning_rate,
        default_help="adamw 0.001, sgd 0.05; in mode full adamw 0.0003, sgd 0.003",
        above=0,
        maximum=1e6,
    ),
    SpecField(path="optimizer.momentum", help="Momentum of sgd.", default=0.9, minimum=0, maximum=0.9999),
    SpecField(
        path="optimizer.nesterov",
        help="Nesterov's form of sgd's momentum; needs momentum.",
        default=lambda spec, _: spec.optimizer.momentum > 0,
        default_help="true where momentum is above 0",
    ),
    SpecField(
        path="optimizer.weight_decay",
        help="Decay of weights, not of biases or normalisation: decoupled in adamw, in the loss (L2) in sgd.",
        default=_weight_decay,
        default_help="adamw 0.01, sgd 0.0005",
        minimum=0,
        maximum=1e3,
    ),
    SpecField(
        path="schedule.kind",
        help="Shape of the learning rate after warm-up.",
        default=pb.SCHEDULE_KIND_COSINE,
        source="Loshchilov & Hutter 2017",
    ),
    SpecField(
        path="schedule.warmup_epochs",
        help="Epochs in which the learning rate rises linearly to its peak.",
        unit="epochs",
        default=_warmup_epochs,
        default_help="a fifth of the epochs, at most 5; none in mode head",
        minimum=0,
        maximum=10_000,
        source="Goyal et al. 2017",
    ),
    SpecField(
        path="schedule.step_epochs",
        help="Epochs between two steps of schedule step.",
        unit="epochs",
        default=lambda spec, _: max(1, spec.epochs // 3),
        default_help="a third of the epochs, at least 1",
        minimum=1,
        maximum=10_000,
    ),
    SpecField(
        path="schedule.step_factor", help="Factor of each step of schedule step.", default=0.1, above=0, maximum=1
    ),
    SpecField(
        path="loss.label_smoothing",
        help="Share of the target's probability that is spread evenly over all classes.",
        default=0.0,
        minimum=0,
        maximum=0.99,
        source="Szegedy et al. 2016",
    ),
    SpecField(
        path="selection_metric",
        help="Validation figure that chooses the exported epoch; ties go to the earliest.",
        default=pb.SELECTION_METRIC_TOP1,
        unbuilt_values=(pb.SELECTION_METRIC_MACRO_F1,),
    ),
    SpecField(
        path="publish",
        help="Whether the new version goes live.",
        default=pb.PUBLISH_POLICY_FIRST_OR_BETTER,
    ),
    SpecField(
        path="test_evaluation",
        help="When test data are read.",
        default=pb.TEST_EVALUATION_AT_END,
        unbuilt_values=(pb.TEST_EVALUATION_DEFERRED,),
    ),
    SpecField(path="execution.device", help="`auto`, `cpu` or `cuda:N`.", default="auto"),
    SpecField(
        path="execution.feature_cache",
        help="Whether features of a frozen backbone are computed once and reused.",
        default=pb.FEATURE_CACHE_AUTO,
    ),
    SpecField(
        path="execution.tuning",
        help="How dtype, memory format and threads are chosen.",
        default=pb.TUNING_TABLE,
        unbuilt_values=(pb.TUNING_MEASURED,),
    ),
    SpecField(path="execution.memory_limit_bytes", help="GPU memory that the job may use.", unit="bytes", built=False),
)
"""In the order in which defaults are resolved."""
