"""The names of enum values as people write them: `last-blocks` for FINE_TUNING_MODE_LAST_BLOCKS."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.protobuf.descriptor import EnumDescriptor


def enum_labels(descriptor: "EnumDescriptor") -> list[str]:
    """Returns the names of all values that can be chosen, in their order."""
    return [enum_label(descriptor, value.number) for value in descriptor.values if value.number != 0]


def enum_label(descriptor: "EnumDescriptor", number: int) -> str:
    """Returns a value's name, or the number itself where this client is too old to know it."""
    value = descriptor.values_by_number.get(number)
    if value is None:
        return str(number)
    return str(value.name).removeprefix(_prefix(descriptor)).lower().replace("_", "-")


def enum_number(descriptor: "EnumDescriptor", label: str) -> int:
    """Returns the value that `label` (`last-blocks`, `LAST_BLOCKS` or the full name) names.

    Raises ValueError, which names the choices.
    """
    name = label.strip().upper().replace("-", "_").removeprefix(_prefix(descriptor))
    value = descriptor.values_by_name.get(_prefix(descriptor) + name)
    if value is None or value.number == 0:
        raise ValueError(f"{label!r} is none of {', '.join(enum_labels(descriptor))}")
    return int(value.number)


def _prefix(descriptor: "EnumDescriptor") -> str:
    # Zero is always <ENUM>_UNSPECIFIED.
    return str(descriptor.values_by_number[0].name).removesuffix("UNSPECIFIED")
