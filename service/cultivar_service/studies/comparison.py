"""What resolved variants differ in, and whether they can be compared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cultivar.v1 import dataset_pb2, study_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.spec_fields import FIELDS, SpecField, enum_value_name
from cultivar_contract.violations import Violation
from cultivar_service.studies.principles import principles
from cultivar_service.studies.variants import changed_paths, touched_paths

_ABSENT = "none"
_MAX_SHOWN = 80
_WITHOUT_EFFECT = ("scheduling", "diagnostics")
"""Fields that change no bit of a model: recipes that differ only in them are the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One way to train, resolved; the seeds are yet to be set."""

    message: study_pb2.StudyVariant
    spec: pb.TrainingSpec
    """The base with what this variant changes."""
    recipe: pb.TrainingSpec
    """Every field resolved."""

    @property
    def name(self) -> str:
        """What the study calls it."""
        return self.message.variant


def check(variants: Sequence[Variant], known: Sequence[Violation]) -> list[Violation]:
    """Return what makes resolved variants incomparable, besides what is known; the first is the baseline."""
    return [Violation(field=field, message=message) for field, message in _wrong(variants, known)]


def rows(base: pb.TrainingSpec, variants: Sequence[Variant]) -> list[study_pb2.StudyRow]:
    """Return a row for each variant: what it changes, and the principle of that."""
    baseline = variants[0]
    made = [study_pb2.StudyRow(variant=baseline.name)]
    for variant in variants[1:]:
        # A baseline may change the base as well: what a variant leaves as the base has it then differs too.
        asked = touched_paths(base, variant.message) | touched_paths(base, baseline.message)
        different = [row for row in FIELDS if _text(row, baseline.recipe) != _text(row, variant.recipe)]
        changes = [
            _change(row, baseline.recipe, variant.recipe, asked=row.path in asked)
            for row in different
            if row.path in asked or _tells(row, baseline.recipe, variant.recipe)
        ]
        paths = [row.path for row in different if row.path in asked]
        made.append(
            study_pb2.StudyRow(variant=variant.name, changes=changes, principle=principles(paths, variant.recipe))
        )
    return made


def budget_warnings(variants: Sequence[Variant], dataset: dataset_pb2.Dataset) -> list[str]:
    """Say where variants see other numbers of training images."""
    baseline, warnings = variants[0], []
    images = _budget(baseline.recipe, dataset)
    for variant in variants[1:]:
        if (other := _budget(variant.recipe, dataset)) != images:
            warnings.append(
                f"The budgets differ: {variant.name} may see {_shown_budget(other)}, {baseline.name} "
                f"{_shown_budget(images)}."
            )
    if any(one.recipe.early_stopping.patience for one in variants):
        warnings.append("Early stopping may end trials before their budget is used: compare the images seen.")
    return warnings


def validation_images(recipe: pb.TrainingSpec, dataset: dataset_pb2.Dataset) -> str:
    """Say which images all variants are validated on: data set version, digest of the split, number of images."""
    split = next((one for one in dataset.splits if one.split == dataset_pb2.SPLIT_VAL), dataset_pb2.DatasetSplit())
    images = _count(split, dataset, recipe.data, "val")
    parts = [f"{images} images" + (f" of {split.image_count}" if images < split.image_count else "")]
    if (classes := len(recipe.data.classes)) and classes < len(dataset.classes):
        parts.append(f"{classes} of {len(dataset.classes)} classes")
    if images < _count(split, dataset, pb.DataSpec(classes=recipe.data.classes), "val"):
        parts.append(f"drawn by data.seed {recipe.data.seed}")
    return f"{dataset.name}, val {split.digest[:12]}, {', '.join(parts)}"


def _wrong(variants: Sequence[Variant], known: Sequence[Violation]) -> Iterator[tuple[str, str]]:
    seen: dict[bytes, str] = {}
    for number, variant in enumerate(variants):
        field = f"spec.variants[{number}]"
        if variant.recipe.dataset != variants[0].recipe.dataset:
            yield "spec.base.dataset", "has got a new version while the study was looked at: send it again"
        if variant.recipe.ensemble.members > 1:
            at = f"{field}.changes" if "ensemble.members" in changed_paths(variant.message) else "spec.base"
            yield f"{at}.ensemble.members", "a study's trials are single jobs: leave it out, and combine them later"
        if variant.recipe.selection_metric != variants[0].recipe.selection_metric:
            yield (
                f"{field}.changes.selection_metric",
                "differs from the baseline's: variants are not comparable by two metrics: set it in spec.base",
            )
        same = seen.setdefault(_identity(variant.recipe), variant.name)
        # One whose change was refused is only the same without it.
        if same != variant.name and not any(one.field.startswith(f"{field}.") for one in known):
            yield (
                field,
                f"{variant.name!r} is the same recipe as {same!r}: change something that counts, or leave it out",
            )


def _identity(recipe: pb.TrainingSpec) -> bytes:
    kept = pb.TrainingSpec()
    kept.CopyFrom(recipe)
    for name in _WITHOUT_EFFECT:
        kept.ClearField(name)
    return kept.SerializeToString(deterministic=True)


def _tells(row: SpecField, before: pb.TrainingSpec, after: pb.TrainingSpec) -> bool:
    """Tell whether a field that nobody asked to change is worth a line: it acts in the variant.

    Adam's `beta1` is gone with Adam, and a zero where there was nothing changes nothing.
    """
    return row.is_set(after) and (row.is_set(before) or bool(row.get(after)))


def _change(row: SpecField, before: pb.TrainingSpec, after: pb.TrainingSpec, *, asked: bool) -> str:
    follows = "" if asked else " (follows)"
    return f"{row.path}: {_short(_text(row, before))} -> {_short(_text(row, after))}{follows}"


def _short(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _text(row: SpecField, recipe: pb.TrainingSpec) -> str:
    if not row.is_set(recipe):
        return _ABSENT
    value = row.get(recipe)
    if row.descriptor.message_type is not None:
        return ", ".join(f"{key} {value[key]:.6g}" for key in sorted(value))
    return ", ".join(_shown(row, one) for one in value) if row.descriptor.is_repeated else _shown(row, value)


def _shown(row: SpecField, value: object) -> str:
    if row.descriptor.enum_type is not None:
        return enum_value_name(row.descriptor, value)  # type: ignore[arg-type]  # an enum's values are numbers
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _budget(recipe: pb.TrainingSpec, dataset: dataset_pb2.Dataset) -> tuple[int, int, int]:
    """Return epochs, training images and candidates that a recipe may go through."""
    split = next((one for one in dataset.splits if one.split == dataset_pb2.SPLIT_TRAIN), dataset_pb2.DatasetSplit())
    candidates = max(1, len(recipe.optimizer.learning_rates)) * max(1, len(recipe.optimizer.weight_decays))
    return recipe.epochs, _count(split, dataset, recipe.data, "train"), candidates


def _shown_budget(budget: tuple[int, int, int]) -> str:
    epochs, images, candidates = budget
    times = f" x {candidates} candidates" if candidates > 1 else ""
    return f"{epochs} epochs x {images} images{times} = {epochs * images * candidates} images"


def _count(split: dataset_pb2.DatasetSplit, dataset: dataset_pb2.Dataset, data: pb.DataSpec, name: str) -> int:
    """Return how many images of a split take part."""
    kept = set(data.classes)
    per_class, limit = getattr(data, f"max_{name}_images_per_class"), getattr(data, f"max_{name}_images")
    counts = (
        min(count, per_class or count)
        for one, count in zip(dataset.classes, split.class_counts, strict=False)
        if not kept or one.id in kept
    )
    total = sum(counts)
    return min(total, limit or total)
