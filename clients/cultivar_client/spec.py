"""Builds a TrainingSpec from names and plain values: recipe files, mappings, and `field.path=value` settings."""

import difflib
import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message

from cultivar.v1.training_spec_pb2 import TrainingSpec
from cultivar_client.enums import enum_number

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor


class SpecError(ValueError):
    """A spec can't be built: an unknown field, or a value that its field can't hold. The text names the remedy."""


def read_recipe(path: Path) -> TrainingSpec:
    """Reads a recipe file, YAML or JSON, with the fields of TrainingSpec.

    Raises SpecError, and OSError where the file can't be read.
    """
    recipe = read_mapping(path)
    try:
        return spec_from_mapping(recipe)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None


def read_mapping(path: Path) -> Mapping[str, object]:
    """Reads a YAML or JSON file that holds field names and their values.

    Raises SpecError, and OSError where the file can't be read.
    """
    text = path.read_text(encoding="utf-8")
    try:
        # JSON is tried first because reading it needs no further package.
        mapping = json.loads(text)
    except json.JSONDecodeError:
        mapping = _parse_yaml(text, path)
    if not isinstance(mapping, Mapping):
        raise SpecError(f"{path}: the file is no mapping of field names to values")
    return mapping


def spec_from_mapping(mapping: Mapping[str, object]) -> TrainingSpec:
    """Returns the spec with a mapping's values: nested by field name, or with dotted paths.

    Names may be as in the proto (`batch_size`) or its JSON (`batchSize`). Raises SpecError.
    """
    spec = TrainingSpec()
    for path, value in _leaves(mapping):
        set_field(spec, path, value)
    return spec


def apply_settings(spec: TrainingSpec, settings: Sequence[str]) -> None:
    """Applies settings of the form `optimizer.learning_rate=0.01` in their order; the last one of a field counts.

    Settings of a list add up, and replace what the spec held before. An entry of a map is set by its key, as in
    `loss.class_weights.rose=2`. Raises SpecError.
    """
    lists: dict[str, list[str]] = {}
    for setting in settings:
        path, equals, text = setting.partition("=")
        path = path.strip()
        if not equals or not path:
            raise SpecError(f"{setting!r} is no setting: write field.path=value")
        _, field, key = _find(spec, path)
        if field.is_repeated and key is None:
            items = [item.strip() for item in text.split(",") if item.strip()]
            lists.setdefault(field.full_name, []).extend(items)
            set_field(spec, path, lists[field.full_name])
        else:
            set_field(spec, path, text)


def set_field(spec: TrainingSpec, path: str, value: object) -> None:
    """Sets the field at a dotted path. Text is read by the field's type. Raises SpecError.

    A map's path is followed by a key, or takes a mapping, which replaces it.
    """
    parent, field, key = _find(spec, path)
    try:
        if _is_map(field):
            _set_entries(parent, field, key, value)
        elif field.is_repeated:
            items = value if isinstance(value, list | tuple) else [value]
            converted = [_convert(field, item) for item in items]
            parent.ClearField(field.name)
            getattr(parent, field.name).extend(converted)
        else:
            setattr(parent, field.name, _convert(field, value))
    except (ValueError, TypeError) as error:
        raise SpecError(f"{path}: {error}") from None


def field_paths(descriptor: Any = TrainingSpec.DESCRIPTOR) -> list[str]:
    """Returns the dotted paths of all fields that hold a value, in the proto's order."""
    paths: list[str] = []
    for field in descriptor.fields:
        if field.message_type is None or _is_map(field):
            paths.append(f"{field.name}.KEY" if _is_map(field) else field.name)
        else:
            paths.extend(f"{field.name}.{path}" for path in field_paths(field.message_type))
    return paths


def _find(spec: TrainingSpec, path: str) -> tuple[Message, "FieldDescriptor", str | None]:
    """Returns the message that holds a field, the field, and the key where the path names an entry of a map."""
    message: Message = spec
    *parents, last = path.split(".")
    for depth, name in enumerate(parents, 1):
        field = _field(message, name)
        if field is None or field.message_type is None:
            raise _unknown(path)
        if _is_map(field):
            # All that is left: class ids may hold dots.
            return message, field, ".".join((*parents[depth:], last))
        message = getattr(message, field.name)
    field = _field(message, last)
    if field is None:
        raise _unknown(path)
    if field.message_type is not None and not _is_map(field):
        fields = ", ".join(f"{path}.{name}" for name in field_paths(field.message_type))
        raise SpecError(f"{path} holds fields: set one of {fields}")
    return message, field, None


def _is_map(field: Any) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _set_entries(parent: Message, field: Any, key: str | None, value: object) -> None:
    entry = field.message_type.fields_by_name
    if key is not None:
        getattr(parent, field.name)[_convert(entry["key"], key)] = _convert(entry["value"], value)
        return
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is no mapping: set an entry, such as {field.name}.KEY=VALUE, or give a mapping")
    converted = {_convert(entry["key"], one): _convert(entry["value"], its) for one, its in value.items()}
    parent.ClearField(field.name)
    getattr(parent, field.name).update(converted)


def _field(message: Message, name: str) -> Any:
    descriptor = message.DESCRIPTOR
    return descriptor.fields_by_name.get(name) or descriptor.fields_by_camelcase_name.get(name)


def _unknown(path: str) -> SpecError:
    paths = field_paths()
    last = path.rpartition(".")[2]
    near = [known for known in paths if known.rpartition(".")[2] == last]
    near += [known for known in difflib.get_close_matches(path, paths) if known not in near]
    return SpecError(f"{path} is no field" + (f": did you mean {' or '.join(near)}?" if near else ""))


def _convert(field: "FieldDescriptor", value: object) -> Any:
    if field.enum_type is not None:
        if isinstance(value, bool):
            # YAML reads a bare `off` as false.
            value = "on" if value else "off"
        return enum_number(field.enum_type, str(value))
    if field.cpp_type == field.CPPTYPE_STRING:
        # Numbers are taken as text: a folder called 0 is a class called 0.
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError(f"{value!r} is no text")
        return str(value)
    if field.cpp_type == field.CPPTYPE_BOOL:
        return _to_bool(value)
    if field.cpp_type in (field.CPPTYPE_DOUBLE, field.CPPTYPE_FLOAT):
        return _to_number(value, float, "number")
    return _to_number(value, int, "whole number")


def _to_bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    choice = {"true": True, "false": False}.get(str(value).strip().lower())
    if choice is None:
        raise ValueError(f"{value!r} is neither true nor false")
    return choice


def _to_number(value: object, kind: type[int] | type[float], what: str) -> int | float:
    # Text is read in files too: proto JSON writes int64 as text, and YAML takes 1e-3 for text.
    if isinstance(value, bool) or not isinstance(value, str | int | kind):
        raise ValueError(f"{value!r} is no {what}")
    try:
        return kind(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{value!r} is no {what}") from None


def _leaves(mapping: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in mapping.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping) and not _names_map(path):
            yield from _leaves(value, f"{path}.")
        elif value is not None:
            yield path, value


def _names_map(path: str) -> bool:
    try:
        _, field, key = _find(TrainingSpec(), path)
    except SpecError:  # holds fields, or is none: told where its leaves are set
        return False
    return key is None and _is_map(field)


def _parse_yaml(text: str, path: Path) -> object:
    try:
        yaml = importlib.import_module("yaml")
    except ModuleNotFoundError:
        raise SpecError(
            f"{path} is no JSON, and YAML needs PyYAML: install pyyaml or write the recipe as JSON"
        ) from None
    try:
        recipe: object = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SpecError(f"{path} is neither JSON nor YAML: {error}") from None
    return recipe
