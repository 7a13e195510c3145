"""One row of the table of fields."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from cultivar.v1 import training_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.architectures import Architecture

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
    max_items: int = 256
    """Longest list or map."""
    needs: Callable[[Spec, Architecture], bool] | None = None
    """Tells whether the field has a meaning beside those above it; where it has none, it gets no default."""
    needs_help: str = ""
    """What gives it a meaning, for people."""
    refused: bool = False
    """Whether setting it where it has no meaning is a violation; else it is warned of."""
    source: str = ""
    """Where the method comes from."""
    built: bool = True
    """False: setting the field is refused."""

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
        return _descriptor(self.path)

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
        parents, name, is_repeated, is_enum = _shape(self.path)
        parent: Any = spec
        for one in parents:
            parent = getattr(parent, one)
        if is_repeated:  # a map is one too
            return bool(getattr(parent, name))
        return parent.HasField(name) and not (is_enum and getattr(parent, name) == 0)

    def get(self, spec: Spec) -> Any:
        """Return this field's value."""
        return getattr(self._parent(spec), self.descriptor.name)

    def set(self, spec: Spec, value: Any) -> None:
        """Give this field a value."""
        if self.descriptor.is_repeated:
            getattr(self._parent(spec), self.descriptor.name).extend(value)
        else:
            setattr(self._parent(spec), self.descriptor.name, value)

    def clear(self, spec: Spec) -> None:
        """Leave this field out."""
        self._parent(spec).ClearField(self.descriptor.name)

    def has_meaning(self, spec: Spec, architecture: Architecture) -> bool:
        """Tell whether the field has a meaning beside those above it in the table, which are resolved."""
        return self.needs is None or self.needs(spec, architecture)

    def values(self, spec: Spec) -> list[Any]:
        """Return the values to check: one, or those of a list or map."""
        value = self.get(spec)
        if self.descriptor.message_type is not None:
            return list(value.values())
        return list(value) if self.descriptor.is_repeated else [value]

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
        for name in _shape(self.path)[0]:
            parent = getattr(parent, name)
        return parent


@cache  # resolving one spec asks some hundred times
def _shape(path: str) -> tuple[tuple[str, ...], str, bool, bool]:
    """Return a field's parents, its name, and whether it is repeated and an enum."""
    descriptor = _descriptor(path)
    *parents, name = path.split(".")
    return tuple(parents), name, descriptor.is_repeated, descriptor.enum_type is not None


@cache
def _descriptor(path: str) -> Any:
    message: Any = Spec.DESCRIPTOR
    *parents, name = path.split(".")
    for parent in parents:
        message = message.fields_by_name[parent].message_type
    return message.fields_by_name[name]


def enum_value_name(descriptor: Any, number: int) -> str:
    """Return an enum value as the command line spells it: `FINE_TUNING_MODE_LAST_BLOCKS` is `last-blocks`."""
    values = descriptor.enum_type.values_by_number
    if number not in values:
        return str(number)
    prefix = descriptor.enum_type.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return str(values[number].name).removeprefix(prefix).lower().replace("_", "-")


def enum_is(path: str, *values: int) -> Callable[[Spec, Architecture], bool]:
    """Make a `needs`: the enum field at `path` has one of these values."""

    def check(spec: Spec, _: Architecture) -> bool:
        value: Any = spec
        for name in path.split("."):
            value = getattr(value, name)
        return value in values

    return check


def _type_name(descriptor: Any) -> str:
    if descriptor.message_type is not None:
        return "map"
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
    if descriptor.is_repeated:
        return ", ".join(str(one) for one in value)
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
