"""Builds a TrainingStudySpec from study files, mappings, and variants as the command takes them."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from google.protobuf.message import Message

from cultivar.v1.study_pb2 import DESCRIPTOR as STUDY
from cultivar.v1.study_pb2 import TrainingStudySpec
from cultivar.v1.training_spec_pb2 import TrainingSpec
from cultivar_client.enums import enum_number
from cultivar_client.spec import SpecError, apply_settings, read_mapping, spec_from_mapping

_VARIANT = re.compile(r"[a-z0-9._-]{1,40}")


def read_study(path: Path) -> TrainingStudySpec:
    """Reads a study file, YAML or JSON, with the fields of TrainingStudySpec.

    Raises SpecError, and OSError where the file can't be read.
    """
    mapping = read_mapping(path)
    try:
        return study_from_mapping(mapping)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None


def study_from_mapping(mapping: Mapping[str, object]) -> TrainingStudySpec:
    """Returns the study that a mapping describes, with enum values such as `winner` and `last-blocks`.

    {"base": {...}, "variants": [{"variant": "head", "changes": {"mode": "head"}}, ...], "seeds": [1, 2, 3]}

    Raises SpecError.
    """
    _check_fields(mapping, TrainingStudySpec(), "")
    study = TrainingStudySpec(title=_text(mapping.get("title", ""), "title"))
    if (base := mapping.get("base")) is not None:
        study.base.CopyFrom(_spec(base, "base"))
    for place, entry in enumerate(_list(mapping.get("variants"), "variants")):
        path = f"variants[{place}]"
        fields = _mapping(entry, path)
        variant = study.variants.add()
        _check_fields(fields, variant, f"{path}.")
        variant.variant = _name(_text(fields.get("variant", ""), f"{path}.variant"))
        if (changes := fields.get("changes")) is not None:
            variant.changes.CopyFrom(_spec(changes, f"{path}.changes"))
        cleared = _list(fields.get("cleared"), f"{path}.cleared")
        variant.cleared.extend(_text(one, f"{path}.cleared") for one in cleared)
    set_seeds(study, _list(mapping.get("seeds"), "seeds"))
    if (test := mapping.get("test")) is not None:
        set_test(study, test)
    return study


def add_variant(study: TrainingStudySpec, text: str) -> None:
    """Adds a variant of the form `NAME` or `NAME: PATH=VALUE ... -PATH ...`.

    `-PATH` leaves a field that the base sets at its default. Values with spaces are quoted, as in a shell. Raises
    SpecError.
    """
    name, _, rest = text.partition(":")
    variant = study.variants.add(variant=_name(name.strip()))
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise SpecError(f"variant {text!r}: {error}") from None
    settings = [word for word in words if not word.startswith("-")]
    variant.cleared.extend(word[1:] for word in words if word.startswith("-"))
    if settings:
        try:
            apply_settings(variant.changes, settings)
        except SpecError as error:
            raise SpecError(f"variant {variant.variant}: {error}") from None


def set_seeds(study: TrainingStudySpec, seeds: list[object]) -> None:
    """Sets the seeds, numbers or their texts, that each variant is trained with. Raises SpecError."""
    del study.seeds[:]
    for seed in seeds:
        try:
            if isinstance(seed, bool) or not isinstance(seed, int | str):
                raise ValueError
            study.seeds.append(int(seed))
        except ValueError:
            raise SpecError(f"seeds: {seed!r} is no whole number of 64 bits") from None


def set_test(study: TrainingStudySpec, test: object) -> None:
    """Sets which trials are measured on test data: `winner`, `each` or `none`. Raises SpecError."""
    try:
        study.test = enum_number(STUDY.enum_types_by_name["StudyTest"], str(test))  # type: ignore[assignment]
    except ValueError as error:
        raise SpecError(f"test: {error}") from None


def _name(name: str) -> str:
    if not _VARIANT.fullmatch(name):
        raise SpecError(
            f"{name!r} is no name of a variant: write NAME or 'NAME: field.path=value ...', the name of up to 40 "
            "lower-case letters, digits, '.', '_' or '-'"
        )
    return name


def _spec(value: object, path: str) -> TrainingSpec:
    try:
        return spec_from_mapping(_mapping(value, path))
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None


def _check_fields(mapping: Mapping[str, object], message: Message, prefix: str) -> None:
    known = [field.name for field in message.DESCRIPTOR.fields]
    for name in mapping:
        if name not in known:
            raise SpecError(f"{prefix}{name} is no field: choose of {', '.join(known)}")


def _mapping(value: object, path: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise SpecError(f"{path}: {value!r} is no mapping of field names to values")
    return value


def _list(value: object, path: str) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise SpecError(f"{path}: {value!r} is no list")
    return value


def _text(value: object, path: str) -> str:
    # YAML reads a bare 1 as a number.
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise SpecError(f"{path}: {value!r} is no text")
    return str(value)
