"""From a client's training spec to a recipe: every field resolved, or every reason why not.

A recipe is a TrainingSpec with all fields set: the client's message, the trainer's input and the manifest's record are
one type, so that nothing is lost on the way.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.architectures import ARCHITECTURES, Architecture
from cultivar_contract.names import NAME_RULE, is_file_name, is_name
from cultivar_contract.spec_fields import FIELDS, SpecField, enum_value_name
from cultivar_contract.violations import Violation

DEVICE = re.compile(r"auto|cpu|cuda:(0|[1-9][0-9]?)")


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetFacts:
    """What resolving needs to know of a data set."""

    name: str
    """`datasets/flowers/versions/2`."""
    class_ids: tuple[str, ...]
    """In label order."""
    counts: dict[str, tuple[int, ...]]
    """Images of each class by split: `train`, `val`, `test`."""

    @property
    def default_model(self) -> str:
        """The data set's bare name."""
        return self.name.split("/")[1]


@dataclass(kw_only=True, slots=True)
class Resolution:
    """What became of a spec."""

    recipe: pb.TrainingSpec
    """Every field resolved; usable only without violations."""
    warnings: list[str] = field(default_factory=list)
    """Things that a careful reader should know."""
    violations: list[Violation] = field(default_factory=list)
    """Fields that can't be used."""
    unbuilt: list[Violation] = field(default_factory=list)
    """Fields whose feature is not built yet."""


def resolve(spec: pb.TrainingSpec, dataset: DatasetFacts | None, weight_files: Collection[str]) -> Resolution:
    """Fill in every default and check every field.

    Args:
        spec: what the client sent.
        dataset: the data set that it names; None where there is none, which the caller reports.
        weight_files: names of the files in the service's weights folder.
    """
    resolution = Resolution(recipe=pb.TrainingSpec())
    resolution.recipe.CopyFrom(spec)
    _check_vocabulary(resolution)
    architecture = _architecture(resolution)
    if architecture is None:
        return resolution
    _fill_defaults(resolution.recipe, architecture)
    _check_network(resolution, architecture)
    _check_weights(resolution, architecture, weight_files)
    _check_training(resolution, architecture)
    if dataset is not None:
        _check_data(resolution, spec, dataset)
    return resolution


def _check_vocabulary(resolution: Resolution) -> None:
    """Check each set field by itself."""
    for row in FIELDS:
        if not row.is_set(resolution.recipe):
            continue
        value = row.get(resolution.recipe)
        if not row.built:
            resolution.unbuilt.append(Violation(field=row.path, message="is not built yet: leave it out"))
        elif row.descriptor.enum_type is not None:
            _check_enum(resolution, row, value)
        elif isinstance(value, (int, float)) and not row.allows(value):
            shown = f"{value:.6g}" if isinstance(value, float) else str(value)
            resolution.violations.append(Violation(field=row.path, message=f"{shown} is out of range: use {row.range}"))


def _check_enum(resolution: Resolution, row: SpecField, value: int) -> None:
    numbers = row.descriptor.enum_type.values_by_number
    usable = [number for number in numbers if number and number not in row.unbuilt_values]
    choices = ", ".join(enum_value_name(row.descriptor, number) for number in usable)
    shown = enum_value_name(row.descriptor, value)
    if value not in numbers:
        resolution.violations.append(Violation(field=row.path, message=f"{shown} is unknown: use one of {choices}"))
    elif value not in usable:
        resolution.unbuilt.append(Violation(field=row.path, message=f"{shown} is not built yet: use one of {choices}"))


def _architecture(resolution: Resolution) -> Architecture | None:
    recipe, violations = resolution.recipe, resolution.violations
    if recipe.mode == pb.FINE_TUNING_MODE_UNSPECIFIED:
        violations.append(Violation(field="mode", message="is required: use scratch, full or head"))
    if recipe.HasField("model") and not is_name(recipe.model):
        violations.append(Violation(field="model", message=f"{recipe.model!r} can't be a name: {NAME_RULE}"))
    if recipe.architecture in ARCHITECTURES:
        return ARCHITECTURES[recipe.architecture]
    known = ", ".join(sorted(ARCHITECTURES))
    fact = f"{recipe.architecture!r} is unknown" if recipe.architecture else "is required"
    violations.append(Violation(field="architecture", message=f"{fact}: use one of {known}"))
    return None


def _fill_defaults(recipe: pb.TrainingSpec, architecture: Architecture) -> None:
    for row in FIELDS:
        if row.default is not None and not row.is_set(recipe):
            row.set(recipe, row.default(recipe, architecture) if callable(row.default) else row.default)


def _check_network(resolution: Resolution, architecture: Architecture) -> None:
    recipe, violations = resolution.recipe, resolution.violations
    smallest = architecture.smallest_input(recipe.network.stem)
    if 1 <= recipe.input.size < smallest:
        violations.append(
            Violation(
                field="input.size",
                message=f"{recipe.input.size} is below the {smallest} px that {architecture.name} needs: "
                f"use {smallest} or more, or leave it out for {architecture.default_input_size}",
            )
        )
    if architecture.family.fixed_input and recipe.input.size > smallest:
        violations.append(
            Violation(
                field="input.size",
                message=f"{recipe.input.size} does not fit {architecture.name}, which takes {smallest} px alone: "
                "leave it out",
            )
        )
    if recipe.network.stem == pb.STEM_CIFAR:
        if "CIFAR" not in architecture.stems:
            able = ", ".join(sorted(name for name, one in ARCHITECTURES.items() if "CIFAR" in one.stems))
            violations.append(
                Violation(field="network.stem", message=f"cifar does not fit {architecture.name}: use {able}")
            )
        elif recipe.mode not in (pb.FINE_TUNING_MODE_SCRATCH, pb.FINE_TUNING_MODE_UNSPECIFIED):
            violations.append(
                Violation(field="network.stem", message="cifar has no pretrained weights: use mode scratch")
            )
    elif recipe.network.stem == pb.STEM_IMAGENET and not architecture.stems:
        violations.append(
            Violation(field="network.stem", message=f"{architecture.name} has one stem: leave the field out")
        )
    if recipe.network.head_dropout > 0 and architecture.family.head_dropout is None:
        violations.append(
            Violation(
                field="network.head_dropout",
                message=f"{recipe.network.head_dropout:g} does not fit {architecture.name}, whose head has no dropout: "
                "leave it out",
            )
        )


def _check_weights(resolution: Resolution, architecture: Architecture, weight_files: Collection[str]) -> None:
    recipe, violations = resolution.recipe, resolution.violations
    members = ", ".join(sorted(architecture.weights))
    remedy = f"use {members or 'mode scratch'} or the name of a file in the service's weights folder"
    if recipe.mode == pb.FINE_TUNING_MODE_SCRATCH:
        if recipe.weights:
            violations.append(
                Violation(field="weights", message=f"{recipe.weights!r} contradicts mode scratch: leave it out")
            )
    elif recipe.mode not in (pb.FINE_TUNING_MODE_FULL, pb.FINE_TUNING_MODE_HEAD):
        return  # the mode itself is refused
    elif not recipe.weights:
        mode = enum_value_name(pb.TrainingSpec.DESCRIPTOR.fields_by_name["mode"], recipe.mode)
        violations.append(Violation(field="weights", message=f"is required by mode {mode}: {remedy}"))
    elif recipe.weights not in architecture.weights:
        if not is_file_name(recipe.weights):
            violations.append(Violation(field="weights", message=f"{recipe.weights!r} is no bare file name: {remedy}"))
        elif recipe.weights not in weight_files:
            violations.append(Violation(field="weights", message=f"{recipe.weights!r} is unknown: {remedy}"))


def _check_training(resolution: Resolution, architecture: Architecture) -> None:
    recipe, violations = resolution.recipe, resolution.violations
    if not DEVICE.fullmatch(recipe.execution.device):
        violations.append(
            Violation(
                field="execution.device",
                message=f"{recipe.execution.device!r} is unknown: use auto, cpu or cuda:N",
            )
        )
    if recipe.augmentation.padded_crop and recipe.augmentation.resized_crop:
        violations.append(
            Violation(
                field="augmentation.resized_crop",
                message="contradicts augmentation.padded_crop: set one of the two to 0",
            )
        )
    if 1 <= recipe.input.size <= recipe.augmentation.padded_crop:
        violations.append(
            Violation(
                field="augmentation.padded_crop",
                message=f"{recipe.augmentation.padded_crop} px of reflection need an input larger than that: "
                f"use less than {recipe.input.size}",
            )
        )
    if recipe.optimizer.nesterov and recipe.optimizer.momentum == 0:
        violations.append(
            Violation(field="optimizer.nesterov", message="needs momentum: set it to false or momentum above 0")
        )
    if recipe.epochs >= 1 and recipe.schedule.warmup_epochs > recipe.epochs:
        violations.append(
            Violation(
                field="schedule.warmup_epochs",
                message=f"{recipe.schedule.warmup_epochs:g} is longer than the {recipe.epochs} epochs: use less",
            )
        )
    if recipe.batch_size == 1 and architecture.batch_norm and recipe.mode != pb.FINE_TUNING_MODE_HEAD:
        violations.append(
            Violation(
                field="batch_size",
                message=f"1 gives {architecture.name}'s batch normalisation nothing to average: use 2 or more",
            )
        )


def _check_data(resolution: Resolution, asked: pb.TrainingSpec, dataset: DatasetFacts) -> None:
    recipe, violations = resolution.recipe, resolution.violations
    recipe.dataset = dataset.name
    if not recipe.HasField("model"):
        recipe.model = dataset.default_model
    unknown = sorted(set(recipe.data.classes) - set(dataset.class_ids))
    if unknown:
        violations.append(
            Violation(
                field="data.classes",
                message=f"{', '.join(unknown[:5])}: no such class in {dataset.name}: "
                f"it has {', '.join(dataset.class_ids[:10])}{' ...' if len(dataset.class_ids) > 10 else ''}",
            )
        )
        return
    kept = set(recipe.data.classes) or set(dataset.class_ids)
    if len(kept) < 2:
        violations.append(Violation(field="data.classes", message="names 1 class: keep 2 or more"))
    # In label order, so that the order in which a client names classes changes nothing.
    del recipe.data.classes[:]
    if len(kept) < len(dataset.class_ids):
        recipe.data.classes.extend(class_id for class_id in dataset.class_ids if class_id in kept)
    for split in ("train", "val"):
        counts = dataset.counts.get(split, ())
        missing = [one for one, count in zip(dataset.class_ids, counts, strict=False) if one in kept and not count]
        if not any(count for one, count in zip(dataset.class_ids, counts, strict=False) if one in kept):
            violations.append(Violation(field="dataset", message=f"{dataset.name} has no {split} images: import some"))
        elif split == "train" and missing:
            violations.append(
                Violation(
                    field="data.classes",
                    message=f"{', '.join(missing[:5])}: no training images: leave these classes out",
                )
            )
    limit = recipe.data.max_train_images
    if 0 < limit < len(kept):
        violations.append(
            Violation(
                field="data.max_train_images",
                message=f"{limit} leaves some of the {len(kept)} classes without an image: use {len(kept)} or more",
            )
        )
    _warn(resolution, asked, dataset, kept)


def _warn(resolution: Resolution, asked: pb.TrainingSpec, dataset: DatasetFacts, kept: set[str]) -> None:
    recipe, warnings = resolution.recipe, resolution.warnings
    counts = [
        count
        for one, count in zip(dataset.class_ids, dataset.counts.get("train", ()), strict=False)
        if one in kept and count
    ]
    test = zip(dataset.class_ids, dataset.counts.get("test", ()), strict=False)
    if not any(count for one, count in test if one in kept):
        warnings.append("There are no test images, so there will be no test metrics.")
    if counts and max(counts) > 10 * min(counts):
        warnings.append(f"Classes are imbalanced: {min(counts)} to {max(counts)} training images.")
    if recipe.optimizer.kind == pb.OPTIMIZER_KIND_ADAMW and asked.optimizer.HasField("momentum"):
        warnings.append("optimizer.momentum has no meaning for adamw.")
    augmented = any(getattr(recipe.augmentation, one.name) for one in recipe.augmentation.DESCRIPTOR.fields)
    if recipe.mode == pb.FINE_TUNING_MODE_HEAD and augmented:
        warnings.append("With augmentation the backbone runs in every epoch: without it, once.")
