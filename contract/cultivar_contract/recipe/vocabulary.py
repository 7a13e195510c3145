"""Checks each field by itself, and fills in the defaults."""

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.architectures import ARCHITECTURES, Architecture
from cultivar_contract.names import NAME_RULE, is_name
from cultivar_contract.recipe.facts import Resolution
from cultivar_contract.spec_fields import FIELDS, SpecField, enum_value_name
from cultivar_contract.violations import Violation


def check(resolution: Resolution) -> None:
    """Check each set field by itself."""
    for row in FIELDS:
        if not row.is_set(resolution.recipe):
            continue
        values = row.values(resolution.recipe)
        if not row.built:
            resolution.unbuilt.append(Violation(field=row.path, message="is not built yet: leave it out"))
        elif row.descriptor.enum_type is not None:
            _check_enum(resolution, row, values[0])
        else:
            _check_range(resolution, row, values)


def architecture(resolution: Resolution) -> Architecture | None:
    """Return the network that is asked for; None where there is none, which is then a violation."""
    recipe = resolution.recipe
    if recipe.mode == pb.FINE_TUNING_MODE_UNSPECIFIED:
        resolution.violate("mode", "is required: use scratch, full, head, last-blocks or gradual")
    if recipe.HasField("model") and not is_name(recipe.model):
        resolution.violate("model", f"{recipe.model!r} can't be a name: {NAME_RULE}")
    if recipe.architecture in ARCHITECTURES:
        return ARCHITECTURES[recipe.architecture]
    known = ", ".join(sorted(ARCHITECTURES))
    fact = f"{recipe.architecture!r} is unknown" if recipe.architecture else "is required"
    resolution.violate("architecture", f"{fact}: use one of {known}")
    return None


def fill_defaults(resolution: Resolution, network: Architecture) -> None:
    """Give every unset field that has a meaning its default; refuse, or warn of and leave out, a set one without."""
    recipe = resolution.recipe
    for row in FIELDS:
        if not row.has_meaning(recipe, network):
            if row.is_set(recipe) and row.refused and row.built:
                resolution.violate(row.path, f"has no meaning here: it needs {row.needs_help}: leave it out")
            elif row.is_set(recipe) and row.built:
                resolution.warnings.append(f"{row.path} has no meaning here: it needs {row.needs_help}.")
                row.clear(recipe)  # the trainer could read it all the same
        elif row.default is not None and row.built and not row.is_set(recipe):
            row.set(recipe, row.default(recipe, network) if callable(row.default) else row.default)


def _check_range(resolution: Resolution, row: SpecField, values: list[object]) -> None:
    if len(values) > row.max_items:
        resolution.violate(row.path, f"{len(values)} entries are too many: use at most {row.max_items}")
    wrong = [one for one in values if isinstance(one, (int, float)) and not row.allows(one)]
    if wrong:
        shown = f"{wrong[0]:.6g}" if isinstance(wrong[0], float) else str(wrong[0])
        resolution.violate(row.path, f"{shown} is out of range: use {row.range}")


def _check_enum(resolution: Resolution, row: SpecField, value: int) -> None:
    numbers = row.descriptor.enum_type.values_by_number
    if value not in numbers:
        choices = ", ".join(enum_value_name(row.descriptor, number) for number in numbers if number)
        shown = enum_value_name(row.descriptor, value)
        resolution.violate(row.path, f"{shown} is unknown: use one of {choices}")
