"""A study's variants: what each changes of the base, and what it may not."""

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf.message import Message

from cultivar.v1 import study_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.spec_fields import FIELDS
from cultivar_contract.violations import Violation
from cultivar_service.errors import shown

MAX_VARIANTS = 32
MAX_SEEDS = 32
MAX_TRIALS = 256
MAX_TITLE = 200
_NAME = re.compile(r"[a-z0-9._-]{1,40}")
_TRAINING_IMAGES = frozenset(("data.max_train_images", "data.max_train_images_per_class"))
_OWNED = frozenset(("dataset", "seed", "model", "publish", "test_evaluation"))
_REMEDIES = {
    "seed": "set spec.seeds",
    "publish": "set spec.base.publish, by which the winner goes live",
    "test_evaluation": "set spec.test",
}


def seeds_of(spec: study_pb2.TrainingStudySpec) -> list[int]:
    """Return the seeds that each variant is trained with."""
    return list(spec.seeds) or [spec.base.seed]


def is_too_large(spec: study_pb2.TrainingStudySpec) -> bool:
    """Tell whether a study has more variants, seeds or trials than it may."""
    variants, seeds = len(spec.variants), len(seeds_of(spec))
    return variants > MAX_VARIANTS or seeds > MAX_SEEDS or variants * seeds > MAX_TRIALS


def check(spec: study_pb2.TrainingStudySpec) -> list[Violation]:
    """Return what is wrong with a study before its recipes are looked at."""
    return [Violation(field=field, message=message) for field, message in _wrong(spec)]


def lay_over(base: pb.TrainingSpec, variant: study_pb2.StudyVariant) -> pb.TrainingSpec:
    """Return a variant's spec: the base without what is cleared, with what is changed in its place.

    Fields that belong to the study stay the base's, so that only `check` speaks of them.
    """
    spec, changes = pb.TrainingSpec(), pb.TrainingSpec()
    spec.CopyFrom(base)
    changes.CopyFrom(variant.changes)
    for row in FIELDS:
        if _is_owned(row.path):
            row.clear(changes)
        elif any(_is_below(row.path, one) for one in variant.cleared):
            row.clear(spec)
    _replace(spec, changes)
    return spec


def changed_paths(variant: study_pb2.StudyVariant) -> set[str]:
    """Return the paths of the fields that a variant sets."""
    return {row.path for row in FIELDS if row.is_set(variant.changes)}


def touched_paths(base: pb.TrainingSpec, variant: study_pb2.StudyVariant) -> set[str]:
    """Return the paths of the fields that a variant sets or clears."""
    cleared = {path for one in variant.cleared for path in _set_below(base, one)}
    return changed_paths(variant) | cleared


def _replace(spec: Message, changes: Message) -> None:
    for field, value in changes.ListFields():
        nested = field.message_type
        if nested is not None and not field.is_repeated:
            _replace(getattr(spec, field.name), value)
        elif nested is not None or field.is_repeated:  # a map is both
            spec.ClearField(field.name)
            _fill(getattr(spec, field.name), value)
        elif value or field.enum_type is None:  # an enum's zero counts as unset, as everywhere in specs
            setattr(spec, field.name, value)


def _fill(container: Any, value: Any) -> None:
    if hasattr(value, "items"):
        container.update(value)
    else:
        container.extend(value)


def _wrong(spec: study_pb2.TrainingStudySpec) -> Iterator[tuple[str, str]]:
    variants, seeds = len(spec.variants), list(spec.seeds)
    if len(spec.title) > MAX_TITLE:
        yield "spec.title", f"has {len(spec.title)} characters: use at most {MAX_TITLE}"
    if not spec.HasField("base"):
        yield "spec.base", "is required: say what all variants have in common"
    if spec.test not in study_pb2.StudyTest.values():
        yield "spec.test", f"{spec.test} is unknown: use those of StudyTest"
    if spec.base.HasField("test_evaluation"):
        yield "spec.base.test_evaluation", "belongs to the study, which reads test data: leave it out and set spec.test"
    if variants < 2:
        yield "spec.variants", f"{variants} {'is' if variants == 1 else 'are'} too few to compare: use 2 or more"
    if variants > MAX_VARIANTS:
        yield "spec.variants", f"{variants} are too many: use at most {MAX_VARIANTS}"
    if len(seeds) > MAX_SEEDS:
        yield "spec.seeds", f"{len(seeds)} are too many: use at most {MAX_SEEDS}"
    elif variants <= MAX_VARIANTS and variants * len(seeds) > MAX_TRIALS:
        yield "spec.seeds", f"{variants} variants x {len(seeds)} seeds are more than {MAX_TRIALS} trials: use fewer"
    repeated = sorted({one for one in seeds if seeds.count(one) > 1}) if len(seeds) <= MAX_SEEDS else []
    if repeated:
        yield "spec.seeds", f"{', '.join(map(str, repeated[:5]))}: named more than once: name each seed once"
    if variants <= MAX_VARIANTS:
        yield from _wrong_names(spec)
        for number, variant in enumerate(spec.variants):
            yield from _wrong_changes(spec.base, variant, f"spec.variants[{number}]")


def _wrong_names(spec: study_pb2.TrainingStudySpec) -> Iterator[tuple[str, str]]:
    first: dict[str, int] = {}
    for number, one in enumerate(spec.variants):
        field = f"spec.variants[{number}].variant"
        if not one.variant:
            yield field, "is required"
        elif not _NAME.fullmatch(one.variant):
            yield field, f"{shown(one.variant)} can't be a name: use 1 to 40 of a-z, 0-9, '.', '_' and '-'"
        elif one.variant in first:
            yield field, f"{one.variant!r} is spec.variants[{first[one.variant]}] already: use another name"
        first.setdefault(one.variant, number)


def _wrong_changes(base: pb.TrainingSpec, variant: study_pb2.StudyVariant, field: str) -> Iterator[tuple[str, str]]:
    changed = changed_paths(variant)
    for path in sorted(path for path in changed if _is_owned(path)):
        yield f"{field}.changes.{path}", _owned(path)
    if len(variant.cleared) > len(FIELDS):
        yield f"{field}.cleared", f"names {len(variant.cleared)} fields: name each once"
        return
    for index, one in enumerate(variant.cleared):
        at, below = f"{field}.cleared[{index}]", [row.path for row in FIELDS if _is_below(row.path, one)]
        if not below:
            yield at, f"{shown(one)} is no field of a training spec: DescribeTrainingSpec lists them"
        elif all(_is_owned(path) for path in below):
            yield at, _owned(one)
        elif not _set_below(base, one):
            yield at, f"{one} is not set in spec.base: leave it out"
        elif one in changed:
            yield at, f"{one} is set in {field}.changes: leave one of the two out"
        elif owned := [path for path in _set_below(base, one) if _is_owned(path)]:
            yield at, _owned(owned[0])


def _owned(path: str) -> str:
    top = path.partition(".")[0]
    remedy = _REMEDIES.get(top, f"set spec.base.{path}; only limits on training images may differ")
    return f"{path} belongs to the study, or its variants are not comparable: {remedy}"


def _is_owned(path: str) -> bool:
    return path in _OWNED or (path.startswith("data.") and path not in _TRAINING_IMAGES)


def _is_below(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top}.")


def _set_below(base: pb.TrainingSpec, top: str) -> list[str]:
    return [row.path for row in FIELDS if _is_below(row.path, top) and row.is_set(base)]
